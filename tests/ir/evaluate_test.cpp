#include "ir/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/parse.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Graph> parsed(std::string_view text) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return graph.ok() ? *std::move(graph) : std::make_unique<Graph>();
}

std::string error_of(const Graph& graph, std::vector<Datum> inputs, const EvaluateOptions& options = {},
                     std::span<const Tensor> states = {}) {
  auto result = evaluate(graph, std::move(inputs), options, states);
  return result.ok() ? "" : result.error().message;
}

Tensor f32(std::vector<int64_t> extents) { return Tensor::zeros(DType::kF32, std::move(extents)); }

TEST(Evaluate, InputsMustFitTheModel) {
  auto graph = parsed(R"(graph "g"(%x: f32[batch, 3], %y: f32[batch, 2*seq], %s: i64[seq]) { return %x })");
  Tensor s = Tensor::of_ints(std::vector<int64_t>{1, 2});
  EXPECT_EQ(error_of(*graph, {f32({4, 3}), f32({4, 4}), s}), "");
  EXPECT_EQ(error_of(*graph, {f32({4, 3}), f32({4, 4})}), "2 inputs are given, the model takes 3");
  EXPECT_EQ(error_of(*graph, {f32({4, 5}), f32({4, 4}), s}),
            "input 'x' dimension 1 is 5, the model takes [batch, 3]");
  EXPECT_EQ(error_of(*graph, {f32({4, 3}), f32({7, 4}), s}),
            "input 'y' dimension 0 is 7, but 'batch' is already 4");
  EXPECT_EQ(error_of(*graph, {f32({4, 3}), f32({4, 5}), s}), "input 'y' dimension 1 is 5, must be 2*seq = 4");
  EXPECT_EQ(error_of(*graph, {f32({4}), f32({4, 4}), s}), "input 'x' has rank 1, the model takes [batch, 3]");
  EXPECT_EQ(error_of(*graph, {s, f32({4, 4}), s}), "input 'x' holds i64, the model takes f32");
  EXPECT_EQ(error_of(*graph, {Datum(), f32({4, 4}), s}), "input 'x' is not given");
  EXPECT_THAT(error_of(*graph, {Datum::sequence({}, Type::tensor(DType::kF32)), f32({4, 4}), s}),
              HasSubstr("input 'x' is seq(f32), the model takes f32[batch, 3]"));
}

TEST(Evaluate, SymbolsAreBoundByInputsAndResults) {
  auto graph = parsed(R"(graph "g"(%x: f32[n]) {
  %found: i64[1, k] = NonZero(%x)
  %extents: i64[2] = Dims() {dims = [2*k+1, n]}
  return %extents
})");
  auto result = evaluate(*graph, {Tensor::from<float>({4}, {0, 5, 0, 7})});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(result->outputs[0].tensor().ints(), ElementsAre(5, 4));
}

TEST(Evaluate, ErrorsNameTheNode) {
  auto graph = parsed(R"(graph "g"(%x: f32[a], %i: i64[b]) {
  %y = Gather(%x, %i) "lookup"
  return %y
})");
  EXPECT_EQ(error_of(*graph, {f32({3}), Tensor::of_ints(std::vector<int64_t>{3})}),
            "node 'lookup' (Gather): index 3 is outside of an extent of 3");
  auto sum = parsed(R"(graph "g"(%x: f32[a], %y: f32[b]) { %z = Add(%x, %y) return %z })");
  EXPECT_EQ(error_of(*sum, {f32({3}), f32({4})}), "Add: shapes [3] and [4] do not broadcast: 3 against 4");
}

TEST(Evaluate, StatesCarryOver) {
  auto graph = parsed(R"(graph "g"(%x: f32[]) {
  state %sum: f32[] -> %next = f32[] {10} "sum"
  state %fixed: f32[2] = f32[2] {1, 2} "fixed"
  %next = Add(%sum, %x)
  return %sum, %fixed
})");
  Tensor x = Tensor::scalar(3.f);
  auto first = evaluate(*graph, {x});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->outputs[0].tensor().double_at(0), 10);
  EXPECT_EQ(first->state_outputs[0].double_at(0), 13);
  EXPECT_TRUE(first->state_outputs[1].identical(graph->states[1].initial));
  auto second = evaluate(*graph, {x}, {}, first->state_outputs);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->outputs[0].tensor().double_at(0), 13);
  EXPECT_EQ(second->state_outputs[0].double_at(0), 16);
  EXPECT_EQ(graph->states[0].initial.double_at(0), 10);
  std::vector<Tensor> one(1, x), wrong = {f32({2}), f32({2})};
  EXPECT_EQ(error_of(*graph, {x}, {}, one), "1 states are given, the model has 2");
  EXPECT_EQ(error_of(*graph, {x}, {}, wrong), "state 'sum' is f32[2], the model takes f32[]");
}

