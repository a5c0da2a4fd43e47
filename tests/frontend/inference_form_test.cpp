#include "frontend/inference_form.h"

#include "frontend/model_file.h"
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using testing::ElementsAre;

TestModel normalization(int64_t opset, std::vector<std::string> outputs, bool training_mode) {
  TestModel model(opset);
  model.input("x", {int64_t{2}, int64_t{2}});
  for (const char* name : {"scale", "bias", "mean"}) model.floats(name, {2}, {1, 2});
  model.floats("variance", {2}, {4, 9});
  if (training_mode)
    model.node("BatchNormalization", {"x", "scale", "bias", "mean", "variance"}, outputs,
               {{"training_mode", int64_t{1}}});
  else
    model.node("BatchNormalization", {"x", "scale", "bias", "mean", "variance"}, outputs);
  return model;
}

ModelFile loaded(const TestModel& model) {
  auto file = load_model_bytes(model.proto.SerializeAsString(), "m.onnx");
  EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
  return *std::move(file);
}

TEST(InferenceForm, TakesTheRunningStatistics) {
  for (const auto& [opset, training_mode] : {std::pair{15, true}, {9, false}}) {
    TestModel model = normalization(opset, {"y", "m", "v"}, training_mode);
    set_test_type(*model.graph().add_value_info(), "m", DType::kF32, {int64_t{2}});
    model.output("y");
    const auto form = to_inference_form(loaded(model));
    ASSERT_TRUE(form.ok()) << form.error().message;
    EXPECT_THAT(form->nodes, ElementsAre("y"));
    ASSERT_NE(form->file, nullptr);
    EXPECT_EQ(form->file->proto.graph().value_info_size(), 0);
    const auto imported = import_model(form->file);
    ASSERT_TRUE(imported.ok()) << imported.error().message;
    const auto result = evaluate(*imported->graph, {Tensor::from<float>({2, 2}, {1, 2, 3, 5})});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_NEAR(result->outputs[0].tensor().double_at(3), 2 + 2 * (5 - 2) / 3.0, 1e-4);
  }
}

TEST(InferenceForm, StatisticsThatAreReadStay) {
  TestModel model = normalization(15, {"y", "m", "v"}, true);
  model.output("y").output("m");
  const auto form = to_inference_form(loaded(model));
  ASSERT_TRUE(form.ok());
  EXPECT_EQ(form->file, nullptr);
  EXPECT_TRUE(form->nodes.empty());
  TestModel inference = normalization(15, {"y"}, false);
  inference.output("y");
  EXPECT_EQ(to_inference_form(loaded(inference))->file, nullptr);
}

}  // namespace
}  // namespace gannet
