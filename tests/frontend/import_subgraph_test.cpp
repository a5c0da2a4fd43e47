// Bodies of If and Loop: captures become operands.
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

onnx::GraphProto branch(const std::string& op, const Names& inputs, const std::string& output) {
  onnx::GraphProto graph;
  graph.set_name(op + "_branch");
  add_test_node(graph, op, inputs, {output});
  graph.add_output()->set_name(output);
  return graph;
}

TestModel branching() {
  TestModel model(17);
  model.input("c", {}, DType::kBool).input("x", {2}).input("z", {2});
  model.node("Neg", {"x"}, {"a"});
  model.node(
      "If", {"c"}, {"y"},
      {{"then_branch", branch("Sub", {"z", "a"}, "t")}, {"else_branch", branch("Add", {"a", "x"}, "e")}});
  return model.output("y");
}

TEST(ImportSubgraph, CapturesOfBothBranchesAreOneListOfOperands) {
  TestModel model = branching();
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  const Node& node = *imported->graph->nodes().back();
  EXPECT_EQ(node.inputs().size(), 4u);
  EXPECT_EQ(node.attrs.integer("captures"), 3);
  for (const char* name : {"then_branch", "else_branch"}) {
    const Graph& graph = *node.attrs.graph(name);
    ASSERT_EQ(graph.inputs().size(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(graph.inputs()[i]->name, node.input(i + 1)->name);
  }
  Tensor x = Tensor::from<float>({2}, {1, 2}), z = Tensor::from<float>({2}, {10, 20});
  EXPECT_THAT(floats_of(model.run({Tensor::scalar(true), x, z})[0]), ElementsAre(11, 22));
  EXPECT_THAT(floats_of(model.run({Tensor::scalar(false), x, z})[0]), ElementsAre(0, 0));
}

TEST(ImportSubgraph, CapturesPassThroughLevels) {
  TestModel model(17);
  model.input("c", {}, DType::kBool).input("x", {2}).ints("axes", {1}, {0});
  onnx::GraphProto outer;
  outer.set_name("outer");
  add_test_node(outer, "If", {"c"}, {"o"},
                {{"then_branch", branch("Unsqueeze", {"x", "axes"}, "t")},
                 {"else_branch", branch("Unsqueeze", {"x", "axes"}, "e")}});
  outer.add_output()->set_name("o");
  model.node("If", {"c"}, {"y"},
             {{"then_branch", outer}, {"else_branch", branch("Unsqueeze", {"x", "axes"}, "u")}});
  model.output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(imported->graph->nodes().back()->attrs.integer("captures"),
            2);  // c and x; axes are repeated inside
  EXPECT_THAT(floats_of(model.run({Tensor::scalar(true), counting({2})})[0]), ElementsAre(0, 1));
}

TEST(ImportSubgraph, LoopCountsWithACapture) {
  TestModel model(17);
  model.input("x", {2}).ints("trips", {}, {3});
  onnx::GraphProto body;
  set_test_type(*body.add_input(), "i", DType::kI64, {});
  set_test_type(*body.add_input(), "go", DType::kBool, {});
  set_test_type(*body.add_input(), "sum", DType::kF32, {2});
  add_test_node(body, "Add", {"sum", "x"}, {"next"});
  add_test_node(body, "Identity", {"go"}, {"still"});
  for (const char* name : {"still", "next", "next"}) body.add_output()->set_name(name);
  model.node("Loop", {"trips", "", "x"}, {"last", "all"}, {{"body", body}}).output("last").output("all");
  auto outputs = model.run({counting({2})});
  EXPECT_THAT(floats_of(outputs[0]), ElementsAre(0, 4));
  EXPECT_THAT(floats_of(outputs[1]), ElementsAre(0, 2, 0, 3, 0, 4));
}

TEST(ImportSubgraph, ProblemsInsideAreReported) {
  TestModel model(17);
  model.input("c", {}, DType::kBool).input("x", {2});
  model.node(
      "If", {"c"}, {"y"},
      {{"then_branch", branch("Sub", {"x", "gone"}, "t")}, {"else_branch", branch("Absolute", {"x"}, "e")}});
  model.output("y");
  EXPECT_THAT(model.error(), HasSubstr("input 1 'gone' is made by no node"));
  EXPECT_THAT(model.error(), HasSubstr("the op Absolute of domain ai.onnx, opset 17, is not known"));
}

TEST(ImportSubgraph, NestingHasALimit) {
  onnx::GraphProto inner = branch("Neg", {"x"}, "y0");
  for (int i = 1; i < 6; ++i) {
    onnx::GraphProto outer;
    std::string name = "y" + std::to_string(i);
    add_test_node(outer, "If", {"c"}, {name},
                  {{"then_branch", inner}, {"else_branch", branch("Neg", {"x"}, "e")}});
    outer.add_output()->set_name(name);
    inner = outer;
  }
  TestModel model(17);
  model.input("c", {}, DType::kBool).input("x", {2});
  model.node("If", {"c"}, {"y"}, {{"then_branch", inner}, {"else_branch", branch("Neg", {"x"}, "e")}})
      .output("y");
  EXPECT_TRUE(model.import().ok());
  ImportOptions options;
  options.limits.nesting = 4;
  EXPECT_THAT(model.error(options), HasSubstr("nested deeper than 4"));
}

}  // namespace
}  // namespace gannet
