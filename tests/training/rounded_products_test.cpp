// Training with operands of products rounded to bf16: against the reference evaluator on the same step, and
// beside f32.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "frontend/import.h"
#include "frontend/templates.h"
#include "passes/build_train_step.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "runtime/training/graph_runner.h"
#include "tests/training/recorded_batches.h"
#include "tools/driver/compile.h"
#include "tools/driver/training_runner.h"

namespace gannet::test {
namespace {

constexpr double kRate = 0.002;

Result<std::unique_ptr<GraphRunner>> step_of(Result<OnnxWriter> writer, DType products, bool reference) {
  if (!writer.ok()) return writer.error();
  ImportedModel model = TRY(import_model_bytes(TRY(writer->serialize()), "model.onnx"));
  TRY(weights_to_state(*model.graph, {.running_statistics = true}));
  PassContext context;
  TRY(run_passes(*model.graph, find_pipeline("before_gradient"), context));
  TrainStepOptions options;
  options.optimizer = {.kind = Optimizer::kAdam};
  TrainStep step = TRY(build_train_step(*model.graph, options));
  RunnerOptions runner;
  runner.reference = reference;
  runner.threads = 2;
  runner.compile.product_dtype = products;
  return make_training_runner(std::move(step.graph), "training", runner);
}

std::vector<double> losses_of(Result<std::unique_ptr<GraphRunner>> step, int64_t steps,
                              const std::function<Batch(int64_t)>& batch) {
  std::vector<double> losses;
  EXPECT_TRUE(step.ok()) << step.error().message;
  for (int64_t i = 0; step.ok() && i < steps; ++i) {
    Batch inputs = batch(i);
    inputs.emplace_back(Tensor::scalar_of(DType::kF32, kRate));
    const auto result = (*step)->run(inputs, 0);
    EXPECT_TRUE(result.ok()) << result.error().message;
    if (!result.ok()) break;
    losses.push_back((*result)[0].tensor().double_at(0));
  }
  return losses;
}

void expect_curves(const std::vector<double>& given, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(given.size(), expected.size());
  for (size_t i = 0; i < given.size(); ++i)
    ASSERT_NEAR(given[i], expected[i], tolerance * std::abs(expected[i])) << "step " << i;
}

void expect_training(const std::function<Result<OnnxWriter>()>& model,
                     const std::function<Batch(int64_t)>& batch) {
  constexpr int64_t kFew = 4, kSteps = 40;
  const std::vector<double> rounded = losses_of(step_of(model(), DType::kBF16, false), kSteps, batch);
  ASSERT_EQ(rounded.size(), static_cast<size_t>(kSteps));
  const std::vector<double> meant = losses_of(step_of(model(), DType::kBF16, true), kFew, batch);
  expect_curves({rounded.begin(), rounded.begin() + kFew}, meant, 1e-3);
  const std::vector<double> plain = losses_of(step_of(model(), DType::kF32, false), kSteps, batch);
  EXPECT_NE(rounded[0], plain[0]);
  expect_curves(rounded, plain, 0.05);
}

TEST(RoundedTraining, Transformer) {
  const BertOptions bert{.layers = 2, .hidden = 32, .heads = 2, .vocabulary = 40, .max_positions = 16};
  expect_training([&] { return make_bert_classifier(bert, {}); },
                  [](int64_t i) { return bert_batch(i, 4, 8, 40); });
}

TEST(RoundedTraining, ConvolutionalNetwork) {
  expect_training([] { return make_resnet(8, {.height = 8, .width = 8}, {}); },
                  [](int64_t i) { return image_batch(i, 4, 8); });
}

}  // namespace
}  // namespace gannet::test
