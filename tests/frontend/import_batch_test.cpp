// A fixed batch made symbolic.
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImportOptions symbolic() {
  ImportOptions options;
  options.symbolic_batch = true;
  return options;
}

std::string output_type(const TestModel& model) {
  auto imported = model.import(symbolic());
  return imported.ok() ? to_string(imported->graph->outputs[0].value->type) : imported.error().message;
}

TestModel reshaping(const std::vector<TestDim>& input, const std::vector<int64_t>& target) {
  TestModel model(17);
  model.input("x", input).ints("s", {static_cast<int64_t>(target.size())}, target);
  return model.node("Reshape", {"x", "s"}, {"y"}).output("y");
}

TEST(ImportBatch, ReshapeConstantsFollow) {
  EXPECT_EQ(output_type(reshaping({1, 3, 4}, {1, 12})), "f32[batch, 12]");
  EXPECT_EQ(output_type(reshaping({1, 3, 4}, {1, -1})), "f32[batch, 12]");
  EXPECT_EQ(output_type(reshaping({1, 3, 4}, {-1, 12})), "f32[batch, 12]");
  EXPECT_EQ(output_type(reshaping({1, 12}, {1, 1, 3, 4})), "f32[batch, 1, 3, 4]");
  EXPECT_EQ(output_type(reshaping({1, 6, 4}, {6, 4})), "f32[6*batch, 4]");
  EXPECT_EQ(output_type(reshaping({2, 6, 4}, {0, -1})), "f32[batch, 24]");
  EXPECT_EQ(output_type(reshaping({2, 6, 4}, {12, 4})), "f32[6*batch, 4]");
}

// The channel shuffle of ShuffleNet, where the batch is neither first nor alone.
TEST(ImportBatch, BatchInsideOfAShuffle) {
  TestModel model(17);
  model.input("x", {1, 8, 5}).ints("a", {3}, {4, 2, 5}).ints("b", {4}, {2, -1, 4, 5});
  model.node("Reshape", {"x", "a"}, {"u"})
      .node("Transpose", {"u"}, {"v"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  model.node("Reshape", {"v", "b"}, {"y"}).output("y");
  EXPECT_EQ(output_type(model), "f32[2, batch, 4, 5]");
}

TEST(ImportBatch, WhatHoldsTheBatchIsNamed) {
  TestModel model(17);
  model.input("x", {2, 3}).floats("state", {2, 2}, {1, 2, 3, 4});
  model.node("Concat", {"x", "state"}, {"y"}, {{"axis", int64_t{1}}}).output("y");
  EXPECT_THAT(model.error(symbolic()), HasSubstr("node 'Concat_0' (Concat): "));
  EXPECT_THAT(model.error(symbolic()), HasSubstr("with a batch of 5 instead of 2"));
}

TEST(ImportBatch, PartsAndStatesAreThoseOfEach) {
  TestModel model(17);
  model.input("x", {1, 1, 2}).floats("token", {1, 1, 2}, {7, 8});
  model.node("Concat", {"token", "x"}, {"y"}, {{"axis", int64_t{1}}}).output("y");
  EXPECT_EQ(output_type(model), "f32[batch, 2, 2]");
  EXPECT_THAT(floats_of(model.run({counting({2, 1, 2})}, symbolic())[0]),
              ElementsAre(7, 8, 0, 1, 7, 8, 2, 3));

  TestModel layer(17);
  layer.input("x", {1, 4, 1}).floats("w", {1, 1, 1}, {1}).floats("r", {1, 1, 1}, {0}).floats("h", {1, 1, 1}, {0});
  layer.node("Transpose", {"x"}, {"t"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  layer.node("RNN", {"t", "w", "r", "", "", "h"}, {"y"}, {{"hidden_size", int64_t{1}}}).output("y");
  EXPECT_EQ(output_type(layer), "f32[4, 1, batch, 1]");
}

// Time outside of the batch, as attention of PyTorch lays it out: rows of a matrix, then heads.
TEST(ImportBatch, RowsOfAMatrixHoldIt) {
  TestModel model(17);
  model.input("x", {1, 5, 8}).ints("rows", {2}, {5, 8}).ints("heads", {3}, {5, 4, 2});
  model.node("Transpose", {"x"}, {"t"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  model.node("Reshape", {"t", "rows"}, {"y"}).node("Reshape", {"t", "heads"}, {"z"}).output("y").output("z");
  auto imported = model.import(symbolic());
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[5*batch, 8]");
  EXPECT_EQ(to_string(imported->graph->outputs[1].value->type), "f32[5, 4*batch, 2]");
}

TEST(ImportBatch, AllInputsThatShareItFollow) {
  TestModel model(17);
  model.input("x", {4, 3}).input("z", {4, 1}).input("w", {3}).node("Mul", {"x", "z"}, {"a"});
  model.node("Add", {"a", "w"}, {"y"}).output("y");
  EXPECT_EQ(output_type(model), "f32[batch, 3]");
  auto outputs = model.run({counting({2, 3}), counting({2, 1}), counting({3})}, symbolic());
  EXPECT_THAT(floats_of(outputs[0]), ElementsAre(0, 1, 2, 3, 5, 7));
}

}  // namespace
}  // namespace gannet
