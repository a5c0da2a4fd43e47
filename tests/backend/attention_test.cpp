// Attention as one primitive gives what its nodes give, with the same bits on any number of threads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/backend.h"
#include "ir/evaluate.h"
#include "ir/parse.h"
#include "passes/pass.h"
#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

// How far a result may be from what is meant: all elements, and all but a sixteenth of them.
struct Differences {
  double largest = 0;
  double usual = largest;
};

// What one and two threads compute, bit for bit the same, is what the reference evaluates `meant` to.
void expect_results(const CompiledProgram& compiled, const Graph& meant, const std::vector<std::vector<Tensor>>& runs, const Differences& allowed) {
  const std::unique_ptr<Session> one = session_on(compiled, 1), two = session_on(compiled, 2);
  for (const std::vector<Tensor>& inputs : runs) {
    const std::vector<Datum> data(inputs.begin(), inputs.end());
    const auto expected = evaluate(meant, data);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const auto single = one->run(data), dual = two->run(data);
    ASSERT_TRUE(single.ok()) << single.error().message;
    ASSERT_TRUE(dual.ok()) << dual.error().message;
    const Tensor &a = (*single)[0].tensor(), &b = expected->outputs[0].tensor();
    EXPECT_TRUE(a.identical((*dual)[0].tensor())) << "other bits on two threads";
    ASSERT_EQ(type_string(a), type_string(b));
    int64_t others = 0;
    for (int64_t i = 0; i < b.elements(); ++i) {
      if (std::isnan(b.double_at(i))) {
        ASSERT_TRUE(std::isnan(a.double_at(i))) << i;
        continue;
      }
      ASSERT_NEAR(a.double_at(i), b.double_at(i), allowed.largest) << i;
      others += std::abs(a.double_at(i) - b.double_at(i)) > allowed.usual;
    }
    EXPECT_LE(others, b.elements() / 16);
  }
}

void expect_attention(std::string_view text, const std::vector<std::vector<Tensor>>& runs, double tolerance = 2e-5) {
  SCOPED_TRACE(std::string(text));
  const auto parsed = parse_graph(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const std::unique_ptr<Graph> graph = (*parsed)->clone();
  PassContext context;
  ASSERT_TRUE(run_passes(*graph, "fuse_contractions,fuse_attention", context).ok());
  CompileOptions options;
  options.cache = false;
  const Result<CompiledProgram> compiled = lower_to_program(*graph, options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  ASSERT_EQ(compiled->program->steps.size(), 1u);
  const auto* call = std::get_if<PrimitiveCall>(&compiled->program->steps[0].call);
  ASSERT_TRUE(call && std::holds_alternative<AttentionRecipe>(call->recipe));
  expect_results(*compiled, **parsed, runs, {.largest = tolerance});
}

// The form of BERT's exports, over [batch, length, heads, size].
std::string exported(std::string_view scale, std::string_view mask) {
  return fmt::format(R"(graph "g"(%q: f32[n, s, h, d], %k: f32[n, t, h, d], %v: f32[n, t, h, e], %m: f32[{}]) {{
    %root: f32[] = Constant() {{value = f32[] {{8}}}}
    %a = Transpose(%q) {{perm = [0, 2, 1, 3]}}
    %b = Transpose(%k) {{perm = [0, 2, 3, 1]}}
    %c = MatMul(%a, %b)
    %f = {}(%c, %root)
    %g = Add(%f, %m)
    %i = Softmax(%g)
    %j = Transpose(%v) {{perm = [0, 2, 1, 3]}}
    %l = MatMul(%i, %j)
    %y = Transpose(%l) {{perm = [0, 2, 1, 3]}}
    return %y as "y"
  }})", mask, scale);
}

