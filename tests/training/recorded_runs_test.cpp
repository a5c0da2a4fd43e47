// Fifty steps of training against PyTorch: same weights, same batches, the same loss at every step.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "frontend/import.h"
#include "frontend/templates.h"
#include "ir/evaluate.h"
#include "passes/build_train_step.h"
#include "passes/weights_to_state.h"
#include "passes/widen_model.h"

namespace gannet {
namespace {

#include "tests/training/recorded_losses.inc"

constexpr int64_t kSteps = 50;

struct Run {
  OptimizerOptions optimizer;
  double rate = 0;
};

Run nesterov() { return {{.momentum = 0.9, .nesterov = true}, 0.01}; }
Run adam() { return {{.kind = Optimizer::kAdam}, 0.001}; }
Run adamw() { return {{.kind = Optimizer::kAdamW, .weight_decay = 0.01}, 0.001}; }

using Batch = std::vector<Datum>;  // inputs of the model, then the target

Batch bert_batch(int64_t step, int64_t rows, int64_t length, int64_t vocabulary) {
  Tensor ids = Tensor::zeros(DType::kI64, {rows, length}), mask = ids, types = ids,
         target = Tensor::zeros(DType::kI64, {rows});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < length; ++j) {
      auto at = static_cast<size_t>(i * length + j);
      ids.mutable_data<int64_t>()[at] = (31 * i + 17 * j + 13 * step + i * j * step % 7) % vocabulary;
      mask.mutable_data<int64_t>()[at] = j < length - i % 3;
      types.mutable_data<int64_t>()[at] = j >= length / 2;
    }
    target.mutable_data<int64_t>()[static_cast<size_t>(i)] = (7 * i + 3 * step) / 2 % 2;
  }
  return {ids, mask, types, target};
}

Batch image_batch(int64_t step, int64_t rows, int64_t size) {
  Tensor x = Tensor::zeros(DType::kF32, {rows, 3, size, size}), target = Tensor::zeros(DType::kI64, {rows});
  auto pixels = x.mutable_data<float>();
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<float>((7919 * static_cast<int64_t>(i) + 104729 * step) % 2048 - 1024) / 1024;
  }
  for (int64_t i = 0; i < rows; ++i)
    target.mutable_data<int64_t>()[static_cast<size_t>(i)] = (7 * i + 3 * step) % 10;
  return {x, target};
}

// The model as State with statistics of the batch, in `dtype`.
Result<TrainStep> prepared(Result<OnnxWriter> writer, DType dtype, const Run& run) {
  if (!writer.ok()) return writer.error();
  std::string bytes = TRY(writer->serialize());
  ImportedModel model = TRY(import_model_bytes(std::move(bytes), "model.onnx"));
  TRY(widen_model(*model.graph, dtype));
  TRY(weights_to_state(*model.graph, {.running_statistics = true}));
  TrainStepOptions options;
  options.optimizer = run.optimizer;
  return build_train_step(*model.graph, options);
}

void expect_losses(const Result<TrainStep>& step, const Run& run, const std::function<Batch(int64_t)>& batch,
                   std::span<const double> expected, double tolerance) {
  ASSERT_TRUE(step.ok()) << step.error().message;
  DType rate_dtype = step->graph->inputs().back()->type.dtype;
  std::vector<Tensor> states;
  for (int64_t i = 0; i < kSteps; ++i) {
    Batch inputs = batch(i);
    inputs.emplace_back(Tensor::scalar_of(rate_dtype, run.rate));
    auto result = evaluate(*step->graph, std::move(inputs), {}, states);
    ASSERT_TRUE(result.ok()) << result.error().message;
    states = std::move(result->state_outputs);
    double loss = result->outputs[0].tensor().double_at(0), wanted = expected[static_cast<size_t>(i)];
    ASSERT_NEAR(loss, wanted, tolerance * std::abs(wanted)) << "step " << i;
  }
}

void expect_bert(DType dtype, const Run& run, std::span<const double> expected) {
  BertOptions bert{.layers = 2, .hidden = 16, .heads = 2, .vocabulary = 40, .max_positions = 16};
  expect_losses(
      prepared(make_bert_classifier(bert, {}), dtype, run), run,
      [](int64_t i) { return bert_batch(i, 4, 8, 40); }, expected, dtype == DType::kF64 ? 1e-8 : 1e-4);
}

void expect_resnet(DType dtype, const Run& run, std::span<const double> expected) {
  expect_losses(
      prepared(make_resnet(8, {.height = 8, .width = 8}, {}), dtype, run), run,
      [](int64_t i) { return image_batch(i, 4, 8); }, expected, dtype == DType::kF64 ? 1e-8 : 1e-4);
}

TEST(RecordedRuns, BertWithNesterovInF32) { expect_bert(DType::kF32, nesterov(), kBertNesterovF32); }
TEST(RecordedRuns, BertWithNesterovInF64) { expect_bert(DType::kF64, nesterov(), kBertNesterovF64); }
TEST(RecordedRuns, BertWithAdamInF32) { expect_bert(DType::kF32, adam(), kBertAdamF32); }
TEST(RecordedRuns, BertWithAdamInF64) { expect_bert(DType::kF64, adam(), kBertAdamF64); }
TEST(RecordedRuns, BertWithAdamWInF32) { expect_bert(DType::kF32, adamw(), kBertAdamwF32); }
TEST(RecordedRuns, BertWithAdamWInF64) { expect_bert(DType::kF64, adamw(), kBertAdamwF64); }
TEST(RecordedRuns, ResNetWithNesterovInF32) { expect_resnet(DType::kF32, nesterov(), kResnetNesterovF32); }
TEST(RecordedRuns, ResNetWithNesterovInF64) { expect_resnet(DType::kF64, nesterov(), kResnetNesterovF64); }
TEST(RecordedRuns, ResNetWithAdamInF32) { expect_resnet(DType::kF32, adam(), kResnetAdamF32); }
TEST(RecordedRuns, ResNetWithAdamInF64) { expect_resnet(DType::kF64, adam(), kResnetAdamF64); }
TEST(RecordedRuns, ResNetWithAdamWInF32) { expect_resnet(DType::kF32, adamw(), kResnetAdamwF32); }
TEST(RecordedRuns, ResNetWithAdamWInF64) { expect_resnet(DType::kF64, adamw(), kResnetAdamwF64); }

}  // namespace
}  // namespace gannet
