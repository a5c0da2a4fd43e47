// Weakly supervised steps of whole models, compiled and run by a Session, against the reference evaluator.
#include <gtest/gtest.h>

#include <cmath>

#include "frontend/import.h"
#include "frontend/templates.h"
#include "ir/base/random.h"
#include "ir/evaluate.h"
#include "passes/build_train_step.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "tests/training/tensor_check.h"
#include "tools/deploy/run_artifact.h"
#include "tools/driver/compile.h"

namespace gannet {
namespace {

constexpr int64_t kLabelled = 2, kRatio = 2, kClasses = 4;

std::unique_ptr<Graph> step_of(const Result<OnnxWriter>& writer, const TrainStepOptions& options) {
  Result<std::string> bytes = writer.ok() ? writer->serialize() : Result<std::string>(writer.error());
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  Result<ImportedModel> model = import_model_bytes(*std::move(bytes), "model");
  EXPECT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE(weights_to_state(*model->graph, {.running_statistics = true}).ok());
  PassContext context;
  EXPECT_TRUE(run_passes(*model->graph, find_pipeline("before_gradient"), context).ok());
  Result<TrainStep> step = build_train_step(*model->graph, options);
  EXPECT_TRUE(step.ok()) << step.error().message;
  return std::move(step->graph);
}

std::vector<Datum> inputs_of(const Graph& step, const WeakLossOptions& weak, uint64_t round) {
  Random random(9, round);
  std::vector<Datum> inputs;
  for (const Value* input : step.inputs()) {
    std::vector<int64_t> extents;
    for (const Dim& dim : *input->type.shape)
      extents.push_back(dim.is_constant()   ? dim.constant()
                        : dim.symbol_name() ? kLabelled * rows_for_each_label(weak)
                                            : kLabelled);
    Tensor tensor = Tensor::zeros(input->type.dtype, extents);
    if (input->name == "learning_rate") {
      tensor.mutable_data<float>()[0] = 0.001F;
    } else if (input->type.dtype == DType::kF32) {
      random.fill_normal(tensor.mutable_data<float>(), 0.5, 1);
    } else {
      for (int64_t& label : tensor.mutable_data<int64_t>())
        label = static_cast<int64_t>(random.below(kClasses));
    }
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

// Three steps on one and on two threads: the same bits, and all States as the reference evaluator gives them.
void expect_same_as_reference(const Result<OnnxWriter>& writer, WeakMethod method) {
  TrainStepOptions options;
  options.weak = WeakLossOptions{method, kRatio, method == WeakMethod::kFixMatch ? 0.3 : 0};
  options.optimizer = {
      .momentum = 0.9, .ema_decay = method == WeakMethod::kMeanTeacher ? 0.9 : 0, .ema_warmup = true};
  const std::unique_ptr<Graph> step = step_of(writer, options);
  const std::unique_ptr<Graph> compiled = step->clone();
  const Result<CompiledModel> made = compile_graph(*compiled, CompileOptions(), "training");
  ASSERT_TRUE(made.ok()) << made.error().message;
  std::unique_ptr<Session> one = *make_session(made->program, 1, 0, Limits()),
                           two = *make_session(made->program, 2, 0, Limits());
  std::vector<Tensor> states;
  for (const State& state : step->states) states.push_back(state.initial);
  for (uint64_t round = 0; round < 3; ++round) {
    const std::vector<Datum> inputs = inputs_of(*step, *options.weak, round);
    Result<EvaluateResult> expected = evaluate(*step, inputs, {}, states);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const Result<std::vector<Datum>> single = one->run(inputs), dual = two->run(inputs);
    ASSERT_TRUE(single.ok()) << single.error().message;
    ASSERT_TRUE(dual.ok()) << dual.error().message;
    for (size_t i = 0; i < expected->outputs.size(); ++i) {
      EXPECT_TRUE((*single)[i].tensor().identical((*dual)[i].tensor())) << step->outputs[i].name;
      test::expect_close((*single)[i].tensor(), expected->outputs[i].tensor(), 1e-3, step->outputs[i].name);
    }
    for (size_t i = 0; i < states.size(); ++i) {
      EXPECT_TRUE(one->state(i).identical(two->state(i))) << step->states[i].name;
      test::expect_close(one->state(i), expected->state_outputs[i], 1e-3, step->states[i].name);
    }
    states = std::move(expected->state_outputs);
  }
}

TEST(WeakStep, FixMatchOfAResidualNet) {
  expect_same_as_reference(make_resnet(8, {16, 16, 3, kClasses}, {.seed = 1}), WeakMethod::kFixMatch);
}
TEST(WeakStep, MeanTeacherOfAResidualNet) {
  expect_same_as_reference(make_resnet(8, {16, 16, 3, kClasses}, {.seed = 1}), WeakMethod::kMeanTeacher);
}
// Its output ends in Softmax.
TEST(WeakStep, PseudoLabelsOfAPlainNet) {
  expect_same_as_reference(make_cnn({12, 10, 3, kClasses}, {}), WeakMethod::kPseudoLabel);
}

}  // namespace
}  // namespace gannet
