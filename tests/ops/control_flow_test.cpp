#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string type_of(const Value* value) { return to_string(value->type); }

Tensor list(std::initializer_list<int64_t> values) { return Tensor::of_ints(std::vector<int64_t>(values)); }

// A subgraph of `outer` with inputs of unknown type and the outputs that `build` gives.
template <class Build>
std::shared_ptr<Graph> subgraph(Graph& outer, size_t inputs, Build&& build) {
  auto graph = std::make_shared<Graph>("body", outer.symbols());
  for (size_t i = 0; i < inputs; ++i) graph->add_input("in" + std::to_string(i), Type::tensor(DType::kF32));
  GraphBuilder b(*graph);
  for (Value* value : build(b, graph->inputs())) graph->outputs.push_back({"out", value});
  return graph;
}

// As above for a body that casts or compares: its inputs have these types from the start.
template <class Build>
std::shared_ptr<Graph> typed_subgraph(Graph& outer, const std::vector<std::string>& types, Build&& build) {
  auto graph = std::make_shared<Graph>("body", outer.symbols());
  for (const std::string& type : types) graph->add_input("in", *parse_type(type));
  GraphBuilder b(*graph);
  for (Value* value : build(b, graph->inputs())) graph->outputs.push_back({"out", value});
  EXPECT_TRUE(b.status().ok()) << b.status().error().message;
  return graph;
}

TEST(ControlFlow, IfTakesOneBranch) {
  Graph graph;
  GraphBuilder b(graph);
  Value* condition = graph.add_input("c", *parse_type("bool"));
  Value* x = graph.add_input("x", *parse_type("f32[n, 3]"));
  auto negate = subgraph(graph, 1, [](GraphBuilder& s, auto in) { return std::vector{s.neg(in[0])}; });
  auto join = subgraph(graph, 1, [](GraphBuilder& s, auto in) { return std::vector{s.op("Concat", {in[0], in[0]}, {{"axis", int64_t{0}}})}; });
  Value* y = b.op("If", {condition, x}, {{"then_branch", negate}, {"else_branch", join}, {"captures", int64_t{1}}});
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  EXPECT_EQ(type_of(y), "f32[inner, 3]");
  graph.outputs = {{"y", y}};
  auto run = [&](bool chosen) {
    auto result = evaluate(graph, {Datum(Tensor::scalar<bool>(chosen)), Datum(Tensor::from<float>({1, 3}, {1, 2, 3}))});
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return numbers_of(result->outputs[0].tensor());
  };
  EXPECT_THAT(run(true), ElementsAre(-1, -2, -3));
  EXPECT_THAT(run(false), ElementsAre(1, 2, 3, 1, 2, 3));
  EXPECT_EQ(type_of(negate->outputs[0].value), "f32[n, 3]") << "evaluation changed the graph";
}

TEST(ControlFlow, IfReportsBranchesThatDoNotFit) {
  Graph graph;
  GraphBuilder b(graph);
  Value* condition = graph.add_input("c", *parse_type("bool[]"));
  Value* x = graph.add_input("x", *parse_type("f32[2]"));
  auto as_is = subgraph(graph, 1, [](GraphBuilder&, auto in) { return std::vector{in[0]}; });
  auto shape = subgraph(graph, 1, [](GraphBuilder& s, auto in) { return std::vector{s.op("Shape", {in[0]})}; });
  b.op("If", {condition, x}, {{"then_branch", as_is}, {"else_branch", shape}, {"captures", int64_t{1}}});
  EXPECT_THAT(b.status().error().message, HasSubstr("differ in element type"));
  GraphBuilder again(graph);
  again.op("If", {condition, x}, {{"then_branch", as_is}, {"else_branch", as_is}});
  EXPECT_THAT(again.status().error().message, HasSubstr("captures"));
  GraphBuilder third(graph);
  third.op("If", {condition}, {{"then_branch", as_is}, {"else_branch", as_is}});
  EXPECT_THAT(third.status().error().message, HasSubstr("1 inputs, but the node gives it 0"));
}

struct LoopScene {
  Graph graph;
  GraphBuilder b{graph};
  Value* trips = graph.add_input("m", *parse_type("i64[]"));
  Value* x = graph.add_input("x", *parse_type("f32[2]"));
};

