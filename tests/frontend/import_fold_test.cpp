// What is folded while importing, and what must not be.
#include <cstdint>

#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

TEST(ImportFold, ShapeArithmeticBecomesDims) {
  TestModel model(14);
  model.input("x", {"batch", "seq", 12}).ints("zero", {}, {0}).ints("one", {}, {1}).ints("axes", {1}, {0});
  model.ints("heads", {2}, {3, 4});
  model.node("Shape", {"x"}, {"s"}).node("Gather", {"s", "zero"}, {"b"}).node("Gather", {"s", "one"}, {"q"});
  model.node("Unsqueeze", {"b", "axes"}, {"b1"}).node("Cast", {"q"}, {"q64"}, {{"to", int64_t{7}}});
  model.node("Unsqueeze", {"q64", "axes"}, {"q1"});
  model.node("Concat", {"b1", "q1", "heads"}, {"t"}, {{"axis", int64_t{0}}});
  model.node("Reshape", {"x", "t"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("Dims", "Reshape"));
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[batch, seq, 3, 4]");
}

TEST(ImportFold, DataDependentExtentsStayComputed) {
  TestModel model(17);
  model.input("x", {"n"}).node("NonZero", {"x"}, {"z"}).node("Shape", {"z"}, {"s"}).output("s");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("NonZero", "Shape"));
  auto outputs = model.run({Tensor::from<float>({3}, {0, 5, 6})});
  EXPECT_THAT(outputs[0].tensor().ints(), ElementsAre(1, 2));
}

TEST(ImportFold, WeightsStayAndIntegersFold) {
  TestModel model(17);
  model.input("x", {2}).floats("w", {2}, {1, 2}).floats("scale", {}, {2}).ints("i", {2}, {3, 4});
  model.node("Mul", {"w", "scale"}, {"ws"}).node("Add", {"x", "ws"}, {"y"}).output("y");
  model.node("Cast", {"scale"}, {"k"}, {{"to", int64_t{7}}}).node("Mul", {"i", "k"}, {"ik"}).output("ik");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("Constant", "Constant", "Mul", "Add", "Constant"));
  EXPECT_THAT(imported->graph->outputs[1].value->constant()->ints(), ElementsAre(6, 8));
}

TEST(ImportFold, RoundedFloatsOfShapesFold) {
  TestModel model(17);
  model.input("x", {"n", 6}).floats("half", {}, {2.5f}).floats("two", {}, {2}).ints("open", {1}, {-1});
  model.node("Floor", {"half"}, {"f"}).node("Mul", {"f", "two"}, {"m"});
  model.node("Cast", {"m"}, {"k"}, {{"to", int64_t{7}}}).ints("axes", {1}, {0});
  model.node("Unsqueeze", {"k", "axes"}, {"k1"});
  model.node("Concat", {"open", "k1"}, {"s"}, {{"axis", int64_t{0}}}).node("Reshape", {"x", "s"}, {"y"});
  auto imported = model.output("y").import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("Constant", "Reshape"));
}

TEST(ImportFold, IntegersThatWrapAroundAreNoDimensions) {
  TestModel model(17);
  model.input("x", {"n"}).ints("least", {1}, {INT64_MIN}).node("Neg", {"least"}, {"negated"}).output("negated");
  model.node("Shape", {"x"}, {"s0"});
  for (int i = 0; i < 60; ++i) {
    std::string from = "s" + std::to_string(i), to = "s" + std::to_string(i + 1);
    model.node("Mul", {from, from}, {to});
  }
  auto outputs = model.output("s60").run({Tensor::from<float>({1}, {5})});
  EXPECT_THAT(outputs[0].tensor().ints(), ElementsAre(INT64_MIN));
  EXPECT_THAT(outputs[1].tensor().ints(), ElementsAre(1));
}

TEST(ImportFold, OldSoftmaxOfSymbolsLeavesNoShapeOp) {
  TestModel model(11);
  model.input("x", {"n", 3, 4}).node("Softmax", {"x"}, {"y"}).output("y");
  auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_THAT(op_names(*imported->graph), Not(Contains("Shape")));
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[n, 3, 4]");
}

}  // namespace
}  // namespace gannet