TEST(OnednnAttention, OfExportedModels) {
  struct Case {
    int64_t n, s, h, d, t, e;
  };
  for (const Case& c : {Case{1, 7, 2, 4, 9, 5}, Case{2, 33, 3, 16, 17, 8}, Case{1, 128, 2, 64, 128, 64}, Case{1, 300, 1, 8, 31, 3}, Case{1, 1, 5, 6, 50, 4}, Case{3, 20, 4, 1, 1, 1}}) {
    const Tensor q = uniform({c.n, c.s, c.h, c.d}, 1), k = uniform({c.n, c.t, c.h, c.d}, 2), v = uniform({c.n, c.t, c.h, c.e}, 3);
    for (std::string_view scale : {"Div", "Mul"}) {
      expect_attention(exported(scale, "n, 1, 1, t"), {{q, k, v, uniform({c.n, 1, 1, c.t}, 4)}}, scale == "Mul" ? 2e-4 : 2e-5);
      expect_attention(exported(scale, "s, t"), {{q, k, v, uniform({c.s, c.t}, 4)}}, scale == "Mul" ? 2e-4 : 2e-5);
      expect_attention(exported(scale, "n, h, s, 1"), {{q, k, v, uniform({c.n, c.h, c.s, 1}, 4)}}, scale == "Mul" ? 2e-4 : 2e-5);
    }
  }
}

TEST(OnednnAttention, OverShapesThatChange) {
  const auto run = [](int64_t n, int64_t s, int64_t t) {
    return std::vector<Tensor>{uniform({n, s, 2, 4}, 1), uniform({n, t, 2, 4}, 2), uniform({n, t, 2, 6}, 3), uniform({n, 1, 1, t}, 4)};
  };
  expect_attention(exported("Div", "n, 1, 1, t"), {run(1, 3, 5), run(2, 200, 40), run(0, 3, 5), run(1, 3, 5), run(1, 0, 4)});
}

TEST(OnednnAttention, MaskedKeysAndRows) {
  constexpr float kLowest = std::numeric_limits<float>::lowest(), kInfinity = std::numeric_limits<float>::infinity();
  const Tensor q = uniform({1, 4, 1, 8}, 1), k = uniform({1, 20, 1, 8}, 2), v = uniform({1, 20, 1, 3}, 3);
  for (const float masked : {kLowest, -kInfinity}) {
    Tensor mask = Tensor::zeros(DType::kF32, {4, 20});
    for (size_t i = 0; i < 80; ++i) {
      const bool hidden = i < 20 ? i % 3 != 0 : i < 40 ? i > 20 : i < 60;
      mask.mutable_data<float>()[i] = hidden ? masked : 0;
    }
    expect_attention(exported("Div", "s, t"), {{q, k, v, mask}});
  }
  Tensor large = uniform({4, 20}, 5);
  large.mutable_data<float>()[3] = kInfinity;
  large.mutable_data<float>()[25] = std::numeric_limits<float>::quiet_NaN();
  large.mutable_data<float>()[47] = 1e30f;
  expect_attention(exported("Div", "s, t"), {{q, k, v, large}});
}

TEST(OnednnAttention, WithoutScaleOrWithTwoMasks) {
  expect_attention(R"(graph "g"(%q: f32[3, 20, 8], %k: f32[3, 8, 12], %v: f32[3, 12, 5]) {
    %a = MatMul(%q, %k)
    %b = Softmax(%a) {axis = 2}
    %y = MatMul(%b, %v)
    return %y as "y"
  })", {{uniform({3, 20, 8}, 1), uniform({3, 8, 12}, 2), uniform({3, 12, 5}, 3)}});
  expect_attention(R"(graph "g"(%q: f32[3, 20, 8], %k: f32[3, 8, 12], %v: f32[3, 12, 5], %m: f32[20, 12], %o: f32[3, 1, 12]) {
    %scale: f32[] = Constant() {value = f32[] {-0.5}}
    %a = MatMul(%q, %k)
    %c = Mul(%a, %scale)
    %d = Add(%c, %m)
    %e = Add(%o, %d)
    %b = Softmax(%e)
    %y = MatMul(%b, %v)
    return %y as "y"
  })", {{uniform({3, 20, 8}, 1), uniform({3, 8, 12}, 2), uniform({3, 12, 5}, 3), uniform({20, 12}, 4), uniform({3, 1, 12}, 5)}});
}

