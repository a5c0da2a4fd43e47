// Fifty steps of training against PyTorch: same weights, same batches, the same loss at every step. Small models run on
// the reference evaluator, those of full size compiled, on one thread (others give the same bits).
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "frontend/import.h"
#include "frontend/templates.h"
#include "passes/build_train_step.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "passes/widen_model.h"
#include "runtime/training/graph_runner.h"
#include "tests/training/recorded_batches.h"
#include "tools/driver/compile.h"

namespace gannet::test {
namespace {

#include "tests/training/recorded_full_losses.inc"
#include "tests/training/recorded_losses.inc"

constexpr int64_t kSteps = 50;

struct Run {
  OptimizerOptions optimizer;
  double rate = 0;
};

Run nesterov() { return {{.momentum = 0.9, .nesterov = true}, 0.01}; }
Run adam(double rate) { return {{.kind = Optimizer::kAdam}, rate}; }
Run adamw(double rate) { return {{.kind = Optimizer::kAdamW, .weight_decay = 0.01}, rate}; }
constexpr double kBertRate = 0.001, kResnetRate = 0.0002;

enum class Engine { kReference, kCompiled };

// The step of a model as State with statistics of the batch, in `dtype`.
Result<std::unique_ptr<GraphRunner>> prepared(Result<OnnxWriter> writer, DType dtype, const Run& run, Engine engine) {
  if (!writer.ok()) return writer.error();
  std::string bytes = TRY(writer->serialize());
  ImportedModel model = TRY(import_model_bytes(std::move(bytes), "model.onnx"));
  TRY(widen_model(*model.graph, dtype));
  TRY(weights_to_state(*model.graph, {.running_statistics = true}));
  if (engine == Engine::kCompiled) {
    PassContext context;
    TRY(run_passes(*model.graph, find_pipeline("before_gradient"), context));
  }
  TrainStepOptions options;
  options.optimizer = run.optimizer;
  TrainStep step = TRY(build_train_step(*model.graph, options));
  if (engine == Engine::kReference) return make_reference_runner(std::move(step.graph), {});
  const CompiledModel compiled = TRY(compile_graph(*step.graph, CompileOptions(), "training"));
  std::unique_ptr<Session> session = TRY(make_session(compiled.program, 1, 0, Limits()));
  return make_session_runner(*compiled.program, std::move(session));
}

void expect_losses(const Result<std::unique_ptr<GraphRunner>>& step, const Run& run,
                   const std::function<Batch(int64_t)>& batch, std::span<const double> expected, double tolerance) {
  ASSERT_TRUE(step.ok()) << step.error().message;
  ASSERT_EQ(expected.size(), static_cast<size_t>(kSteps));
  const DType rate_dtype = (*step)->inputs().back().type.dtype;
  double worst = 0;
  for (int64_t i = 0; i < kSteps; ++i) {
    Batch inputs = batch(i);
    inputs.emplace_back(Tensor::scalar_of(rate_dtype, run.rate));
    const auto result = (*step)->run(inputs, 0);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const double loss = (*result)[0].tensor().double_at(0), wanted = expected[static_cast<size_t>(i)];
    worst = std::max(worst, std::abs(loss - wanted) / std::abs(wanted));
    ASSERT_NEAR(loss, wanted, tolerance * std::abs(wanted)) << "step " << i;
  }
  testing::Test::RecordProperty("largest_relative_difference", fmt::format("{:.2e}", worst));
}

double tolerance_of(DType dtype) { return dtype == DType::kF64 ? 1e-8 : 1e-4; }

void expect_bert(DType dtype, const Run& run, std::span<const double> expected) {
  const BertOptions bert{.layers = 2, .hidden = 16, .heads = 2, .vocabulary = 40, .max_positions = 16};
  expect_losses(
      prepared(make_bert_classifier(bert, {}), dtype, run, Engine::kReference), run,
      [](int64_t i) { return bert_batch(i, 4, 8, 40); }, expected, tolerance_of(dtype));
}

void expect_resnet(DType dtype, const Run& run, std::span<const double> expected) {
  expect_losses(
      prepared(make_resnet(8, {.height = 8, .width = 8}, {}), dtype, run, Engine::kReference), run,
      [](int64_t i) { return image_batch(i, 4, 8); }, expected, tolerance_of(dtype));
}

void expect_full_bert(DType dtype, const Run& run, std::span<const double> expected) {
  const BertOptions bert{.layers = 2, .hidden = 128, .heads = 2};
  expect_losses(
      prepared(make_bert_classifier(bert, {}), dtype, run, Engine::kCompiled), run,
      [&](int64_t i) { return bert_batch(i, 32, 64, bert.vocabulary); }, expected, tolerance_of(dtype));
}

void expect_full_resnet(DType dtype, const Run& run, std::span<const double> expected) {
  expect_losses(
      prepared(make_resnet(8, {.height = 32, .width = 32}, {}), dtype, run, Engine::kCompiled), run,
      [](int64_t i) { return image_batch(i, 128, 32); }, expected, tolerance_of(dtype));
}

TEST(RecordedRuns, BertWithNesterovInF32) { expect_bert(DType::kF32, nesterov(), kBertNesterovF32); }
TEST(RecordedRuns, BertWithNesterovInF64) { expect_bert(DType::kF64, nesterov(), kBertNesterovF64); }
TEST(RecordedRuns, BertWithAdamInF32) { expect_bert(DType::kF32, adam(kBertRate), kBertAdamF32); }
TEST(RecordedRuns, BertWithAdamInF64) { expect_bert(DType::kF64, adam(kBertRate), kBertAdamF64); }
TEST(RecordedRuns, BertWithAdamWInF32) { expect_bert(DType::kF32, adamw(kBertRate), kBertAdamwF32); }
TEST(RecordedRuns, BertWithAdamWInF64) { expect_bert(DType::kF64, adamw(kBertRate), kBertAdamwF64); }
TEST(RecordedRuns, ResNetWithNesterovInF32) { expect_resnet(DType::kF32, nesterov(), kResnetNesterovF32); }
TEST(RecordedRuns, ResNetWithNesterovInF64) { expect_resnet(DType::kF64, nesterov(), kResnetNesterovF64); }
TEST(RecordedRuns, ResNetWithAdamInF32) { expect_resnet(DType::kF32, adam(kResnetRate), kResnetAdamF32); }
TEST(RecordedRuns, ResNetWithAdamInF64) { expect_resnet(DType::kF64, adam(kResnetRate), kResnetAdamF64); }
TEST(RecordedRuns, ResNetWithAdamWInF32) { expect_resnet(DType::kF32, adamw(kResnetRate), kResnetAdamwF32); }
TEST(RecordedRuns, ResNetWithAdamWInF64) { expect_resnet(DType::kF64, adamw(kResnetRate), kResnetAdamwF64); }

TEST(RecordedFullRuns, BertWithNesterovInF32) {
  expect_full_bert(DType::kF32, nesterov(), kFullBertNesterovF32);
}
TEST(RecordedFullRuns, BertWithAdamInF32) {
  expect_full_bert(DType::kF32, adam(kBertRate), kFullBertAdamF32);
}
TEST(RecordedFullRuns, BertWithAdamWInF32) {
  expect_full_bert(DType::kF32, adamw(kBertRate), kFullBertAdamwF32);
}
TEST(RecordedFullRuns, ResNetWithNesterovInF32) {
  expect_full_resnet(DType::kF32, nesterov(), kFullResnetNesterovF32);
}
TEST(RecordedFullRuns, ResNetWithAdamInF32) {
  expect_full_resnet(DType::kF32, adam(kResnetRate), kFullResnetAdamF32);
}
TEST(RecordedFullRuns, ResNetWithAdamWInF32) {
  expect_full_resnet(DType::kF32, adamw(kResnetRate), kFullResnetAdamwF32);
}

TEST(NightlyRecordedFullRuns, BertWithNesterovInF64) {
  expect_full_bert(DType::kF64, nesterov(), kFullBertNesterovF64);
}
TEST(NightlyRecordedFullRuns, BertWithAdamInF64) {
  expect_full_bert(DType::kF64, adam(kBertRate), kFullBertAdamF64);
}
TEST(NightlyRecordedFullRuns, BertWithAdamWInF64) {
  expect_full_bert(DType::kF64, adamw(kBertRate), kFullBertAdamwF64);
}
TEST(NightlyRecordedFullRuns, ResNetWithNesterovInF64) {
  expect_full_resnet(DType::kF64, nesterov(), kFullResnetNesterovF64);
}
TEST(NightlyRecordedFullRuns, ResNetWithAdamInF64) {
  expect_full_resnet(DType::kF64, adam(kResnetRate), kFullResnetAdamF64);
}
TEST(NightlyRecordedFullRuns, ResNetWithAdamWInF64) {
  expect_full_resnet(DType::kF64, adamw(kResnetRate), kFullResnetAdamwF64);
}

}  // namespace
}  // namespace gannet::test