TEST(ControlFlow, LoopCarriesAndCollects) {
  LoopScene s;
  // x <- x + step; collects x; stops before 2 < i.
  auto body = typed_subgraph(s.graph, {"i64[]", "bool[]", "f32[2]", "f32[]"}, [](GraphBuilder& b, auto in) {
    Value* next = b.add(in[2], in[3]);
    Value* running = b.op("Less", {in[0], b.constant(Tensor::scalar<int64_t>(2))});
    return std::vector{running, next, next};
  });
  Value* step = s.b.constant(Tensor::scalar<float>(1));
  auto outputs = s.b.op_n("Loop", {s.trips, nullptr, s.x, step}, {{"body", body}, {"captures", int64_t{1}}}, 2);
  ASSERT_TRUE(s.b.status().ok()) << s.b.status().error().message;
  EXPECT_EQ(type_of(outputs[0]), "f32[2]");
  EXPECT_EQ(type_of(outputs[1]), "f32[trips, 2]");
  s.graph.outputs = {{"last", outputs[0]}, {"all", outputs[1]}};
  auto run = [&](int64_t trips) { return evaluate(s.graph, {Datum(Tensor::scalar<int64_t>(trips)), Datum(Tensor::from<float>({2}, {0, 10}))}); };
  auto result = run(100);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(numbers_of(result->outputs[0].tensor()), ElementsAre(3, 13));
  EXPECT_THAT(numbers_of(result->outputs[1].tensor()), ElementsAre(1, 11, 2, 12, 3, 13));
  result = run(0);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(numbers_of(result->outputs[0].tensor()), ElementsAre(0, 10));
  EXPECT_EQ(result->outputs[1].tensor().extents(), (std::vector<int64_t>{0, 2}));
}

