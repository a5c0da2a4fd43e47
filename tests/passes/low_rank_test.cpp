#include "passes/low_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/verify.h"
#include "passes/weights_to_state.h"

namespace gannet {
namespace {

using testing::UnorderedElementsAre;
using testing::HasSubstr;

// x -> query, tanh, a layer by Gemm, a layer by a transposed weight, then the head; weights are random.
struct Net {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("n"), 4}));
  Random random{7};
  int64_t next_offset = 1;

  Value* weight(const std::string& name, std::vector<int64_t> extents) {
    Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
    random.fill_normal(tensor.mutable_data<float>(), 0, 1);
    Value* constant = graph.add_constant(tensor, name);
    constant->origin = Origin{name, next_offset++};
    return constant;
  }
  Net() {
    GraphBuilder b(graph);
    Value* y = b.add(b.matmul(x, weight("query.weight", {4, 5})), weight("query.bias", {5}));
    y = b.op("Tanh", {y});
    y = b.op("Gemm", {y, weight("gemm.weight", {6, 5}), weight("gemm.bias", {6})}, {{"transB", int64_t{1}}});
    y = b.matmul(y, b.transpose(weight("turned.weight", {3, 6}), {1, 0}));
    y = b.add(b.matmul(y, weight("head.weight", {3, 2})), weight("head.bias", {2}));
    graph.outputs = {{"logits", y}};
    EXPECT_TRUE(b.status().ok());
    EXPECT_TRUE(weights_to_state(graph).ok());
  }
  std::vector<std::string> states() const {
    std::vector<std::string> names;
    for (const State& state : graph.states) names.push_back(state.name);
    return names;
  }
  Tensor run(std::span<const Tensor> values = {}) const {
    Tensor rows = Tensor::zeros(DType::kF32, {3, 4});
    Random(1).fill_normal(rows.mutable_data<float>(), 0, 1);
    auto result = evaluate(graph, {rows}, {}, values);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result->outputs[0].tensor();
  }
};

void expect_near(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.extents(), b.extents());
  for (int64_t i = 0; i < a.elements(); ++i) EXPECT_NEAR(a.double_at(i), b.double_at(i), 1e-4);
}

TEST(LowRank, NothingChangesBeforeAnUpdateAndTheLastLayerStays) {
  Net net;
  const Tensor before = net.run();
  const auto made = make_low_rank(net.graph, {2, 4, {"*"}});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(verify(net.graph).ok());
  EXPECT_THAT(net.states(),
              UnorderedElementsAre("head.weight", "head.bias", "lora.down/query.weight", "lora.up/query.weight",
                          "lora.down/gemm.weight", "lora.up/gemm.weight", "lora.down/turned.weight",
                          "lora.up/turned.weight"));
  ASSERT_EQ(made->size(), 3U);
  EXPECT_EQ((*made)[0].scale, 2);
  EXPECT_EQ((*made)[1].origin->name, "gemm.weight");
  expect_near(net.run(), before);
}

TEST(LowRank, MergedWeightsGiveWhatTheThinOnesGave) {
  Net net, merged;
  const auto made = make_low_rank(net.graph, {2, 3, {"*"}});
  ASSERT_TRUE(made.ok()) << made.error().message;
  std::vector<Tensor> values;
  Random random(3);
  for (const State& state : net.graph.states) {
    Tensor value = state.initial;
    if (state.name.starts_with("lora.")) random.fill_normal(value.mutable_data<float>(), 0, 0.5);
    values.push_back(value);
  }
  auto value_of = [&](const std::string& name) {
    const auto at = std::ranges::find(net.graph.states, name, &State::name);
    return values[static_cast<size_t>(at - net.graph.states.begin())];
  };
  std::vector<Tensor> whole;
  for (const State& state : merged.graph.states) {
    const auto thin = std::ranges::find(*made, state.name, &LowRankWeight::name);
    whole.push_back(thin == made->end() ? state.initial
                                        : merge_low_rank(*thin, value_of(thin->down), value_of(thin->up)));
  }
  expect_near(net.run(values), merged.run(whole));
}

TEST(LowRank, AllLinearLayersAreTheUsualTargets) {
  Net net, named;
  ASSERT_TRUE(make_low_rank(net.graph, {}).ok());
  ASSERT_TRUE(make_low_rank(named.graph, {8, 16, {"*"}}).ok());
  EXPECT_EQ(net.states(), named.states());
  Net one;
  ASSERT_TRUE(make_low_rank(one.graph, {8, 16, {"quer?.*"}}).ok());
  EXPECT_THAT(one.states(),
              UnorderedElementsAre("head.weight", "head.bias", "lora.down/query.weight", "lora.up/query.weight"));
}

TEST(LowRank, APatternThatMatchesNothingIsAnError) {
  Net net;
  const auto made = make_low_rank(net.graph, {8, 16, {"query*", "key*"}});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("no weight of a linear layer matches 'key*'"));
}

}  // namespace
}  // namespace gannet