// Attention whose products are of bf16: as such where `products`, else in f32 on rounded operands. What a Softmax makes may lie
// between two numbers of bf16 so that sums in another order round to the other one, but only here and there.
void expect_rounded_attention(std::string_view text, const std::vector<std::vector<Tensor>>& runs, bool products) {
  SCOPED_TRACE(fmt::format("{}\n{}", text, products ? "products of bf16" : "products of f32"));
  const auto rounded = [&](bool narrow) {
    auto graph = parse_graph(text);
    CHECK(graph.ok(), "{}", graph.error().message);
    Target target = host_target();
    target.bf16_products = narrow;
    PassContext context(target);
    context.product_dtype = DType::kBF16;
    EXPECT_TRUE(run_passes(**graph, "round_products,fuse_contractions,fuse_attention", context).ok());
    return *std::move(graph);
  };
  const std::unique_ptr<Graph> meant = rounded(false), graph = rounded(products);
  CompileOptions options;
  options.cache = false;
  options.target.bf16_products = products;
  const Result<CompiledProgram> compiled = lower_to_program(*graph, options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  int found = 0;
  for (const Step& step : compiled->program->steps) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    const auto* recipe = call ? std::get_if<AttentionRecipe>(&call->recipe) : nullptr;
    EXPECT_TRUE(!call || recipe) << "a product of its own";
    if (!recipe) continue;
    ++found;
    EXPECT_EQ(recipe->q.dtype, products ? DType::kBF16 : DType::kF32);
    EXPECT_TRUE(recipe->rounds);
  }
  EXPECT_EQ(found, 1);
  // What is rounded to the other neighbour differs by a unit of bf16.
  expect_results(*compiled, *meant, runs, {.largest = 4e-3, .usual = 1e-5});
}

void attention_of_bf16(bool products) {
  struct Case {
    int64_t n, s, h, d, t, e;
  };
  for (const Case& c : {Case{1, 7, 2, 4, 9, 5}, Case{2, 33, 3, 16, 17, 8}, Case{1, 128, 2, 64, 128, 64}, Case{1, 300, 1, 7, 31, 3}, Case{1, 1, 5, 6, 50, 33},
                        Case{3, 20, 4, 1, 1, 1}, Case{1, 150, 2, 40, 70, 48}, Case{1, 13, 2, 33, 35, 40}}) {
    const Tensor q = uniform({c.n, c.s, c.h, c.d}, 1), k = uniform({c.n, c.t, c.h, c.d}, 2), v = uniform({c.n, c.t, c.h, c.e}, 3);
    expect_rounded_attention(exported("Div", "n, 1, 1, t"), {{q, k, v, uniform({c.n, 1, 1, c.t}, 4)}}, products);
    expect_rounded_attention(exported("Div", "s, t"), {{q, k, v, uniform({c.s, c.t}, 4)}}, products);
  }
  const auto run = [](int64_t n, int64_t s, int64_t t) {
    return std::vector<Tensor>{uniform({n, s, 2, 4}, 1), uniform({n, t, 2, 4}, 2), uniform({n, t, 2, 6}, 3), uniform({n, 1, 1, t}, 4)};
  };
  expect_rounded_attention(exported("Div", "n, 1, 1, t"), {run(1, 3, 5), run(2, 200, 40), run(0, 3, 5), run(1, 3, 5), run(1, 0, 4), run(2, 3, 0)}, products);
  // Operands of which the other axis lies together, and rows of which nothing or one key is seen.
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Tensor mask = Tensor::zeros(DType::kF32, {20, 13});
  for (size_t i = 0; i < 3 * 13; ++i) mask.mutable_data<float>()[i] = i != 20 ? -kInfinity : 0;
  mask.mutable_data<float>()[50] = std::numeric_limits<float>::quiet_NaN();
  expect_rounded_attention(R"(graph "g"(%q: f32[3, 9, 20], %k: f32[3, 9, 13], %v: f32[3, 5, 13], %m: f32[20, 13]) {
    %t = Transpose(%q) {perm = [0, 2, 1]}
    %a = MatMul(%t, %k)
    %d = Add(%a, %m)
    %b = Softmax(%d)
    %u = Transpose(%v) {perm = [0, 2, 1]}
    %y = MatMul(%b, %u)
    return %y as "y"
  })", {{uniform({3, 9, 20}, 1), uniform({3, 9, 13}, 2), uniform({3, 5, 13}, 3), mask}}, products);
}

TEST(RoundedAttention, InF32) { attention_of_bf16(false); }

TEST(RoundedAttention, InBf16) {
  if (!host_target().bf16_products) GTEST_SKIP() << "this machine has no products of bf16";
  attention_of_bf16(true);
}

}  // namespace
}  // namespace gannet::test