TEST(ControlFlow, LoopGeneralizesCarriedShapes) {
  LoopScene s;
  auto body = typed_subgraph(s.graph, {"i64[]", "bool[]", "f32[2]"}, [](GraphBuilder& b, auto in) {
    return std::vector{in[1], b.op("Concat", {in[2], in[2]}, {{"axis", int64_t{0}}})};
  });
  Value* y = s.b.op("Loop", {s.trips, nullptr, s.x}, {{"body", body}});
  ASSERT_TRUE(s.b.status().ok()) << s.b.status().error().message;
  EXPECT_EQ(type_of(y), "f32[inner]");
  s.graph.outputs = {{"y", y}};
  auto result = evaluate(s.graph, {Datum(Tensor::scalar<int64_t>(3)), Datum(Tensor::from<float>({2}, {1, 2}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outputs[0].tensor().elements(), 16);
}

TEST(ControlFlow, LoopStopsAtTheLimit) {
  LoopScene s;
  auto body = typed_subgraph(s.graph, {"i64[]", "bool[]", "f32[2]"}, [](GraphBuilder&, auto in) { return std::vector{in[1], in[2]}; });
  s.graph.outputs = {{"y", s.b.op("Loop", {nullptr, nullptr, s.x}, {{"body", body}})}};
  EvaluateOptions options;
  options.limits.loop_trips = 10;
  auto result = evaluate(s.graph, {Datum(Tensor::scalar<int64_t>(0)), Datum(Tensor::from<float>({2}, {1, 2}))}, options);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("loop-trips=10"));
}

TEST(ControlFlow, LoopThatMustExceedTheLimitDoesNotStart) {
  LoopScene s;
  auto body = typed_subgraph(s.graph, {"i64[]", "bool[]", "f32[2]"}, [](GraphBuilder&, auto in) { return std::vector{in[1], in[2]}; });
  s.graph.outputs = {{"y", s.b.op("Loop", {s.trips, nullptr, s.x}, {{"body", body}})}};
  auto result = evaluate(s.graph, {Datum(Tensor::scalar<int64_t>(int64_t{1} << 62)), Datum(Tensor::from<float>({2}, {1, 2}))});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("the loop takes 4611686018427387904 iterations, beyond the limit loop-trips="));
}

TEST(ControlFlow, ScanWalksBothWays) {
  Graph graph;
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", *parse_type("f32[n, 2]"));
  auto body = typed_subgraph(graph, {"f32[2]", "f32[2]"}, [](GraphBuilder& s, auto in) {
    Value* sum = s.add(in[0], in[1]);
    return std::vector{sum, sum};
  });
  Value* start = b.constant(Tensor::from<float>({2}, {0, 0}));
  const std::vector<int64_t> one = {1};
  auto outputs = b.op_n("Scan", {start, x}, {{"body", body}, {"num_scan_inputs", int64_t{1}}, {"scan_input_directions", one}, {"scan_output_axes", one}}, 2);
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  EXPECT_EQ(type_of(outputs[1]), "f32[2, n]");
  graph.outputs = {{"last", outputs[0]}, {"all", outputs[1]}};
  auto result = evaluate(graph, {Datum(Tensor::from<float>({2, 2}, {1, 2, 10, 20}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(numbers_of(result->outputs[0].tensor()), ElementsAre(11, 22));
  EXPECT_THAT(numbers_of(result->outputs[1].tensor()), ElementsAre(10, 11, 20, 22));
}

TEST(Sequence, InsertEraseJoin) {
  Graph graph;
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", *parse_type("i64[n]"));
  Value* sequence = b.op("SequenceConstruct", {x, b.ints({7})});
  sequence = b.op("SequenceInsert", {sequence, b.ints({8, 9}), b.constant(Tensor::scalar<int64_t>(-2))});
  Value* joined = b.op("ConcatFromSequence", {sequence}, {{"axis", int64_t{0}}});
  Value* erased = b.op("SequenceErase", {sequence});
  Value* at = b.op("SequenceAt", {erased, b.constant(Tensor::scalar<int32_t>(-1))});
  Value* length = b.op("SequenceLength", {erased});
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  EXPECT_EQ(type_of(sequence), "seq(i64)");
  graph.outputs = {{"joined", joined}, {"at", at}, {"length", length}};
  auto result = evaluate(graph, {Datum(list({1, 2}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(result->outputs[0].tensor().ints(), ElementsAre(8, 9, 1, 2, 7));
  EXPECT_THAT(result->outputs[1].tensor().ints(), ElementsAre(1, 2));
  EXPECT_THAT(result->outputs[2].tensor().ints(), ElementsAre(2));
}

TEST(Sequence, ErrorsNameThePosition) {
  Graph graph;
  GraphBuilder b(graph);
  Value* position = graph.add_input("p", *parse_type("i64[]"));
  graph.outputs = {{"y", b.op("SequenceAt", {b.op("SequenceConstruct", {b.ints({7})}), position})}};
  auto result = evaluate(graph, {Datum(Tensor::scalar<int64_t>(1))});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("index 1 is outside of an extent of 1"));
  EXPECT_THAT(inferred("SequenceAt", {"f32[2]", "i64[]"})[0], HasSubstr("must be a sequence"));
  EXPECT_THAT(inferred("SequenceInsert", {"seq(f32)", "i64[2]"})[0], HasSubstr("a sequence holds"));
  EXPECT_THAT(error_of("SplitToSequence", {list({1, 2}), list({1, 2})}), HasSubstr("does not fit an extent of 2"));
}

TEST(Sequence, MapRunsItsBodyOnEachElement) {
  Graph graph;
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", *parse_type("f32[4]"));
  auto body = typed_subgraph(graph, {"f32[2]", "f32[]"}, [](GraphBuilder& s, auto in) { return std::vector{s.add(in[0], in[1])}; });
  Value* parts = b.op("SplitToSequence", {x, b.constant(Tensor::scalar<int64_t>(3))});
  Value* mapped = b.op("SequenceMap", {parts, b.constant(Tensor::scalar<float>(1))}, {{"body", body}, {"captures", int64_t{1}}});
  graph.outputs = {{"y", b.op("ConcatFromSequence", {mapped}, {{"axis", int64_t{0}}})}};
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  auto result = evaluate(graph, {Datum(Tensor::from<float>({4}, {1, 2, 3, 4}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(numbers_of(result->outputs[0].tensor()), ElementsAre(2, 3, 4, 5));
}

TEST(Optional, HoldsOrHoldsNot) {
  Graph graph;
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", *parse_type("f32[n]"));
  Value* empty = b.op("Optional", {}, {{"type", *parse_type("f32[2]")}});
  Value* full = b.op("Optional", {x});
  EXPECT_EQ(type_of(full), "optional(f32[n])");
  graph.outputs = {{"a", b.op("OptionalHasElement", {empty})}, {"b", b.op("OptionalHasElement", {full})}, {"c", b.op("OptionalGetElement", {full})},
                   {"d", b.op("OptionalHasElement", {})}};
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  auto result = evaluate(graph, {Datum(Tensor::from<float>({1}, {5}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_FALSE(result->outputs[0].tensor().int_at(0));
  EXPECT_TRUE(result->outputs[1].tensor().int_at(0));
  EXPECT_THAT(numbers_of(result->outputs[2].tensor()), ElementsAre(5));
  EXPECT_FALSE(result->outputs[3].tensor().int_at(0));
  graph.outputs = {{"e", b.op("OptionalGetElement", {empty})}};
  EXPECT_FALSE(evaluate(graph, {Datum(Tensor::from<float>({1}, {5}))}).ok());
}

}  // namespace
}  // namespace gannet::test
