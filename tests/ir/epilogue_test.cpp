#include "ir/epilogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/builder.h"
#include "ir/op.h"

namespace gannet {
namespace {

using enum EpilogueKind;
using testing::ElementsAre;

std::vector<EpilogueKind> kinds_of(std::string_view text) {
  std::vector<EpilogueKind> kinds;
  Result<ScalarExpr> body = parse_scalar(text);
  EXPECT_TRUE(body.ok()) << text;
  const auto terms = epilogue_of(*body, 0);
  EXPECT_TRUE(terms.has_value()) << text;
  if (terms) {
    for (const EpilogueTerm& term : *terms) kinds.push_back(term.kind);
  }
  return kinds;
}

bool is_chain(std::string_view text) { return epilogue_of(*parse_scalar(text), 0).has_value(); }

// The terms of a unary op with these attributes.
std::vector<EpilogueTerm> terms_of(std::string_view op, Attributes attrs = {}, std::vector<float> constants = {}) {
  Graph graph;
  GraphBuilder b(graph);
  std::vector<Value*> operands{graph.add_input("x", Type::tensor(DType::kF32, Shape{2, 3}))};
  for (float value : constants) operands.push_back(b.constant(Tensor::scalar(value)));
  Value* y = b.op(op, operands, std::move(attrs));
  EXPECT_TRUE(b.status().ok());
  return epilogue_of(*y->producer(), 0).value_or(std::vector<EpilogueTerm>{});
}

TEST(Epilogue, chains_are_taken_apart) {
  EXPECT_THAT(kinds_of("x0"), ElementsAre());
  EXPECT_THAT(kinds_of("select(x0 + x1 <= 0, 0, x0 + x1)"), ElementsAre(kAdd, kRelu));
  EXPECT_THAT(kinds_of("x2 * tanh(x0 * 2 + 1)"), ElementsAre(kLinear, kLinear, kTanh, kMul));
  EXPECT_THAT(kinds_of("sigmoid(x0 - 3) * (x0 - 3)"), ElementsAre(kLinear, kSwish));
}

TEST(Epilogue, other_expressions_are_not) {
  EXPECT_FALSE(is_chain("x0 * tanh(x0)"));
  EXPECT_FALSE(is_chain("sin(x0)"));
  EXPECT_FALSE(is_chain("x1"));
  EXPECT_FALSE(is_chain("x0 + tanh(x1)"));
  EXPECT_FALSE(is_chain("x1 / x0"));
}

TEST(Epilogue, each_op_has_its_kind) {
  const std::vector<std::pair<std::string_view, EpilogueKind>> rows = {
      {"Relu", kRelu},       {"LeakyRelu", kLeakyRelu}, {"Elu", kElu},     {"Tanh", kTanh},         {"Sigmoid", kSigmoid},
      {"Gelu", kGeluErf},    {"Swish", kSwish},         {"HardSwish", kHardSwish}, {"HardSigmoid", kHardSigmoid},
      {"Abs", kAbs},         {"Sqrt", kSqrt},           {"Exp", kExp},     {"Softplus", kSoftplus}, {"Neg", kLinear}};
  for (const auto& [op, kind] : rows) {
    const std::vector<EpilogueTerm> terms = terms_of(op);
    ASSERT_EQ(terms.size(), 1u) << op;
    EXPECT_EQ(terms[0].kind, kind) << op;
  }
  EXPECT_EQ(terms_of("Gelu", {{"approximate", std::string("tanh")}})[0].kind, kGeluTanh);
}

TEST(Epilogue, factors_are_kept) {
  EXPECT_FLOAT_EQ(terms_of("LeakyRelu", {{"alpha", 0.25f}})[0].alpha, 0.25f);
  EXPECT_FLOAT_EQ(terms_of("HardSigmoid", {{"alpha", 0.25f}, {"beta", 0.125f}})[0].beta, 0.125f);
  EXPECT_FLOAT_EQ(terms_of("Swish", {{"alpha", 1.5f}})[0].alpha, 1.5f);
  const std::vector<EpilogueTerm> clip = terms_of("Clip", {}, {-1, 6});
  ASSERT_EQ(clip.size(), 1u);
  EXPECT_EQ(clip[0].kind, kClip);
  EXPECT_FLOAT_EQ(clip[0].alpha, -1);
  EXPECT_FLOAT_EQ(clip[0].beta, 6);
  EXPECT_EQ(terms_of("Clip", {}, {0})[0].kind, kRelu);
  EXPECT_EQ(terms_of("Clip", {}, {-2})[0].kind, kClip);
  EXPECT_TRUE(std::isinf(terms_of("Clip", {}, {-2})[0].beta));
  const std::vector<EpilogueTerm> scaled = terms_of("Mul", {}, {0.125f});
  ASSERT_EQ(scaled.size(), 1u);
  EXPECT_EQ(scaled[0].kind, kLinear);
  EXPECT_FLOAT_EQ(scaled[0].alpha, 0.125f);
}

TEST(Epilogue, each_function_stands_once_in_a_chain) {
  std::vector<EpilogueTerm> chain;
  EXPECT_EQ(append_term(chain, {EpilogueKind::kTanh}), TermPlace::kAdded);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kLinear, 1, 1}), TermPlace::kAdded);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kLinear, 3, 0}), TermPlace::kMerged);
  EXPECT_EQ(chain.back().alpha, 3);
  EXPECT_EQ(chain.back().beta, 3);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kAdd, 0, 0, 1}), TermPlace::kAdded);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kAdd, 0, 0, 1}), TermPlace::kAdded);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kLinear, 2, 0}), TermPlace::kRefused);
  EXPECT_EQ(append_term(chain, {EpilogueKind::kHardSigmoid, 1, 0}), TermPlace::kRefused);
  EXPECT_EQ(chain.size(), 4u);
}

TEST(Epilogue, orders_of_operands) {
  using enum ContractionKind;
  using enum ContractionOperand;
  const std::vector<int64_t> plain{0, 1, 2, 3}, channels_last{0, 2, 3, 1}, heads{0, 2, 1, 3}, columns{0, 1, 3, 2}, other{3, 0, 1, 2};
  EXPECT_TRUE(takes_order(kConvolution, kData, channels_last));
  EXPECT_FALSE(takes_order(kConvolution, kResult, columns));
  EXPECT_TRUE(takes_order(kConvolution, kWeights, other));
  EXPECT_TRUE(takes_order(kMatmul, kWeights, columns));
  EXPECT_TRUE(takes_order(kMatmul, kResult, heads));
  EXPECT_FALSE(takes_order(kMatmul, kResult, columns));
  EXPECT_TRUE(takes_order(kMatmul, kData, plain));
}

}  // namespace
}  // namespace gannet