TEST(Evaluate, TheObserverSeesEveryNodeInOrder) {
  auto graph = parsed(R"(graph "g"(%x: f32[2]) {
  %a = Neg(%x) "a"
  %b = Exp(%a) "b"
  %unused = Abs(%b) "c"
  return %b
})");
  std::string seen;
  EvaluateOptions options;
  options.observer = [&](const Node& node, std::span<const Datum> results) {
    seen += fmt::format("{}:{} ", node.name, results[0].tensor().double_at(0));
  };
  ASSERT_TRUE(evaluate(*graph, {f32({2})}, options).ok());
  EXPECT_EQ(seen, "a:-0 b:1 c:1 ");
}

TEST(Evaluate, LiveTensorsAreLimited) {
  // A chain needs two values at a time, however long it is.
  std::string chain = "graph \"g\"(%v0: f32[256]) {\n";
  for (int i = 0; i < 20; ++i) chain += fmt::format("%v{} = Neg(%v{}) \"n{}\"\n", i + 1, i, i);
  auto graph = parsed(chain + "return %v20 }");
  EvaluateOptions options;
  options.limits.live_bytes = 2048;
  EXPECT_EQ(error_of(*graph, {f32({256})}, options), "");
  options.limits.live_bytes = 2047;
  EXPECT_EQ(error_of(*graph, {f32({256})}, options),
            "node 'n1' (Neg): 2048 bytes of tensors are alive, beyond the limit live-bytes=2047");
  options.limits = Limits{.tensor_bytes = 1000};
  EXPECT_THAT(error_of(*graph, {f32({256})}, options), HasSubstr("node 'n0' (Neg): "));
}

constexpr std::string_view kLoop = R"(graph "g"(%trips: i64[], %x: f32[n]) {
  %go = Constant() {value = bool[] {true}}
  %last = Loop(%trips, %go, %x) {body = graph "body"(%i: i64[], %again: bool[], %carried: f32[m]) {
    %next = Neg(%carried)
    return %again, %next
  }}
  return %last
})";

TEST(Evaluate, WhatAnIterationMadeIsReleased) {
  auto graph = parsed(kLoop);
  EvaluateOptions options;
  options.limits.live_bytes = 16 * 1024;
  EXPECT_EQ(error_of(*graph, {Tensor::scalar<int64_t>(1000), f32({256})}, options), "");
}

// What is carried grows with each iteration, so its extent is a symbol of the body alone.
TEST(Evaluate, SubgraphInputsBindTheirSymbols) {
  std::string text(kLoop);
  text.replace(text.find("Neg(%carried)"), 13, "Concat(%carried, %carried) {axis = 0}");
  auto graph = parsed(text);
  for_each_subgraph(*graph->outputs[0].value->producer(), [](Graph& body) {
    GraphBuilder b(body);
    body.outputs[1].value =
        b.op("Reshape", {body.outputs[1].value, b.dims({2 * (*body.inputs()[2]->type.shape)[0]})});
    ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  });
  auto result = evaluate(*graph, {Tensor::scalar<int64_t>(3), Tensor::from<float>({2}, {1, 2})});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outputs[0].tensor().extents(), (std::vector<int64_t>{16}));
}

TEST(Evaluate, RandomOpsFollowTheSeed) {
  auto graph = parsed(R"(graph "g"() {
  %a = RandomNormal() {shape = [8]}
  %b = RandomNormal() {shape = [8]}
  return %a, %b
})");
  auto run = [&](uint64_t seed) {
    return evaluate(*graph, {}, {.limits = {}, .seed = seed, .observer = {}})->outputs;
  };
  auto one = run(1), again = run(1), two = run(2);
  EXPECT_TRUE(one[0].tensor().identical(again[0].tensor()));
  EXPECT_FALSE(one[0].tensor().identical(one[1].tensor()));
  EXPECT_FALSE(one[0].tensor().identical(two[0].tensor()));
}

}  // namespace
}  // namespace gannet
