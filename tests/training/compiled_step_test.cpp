// Training steps of whole models, compiled and run by a Session, against the reference evaluator.
#include <gtest/gtest.h>

#include <cmath>

#include "frontend/import.h"
#include "frontend/templates.h"
#include "ir/base/random.h"
#include "ir/evaluate.h"
#include "passes/pass.h"
#include "tests/training/tensor_check.h"
#include "tools/deploy/run_artifact.h"
#include "tools/driver/bench_train.h"
#include "tools/driver/compile.h"

namespace gannet {
namespace {

struct Step {
  std::unique_ptr<Graph> graph;
  std::vector<InputSpec> inputs;
  std::shared_ptr<const Program> program;
};

// With `memory`, what it asks for is computed twice.
Step step_of(const Result<OnnxWriter>& writer, const OptimizerOptions& optimizer = {.momentum = 0.9}, MemoryAim* memory = nullptr,
             bool batch_statistics = false) {
  Step step;
  Result<std::string> bytes = writer.ok() ? writer->serialize() : Result<std::string>(writer.error());
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  Result<ImportedModel> model = import_model_bytes(*std::move(bytes), "model");
  EXPECT_TRUE(model.ok()) << model.error().message;
  Result<BenchStep> made = bench_training_step(*model->graph, optimizer, batch_statistics);
  EXPECT_TRUE(made.ok()) << made.error().message;
  step.graph = std::move(made->graph);
  step.inputs = std::move(made->inputs);
  const std::unique_ptr<Graph> compiled = step.graph->clone();
  Result<CompiledModel> result = compile_graph(*compiled, CompileOptions(), memory ? "training_in_memory" : "training", {}, memory);
  EXPECT_TRUE(result.ok()) << result.error().message;
  step.program = result->program;
  return step;
}

std::unique_ptr<Session> session_of(const Step& step, int threads) {
  Result<std::unique_ptr<Session>> session = make_session(step.program, threads, 0, Limits());
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

// Made-up inputs; symbols take 3, the sequence of a text 5.
std::vector<Datum> inputs_of(const Step& step, uint64_t seed, float rate = 0.05f) {
  Random random(seed);
  std::vector<Datum> inputs;
  for (const InputSpec& input : step.inputs) {
    std::vector<int64_t> extents;
    for (const Dim& dim : *input.type.shape) extents.push_back(dim.is_constant() ? dim.constant() : extents.empty() ? 3 : 5);
    Tensor tensor = Tensor::zeros(input.type.dtype, extents);
    if (input.name == "learning_rate") tensor.mutable_data<float>()[0] = rate;
    else if (input.type.dtype == DType::kF32) random.fill_normal(tensor.mutable_data<float>(), 0, 1);
    else for (int64_t& value : tensor.mutable_data<int64_t>()) value = static_cast<int64_t>(random.below(static_cast<uint64_t>(input.index_bound)));
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

// Two steps on one and on two threads: same bits; and all weights after each as the reference evaluator gives them.
void expect_same_as_reference(const Result<OnnxWriter>& writer, double tolerance, float rate = 0.05f, MemoryAim* memory = nullptr,
                              bool batch_statistics = false) {
  const Step step = step_of(writer, {.momentum = 0.9}, memory, batch_statistics);
  const auto one = session_of(step, 1), two = session_of(step, 2);
  std::vector<Tensor> states;
  for (const State& state : step.graph->states) states.push_back(state.initial);
  for (uint64_t round = 0; round < 2; ++round) {
    const std::vector<Datum> inputs = inputs_of(step, round, rate);
    Result<EvaluateResult> expected = evaluate(*step.graph, inputs, {}, states);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const Result<std::vector<Datum>> single = one->run(inputs), dual = two->run(inputs);
    ASSERT_TRUE(single.ok()) << single.error().message;
    ASSERT_TRUE(dual.ok()) << dual.error().message;
    EXPECT_TRUE((*single)[0].tensor().identical((*dual)[0].tensor()));
    test::expect_close((*single)[0].tensor(), expected->outputs[0].tensor(), tolerance, "loss");
    for (size_t i = 0; i < states.size(); ++i) {
      EXPECT_TRUE(one->state(i).identical(two->state(i))) << step.graph->states[i].name << " has other bits on two threads";
      test::expect_close(one->state(i), expected->state_outputs[i], tolerance, step.graph->states[i].name);
    }
    states = std::move(expected->state_outputs);
  }
}

TEST(CompiledStep, AnEncoderOfText) {
  BertOptions bert;
  bert.hidden = 32;
  bert.vocabulary = 50;
  bert.max_positions = 16;
  expect_same_as_reference(make_bert_classifier(bert, {}), 1e-4);
}

TEST(CompiledStep, AResidualNetOfPictures) { expect_same_as_reference(make_resnet(8, {32, 32, 3, 10}, {}), 1e-3); }

// With these weights no activation is so close to 0 that rounding decides whether its gradient counts.
TEST(CompiledStep, AResidualNetOfPicturesWithStatisticsOfTheBatch) {
  expect_same_as_reference(make_resnet(8, {32, 32, 3, 10}, {.seed = 1}), 1e-3, 0.001f, nullptr, true);
}

// Its last layers have many weights for few pixels.
TEST(CompiledStep, ADeepNetOfPictures) { expect_same_as_reference(make_resnet(18, {64, 64, 3, 10}, {}), 1e-3, 0.001f); }

TEST(CompiledStep, APlainNetOfPictures) { expect_same_as_reference(make_cnn({12, 10, 3, 4}, {}), 1e-3); }

TEST(CompiledStep, APerceptron) { expect_same_as_reference(make_mlp({20, {33, 16}, 7, LayerActivation::kGelu, true}, {}), 1e-4); }

TEST(CompiledStep, Discriminator) {
  DcganOptions dcgan;
  dcgan.image_size = 28;
  dcgan.features = 4;
  expect_same_as_reference(make_dcgan_discriminator(dcgan, {}), 1e-3);
}

TEST(CompiledStep, FourHundredAndFortyThreeDenseLayers) {
  expect_same_as_reference(make_mlp({128, std::vector<int64_t>(443, 128), 128, LayerActivation::kRelu, false}, {}), 1e-3);
}

MemoryAim least_memory() {
  MemoryAim memory;
  memory.share = 1;
  memory.extents = {{"batch", 3}, {"seq", 5}};
  return memory;
}

TEST(CompiledStep, WhatIsComputedTwiceChangesNothing) {
  MemoryAim memory = least_memory();
  expect_same_as_reference(make_mlp({20, std::vector<int64_t>(40, 33), 7, LayerActivation::kGelu, true}, {}), 1e-3, 0.01f, &memory);
  EXPECT_GT(memory.extra_work, 0.05);
  EXPECT_LT(memory.extra_work, 0.6);
  BertOptions bert;
  bert.hidden = 32;
  bert.vocabulary = 50;
  bert.max_positions = 16;
  // What is kept is chosen for a large batch.
  memory = least_memory();
  memory.extents = {{"batch", 64}, {"seq", 16}};
  expect_same_as_reference(make_bert_classifier(bert, {}), 1e-4, 0.05f, &memory);
  EXPECT_GT(memory.extra_work, 0);
  memory = least_memory();
  memory.extents = {{"batch", 64}};
  expect_same_as_reference(make_resnet(8, {32, 32, 3, 10}, {}), 1e-3, 0.05f, &memory);
  EXPECT_GT(memory.extra_work, 0);
}

// The plan that is made without a run is that of the run, and the arena of a deep net that computes twice is small.
TEST(CompiledStep, PlansMemoryWithoutRunning) {
  const auto writer = make_mlp({20, std::vector<int64_t>(60, 64), 7, LayerActivation::kTanh, false}, {});
  MemoryAim memory = least_memory();
  memory.extents = {{"batch", 3}};
  std::vector<int64_t> arenas;
  for (MemoryAim* aim : {static_cast<MemoryAim*>(nullptr), &memory}) {
    const Step step = step_of(writer, {}, aim);
    const auto planned = session_of(step, 1), run = session_of(step, 1);
    const std::vector<Datum> inputs = inputs_of(step, 0);
    const Status plan = planned->plan_for(inputs);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_TRUE(run->run(inputs).ok());
    EXPECT_EQ(planned->memory().arena_bytes, run->memory().arena_bytes);
    arenas.push_back(run->memory().arena_bytes);
    ASSERT_TRUE(planned->run(inputs).ok());
    EXPECT_TRUE(planned->state(0).identical(run->state(0)));
  }
  EXPECT_LT(arenas[1], arenas[0]);
}

TEST(CompiledStep, AStateThatWasTakenIsMissed) {
  const Step step = step_of(make_mlp({20, {33}, 7, LayerActivation::kRelu, false}, {}));
  const auto session = session_of(step, 1);
  const Tensor weight = session->take_state(0);
  const Result<std::vector<Datum>> run = session->run(inputs_of(step, 0));
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().message, "state '" + step.graph->states[0].name + "' was taken away");
  EXPECT_FALSE(session->set_state(0, Tensor::zeros(DType::kF32, {1})).ok());
  ASSERT_TRUE(session->set_state(0, weight).ok());
  EXPECT_TRUE(session->run(inputs_of(step, 0)).ok());
}

TEST(CompiledStep, StatesAreUpdatedInPlace) {
  const Step step = step_of(make_mlp({20, {33}, 7, LayerActivation::kRelu, false}, {}));
  for (const auto& each : step.program->steps) EXPECT_FALSE(std::holds_alternative<CopyCall>(each.call)) << each.name;
  const auto session = session_of(step, 1);
  ASSERT_TRUE(session->run(inputs_of(step, 0)).ok());
  const void* memory = session->state(0).raw();
  ASSERT_TRUE(session->run(inputs_of(step, 1)).ok());
  EXPECT_EQ(session->state(0).raw(), memory);
}

// All slots and the count of steps are States like the weights. Where a gradient is rounding alone, Adam makes a full step
// of it, so only the first layers of a net without such are compared.
TEST(CompiledStep, AdamWUpdatesItsSlotsInPlace) {
  const Step step = step_of(make_mlp({20, {33}, 7, LayerActivation::kGelu, false}, {}), {.kind = Optimizer::kAdamW, .weight_decay = 0.01});
  ASSERT_EQ(step.program->states.size(), 4u + 8u + 1u);
  const auto session = session_of(step, 2);
  std::vector<Tensor> states;
  for (const State& state : step.graph->states) states.push_back(state.initial);
  for (uint64_t round = 0; round < 3; ++round) {
    const std::vector<Datum> inputs = inputs_of(step, round, 1e-3f);
    ASSERT_TRUE(session->run(inputs).ok());
    states = evaluate(*step.graph, inputs, {}, states)->state_outputs;
  }
  for (size_t i = 0; i < states.size(); ++i) test::expect_close(session->state(i), states[i], 1e-3, step.graph->states[i].name);
}

TEST(CompiledStep, ACheckpointStaysAndResumesToTheSameBits) {
  const Step step = step_of(make_mlp({20, {33}, 7, LayerActivation::kTanh, false}, {}));
  const auto session = session_of(step, 1), resumed = session_of(step, 1);
  ASSERT_TRUE(session->run(inputs_of(step, 0)).ok());
  std::vector<Tensor> checkpoint, bits;
  for (size_t i = 0; i < step.program->states.size(); ++i) {
    checkpoint.push_back(session->state(i));
    bits.push_back(checkpoint.back());
    bits.back().mutable_raw();  // a copy of its own
  }
  ASSERT_TRUE(session->run(inputs_of(step, 1)).ok());
  for (size_t i = 0; i < bits.size(); ++i) {
    EXPECT_TRUE(checkpoint[i].identical(bits[i]));
    EXPECT_FALSE(session->state(i).identical(bits[i]));
    ASSERT_TRUE(resumed->set_state(i, checkpoint[i]).ok());
  }
  ASSERT_TRUE(resumed->run(inputs_of(step, 1)).ok());
  for (size_t i = 0; i < bits.size(); ++i) {
    EXPECT_TRUE(resumed->state(i).identical(session->state(i)));
    EXPECT_TRUE(checkpoint[i].identical(bits[i]));
  }
}

}  // namespace
}  // namespace gannet
