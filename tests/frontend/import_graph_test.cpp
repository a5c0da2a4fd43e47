// Names, order, types and problems of whole graphs.
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ImportGraph, UnsortedNodesAreSortedAndSortedOnesStay) {
  TestModel model(17);
  model.input("x", {2}).node("Neg", {"a"}, {"b"}).node("Abs", {"x"}, {"a"}).node("Exp", {"x"}, {"c"});
  model.node("Add", {"b", "c"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("Abs", "Neg", "Exp", "Add"));
}

TEST(ImportGraph, CycleNamesItsNodes) {
  TestModel model(17);
  model.input("x", {2})
      .node("Add", {"x", "b"}, {"a"})
      .node("Neg", {"a"}, {"b"})
      .node("Exp", {"b"}, {"y"})
      .output("y");
  EXPECT_EQ(model.error(), "m.onnx: the graph has a cycle: 'Add_0' <- 'Neg_1' <- 'Add_0'");
}

TEST(ImportGraph, EveryProblemIsReportedOnceWithItsNode) {
  TestModel model(17);
  model.input("x", {2, 3}).input("w", {4, 5});
  model.node("MatMul", {"x", "w"}, {"a"}).node("Neg", {"a"}, {"b"}).node("Relo", {"b"}, {"c"});
  model.node("Abs", {"missing"}, {"d"})
      .node("Abs", {"missing"}, {"e"})
      .node("Softmax", {"x"}, {"f"}, {{"axis", 1.5f}});
  model.node("Abs", {"x"}, {"g"}, {{"colour", int64_t{1}}}).output("c");
  std::string error = model.error();
  EXPECT_THAT(
      error,
      HasSubstr("m.onnx: node 'Relo_2' (Relo): the op Relo of domain ai.onnx, opset 17, is not known"));
  EXPECT_THAT(error, HasSubstr("m.onnx: node 'MatMul_0' (MatMul): "));
  EXPECT_THAT(error,
              HasSubstr("node 'Abs_3' (Abs): input 0 'missing' is made by no node, initializer or input"));
  EXPECT_THAT(error, HasSubstr("node 'Softmax_5' (Softmax): attribute 'axis' must be an int, not a float"));
  EXPECT_THAT(error, HasSubstr("node 'Abs_6' (Abs): attribute 'colour' is not known"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 4) << error;
}

TEST(ImportGraph, HintsNameWhatWasMeant) {
  TestModel model(17);
  model.input("image", {2}).node("Abs", {"imgae"}, {"y"}).output("y");
  model.node("Relo", {"image"}, {"z"}).output("z");
  add_test_node(model.graph(), "Abs", {"image"}, {"a"}, {}, "com.example");
  std::string error = model.error();
  EXPECT_THAT(error, HasSubstr("input 0 'imgae' is made by no node, initializer or input; did you mean 'image'?"));
  EXPECT_THAT(error, HasSubstr("the op Relo of domain ai.onnx, opset 17, is not known; did you mean Relu?"));
  EXPECT_THAT(error, HasSubstr("the op Abs of domain com.example, opset 1, is not known; did you mean Abs of ai.onnx?"));
}

TEST(ImportGraph, AProblemTakesOneLine) {
  TestModel model(17);
  model.input("x", {2}).node("Abs", {"in\nput"}, {"y"}).output("y");
  EXPECT_THAT(model.error(), HasSubstr("input 0 'in\\x0aput' is made by no node"));
}

TEST(ImportGraph, LongListsOfProblemsAreCut) {
  TestModel model(17);
  model.input("x", {2});
  for (int i = 0; i < 60; ++i) model.node("Abs", {"m" + std::to_string(i)}, {"y" + std::to_string(i)});
  model.output("y0");
  std::string error = model.error();
  EXPECT_THAT(error, HasSubstr("\nm.onnx: and 10 more"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 50);
}

TEST(ImportGraph, ValuesAreDefinedOnce) {
  TestModel model(17);
  model.input("x", {2}).node("Abs", {"x"}, {"y"}).node("Neg", {"x"}, {"y"}).output("y");
  EXPECT_EQ(model.error(), "m.onnx: the value 'y' is defined more than once");
}

TEST(ImportGraph, OutputsMayBeInputsAndInitializers) {
  TestModel model(17);
  model.input("x", {2}).floats("w", {2}, {3, 4}).output("x").output("w").output("x");
  auto outputs = model.run({counting({2})});
  EXPECT_THAT(floats_of(outputs[0]), ElementsAre(0, 1));
  EXPECT_THAT(floats_of(outputs[1]), ElementsAre(3, 4));
  EXPECT_THAT(floats_of(outputs[2]), ElementsAre(0, 1));
}

TEST(ImportGraph, InitializersThatAreInputsAreConstants) {
  TestModel model(8);
  model.input("x", {2}).input("w", {2}).floats("w", {2}, {3, 4}).node("Add", {"x", "w"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(imported->graph->inputs().size(), 1u);
  const Value* weight = imported->graph->nodes().front()->output();
  ASSERT_TRUE(weight->origin.has_value());
  EXPECT_EQ(weight->origin->name, "w");
  EXPECT_GE(weight->origin->offset, 0);
  TestModel other(8);
  other.input("w", {3}).floats("w", {2}, {3, 4}).output("w");
  EXPECT_THAT(other.error(),
              HasSubstr("initializer 'w' is f32[2], but the input of that name is declared as f32[3]"));
}

TEST(ImportGraph, UnnamedDimensionsAreSymbolsOfTheirInput) {
  TestModel model(17);
  model.input("x", {"n", "", 0}).input("z", {"x_d1", "None"}).node("Abs", {"x"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->inputs()[0]->type), "f32[n, x_d1_1, x_d2]");
  EXPECT_EQ(to_string(imported->graph->inputs()[1]->type), "f32[x_d1, z_d1]");
}

TEST(ImportGraph, ShapesCanBeGiven) {
  TestModel model(17);
  model.input("x", {"n", 3}).input("z", {"n"}).node("Abs", {"x"}, {"y"}).output("y");
  ImportOptions options;
  options.input_shapes["x"] = {Dim(5), Dim(4)};
  auto imported = model.import(options);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->inputs()[0]->type), "f32[5, 4]");
  EXPECT_EQ(to_string(imported->graph->inputs()[1]->type), "f32[5]");
  options.input_shapes = {{"x", {Dim(5)}}, {"images", {Dim(1)}}};
  EXPECT_THAT(model.error(options), HasSubstr("the shape [5] is given for 'x', which is f32[n, 3]"));
  EXPECT_THAT(model.error(options), HasSubstr("a shape is given for 'images', which is no input"));
}

TEST(ImportGraph, WrongDeclaredOutputTypes) {
  TestModel model(17);
  model.input("x", {2}).node("Abs", {"x"}, {"y"});
  set_test_type(*model.graph().add_output(), "y", DType::kI64, {2});
  EXPECT_EQ(model.error(), "m.onnx: output 'y' is declared as i64[2], but is f32[2]");
  set_test_type(*model.graph().mutable_output(0), "y", DType::kF32, {7});
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(imported->info.notes, ElementsAre("output 'y' is declared as f32[7], but is f32[2]"));
}

TEST(ImportGraph, MissingAndNewerOpsets) {
  TestModel model(0);
  model.input("x", {2}).node("Abs", {"x"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(imported->info.notes, ElementsAre(HasSubstr("18 is assumed for its IR version 8")));
  model.import_domain("ai.onnx", 99);
  imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(imported->info.notes, ElementsAre("opset 99 is newer than 25, which it is read as"));
}

TEST(ImportGraph, NodeLimitAndMaps) {
  TestModel model(17);
  model.input("x", {2}).node("Abs", {"x"}, {"a"}).node("Abs", {"a"}, {"b"}).output("b");
  ImportOptions options;
  options.limits.nodes = 1;
  EXPECT_FALSE(model.import(options).ok());
  onnx::ValueInfoProto& input = *model.graph().add_input();
  input.set_name("m");
  input.mutable_type()->mutable_map_type()->set_key_type(7);
  auto imported = model.import();
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(imported.error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(imported.error().message, "m.onnx: input 'm': a map, which is not supported");
}

}  // namespace
}  // namespace gannet
