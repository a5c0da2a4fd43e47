#include "runtime/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "passes/build_evaluation.h"
#include "passes/weights_to_state.h"
#include "runtime/training/batches.h"
#include "tools/driver/compile.h"

namespace gannet {
namespace {

// A perceptron with a batch normalization in inference form.
std::unique_ptr<Graph> perceptron(bool normalized) {
  auto graph = std::make_unique<Graph>();
  GraphBuilder b(*graph);
  Random random(3);
  int64_t offset = 0;
  auto weight = [&](const std::string& name, std::vector<int64_t> extents, double low, double high) {
    Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
    random.fill_uniform(tensor.mutable_data<float>(), low, high);
    Value* constant = graph->add_constant(tensor, name);
    constant->origin = Origin{name, offset++};
    return constant;
  };
  Value* x = graph->add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("batch"), 2}));
  Value* h = b.op("Gemm", {x, weight("w1", {2, 8}, -1, 1), weight("b1", {8}, 0, 0.1)});
  if (normalized) {
    h = b.op("BatchNormalization", {h, weight("scale", {8}, 0.9, 1), weight("shift", {8}, 0, 0.1),
                                    weight("mean", {8}, -0.1, 0.1), weight("var", {8}, 0.9, 1.1)});
  }
  h = b.op("Tanh", {h});
  graph->outputs = {{"y", b.op("Gemm", {h, weight("w2", {8, 2}, -1, 1), weight("b2", {2}, 0, 0.1)})}};
  EXPECT_TRUE(b.status().ok());
  EXPECT_TRUE(weights_to_state(*graph).ok());
  return graph;
}

TrainingEngine engine_of(const Graph& model, bool accumulate, bool compiled, double ema = 0) {
  TrainStepOptions options;
  options.accumulate = accumulate;
  options.optimizer.kind = Optimizer::kAdamW;
  options.optimizer.ema_decay = ema;
  Result<TrainStep> step = build_train_step(model, options);
  EXPECT_TRUE(step.ok()) << step.error().message;
  Result<std::unique_ptr<Graph>> evaluation = build_evaluation(model, options, *step);
  EXPECT_TRUE(evaluation.ok()) << evaluation.error().message;
  auto runner = [&](std::unique_ptr<Graph> graph) {
    if (!compiled) return make_reference_runner(std::move(graph), Limits());
    Result<CompiledModel> program = compile_graph(*graph, CompileOptions(), "training");
    EXPECT_TRUE(program.ok()) << program.error().message;
    return make_session_runner(*program->program, *make_session(program->program, 1, 0, Limits()));
  };
  EngineGraphs graphs;
  graphs.step = runner(std::move(step->graph));
  if (step->apply) graphs.apply = runner(std::move(step->apply));
  graphs.evaluation = runner(*std::move(evaluation));
  return TrainingEngine(std::move(graphs));
}

// Points of a square; the class is whether their coordinates differ in sign.
NamedColumns quadrants(int64_t rows, uint64_t seed) {
  Tensor points = Tensor::zeros(DType::kF32, {rows, 2}), labels = Tensor::zeros(DType::kI64, {rows});
  Random random(seed);
  random.fill_uniform(points.mutable_data<float>(), -1, 1);
  for (int64_t i = 0; i < rows; ++i)
    labels.mutable_data<int64_t>()[static_cast<size_t>(i)] =
        points.double_at(2 * i) * points.double_at(2 * i + 1) < 0;
  return {{"x", points}, {"labels", labels}};
}

Batches batches_of(int64_t rows, int64_t size, uint64_t seed) {
  return *Batches::make(quadrants(rows, seed), size, seed);
}

TrainerOptions options_for(int64_t steps) {
  TrainerOptions options;
  options.schedule = {ScheduleKind::kCosine, 0.05, steps, 3};
  options.seed = 9;
  return options;
}

struct Recorder final : TrainingObserver {
  std::vector<double> losses;
  std::vector<int64_t> rows, epochs, evaluations;
  Status step(const StepReport& report) override {
    losses.push_back(report.loss);
    rows.push_back(report.rows);
    return {};
  }
  Status epoch(const EpochReport& report) override { return epochs.push_back(report.step), Status(); }
  Status evaluation(const EvaluationReport& report) override {
    return evaluations.push_back(report.step), Status();
  }
};

double largest_difference(const NamedTensors& a, const NamedTensors& b) {
  double largest = 0;
  EXPECT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    for (int64_t k = 0; k < a[i].second.elements(); ++k) {
      largest = std::max(largest, std::abs(a[i].second.double_at(k) - b[i].second.double_at(k)));
    }
  }
  return largest;
}

TEST(TrainingEngine, StatesGoFromGraphToGraphWithoutCopies) {
  const std::unique_ptr<Graph> model = perceptron(false);
  Batches batches = batches_of(32, 16, 1);
  for (const bool accumulate : {false, true}) {
    TrainingEngine engine = engine_of(*model, accumulate, true);
    ASSERT_TRUE(engine.own_states().ok());
    std::vector<std::pair<std::string, const void*>> places;
    for (const auto& [name, tensor] : engine.states()) places.emplace_back(name, tensor.raw());
    EXPECT_GT(places.size(), 4u);
    const std::vector<BatchColumns> both = {batches.batch(0), batches.batch(1)};
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(engine.update(std::span(both).first(accumulate ? 2 : 1), 0.01, 1).ok());
      ASSERT_TRUE(engine.evaluate(both[0]).ok());
    }
    for (size_t i = 0; i < places.size(); ++i) {
      EXPECT_EQ(engine.states()[i].first, places[i].first);
      EXPECT_EQ(engine.states()[i].second.raw(), places[i].second) << places[i].first;
    }
  }
}

TEST(Trainer, LearnsAndReportsEveryStepEpochAndEvaluation) {
  const auto model = perceptron(false);
  TrainingEngine engine = engine_of(*model, false, true);
  Batches train = batches_of(100, 32, 1), held_out = batches_of(60, 32, 2);
  TrainerOptions options = options_for(200);
  options.evaluate_every = 60;
  options.choose_by = "accuracy";
  const auto metrics = make_class_metrics(1, std::nullopt);
  Trainer trainer(engine, train, options);
  trainer.hold_out(held_out, *metrics);
  Recorder recorder;
  trainer.add_observer(recorder);
  const auto outcome = trainer.run();
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->end, TrainingEnd::kComplete);
  EXPECT_EQ(recorder.losses.size(), 200u);
  EXPECT_LT(recorder.losses.back(), 0.6 * recorder.losses.front());
  EXPECT_EQ(std::vector<int64_t>(recorder.rows.begin(), recorder.rows.begin() + 4),
            (std::vector<int64_t>{32, 32, 32, 4}));
  EXPECT_EQ(recorder.epochs.size(), 50u);
  EXPECT_THAT(recorder.evaluations, testing::ElementsAre(60, 120, 180, 200));
  EXPECT_GT(*outcome->best, 0.8);
}

// The same rows in one batch, in two batches of an update, and in pieces of either.
TEST(Trainer, PiecesGiveWhatTheWholeBatchGives) {
  const auto model = perceptron(false);
  std::vector<NamedTensors> ends;
  std::vector<double> first_losses;
  struct Way {
    int64_t batch, accumulate, piece;
  };
  for (const Way way : {Way{24, 1, 0}, Way{12, 2, 0}, Way{24, 1, 7}, Way{12, 2, 5}}) {
    TrainingEngine engine = engine_of(*model, way.accumulate > 1 || way.piece > 0, true);
    Batches train = batches_of(48, way.batch, 1);
    TrainerOptions options = options_for(10);
    options.accumulate = way.accumulate;
    options.piece_rows = way.piece;
    Trainer trainer(engine, train, options);
    Recorder recorder;
    trainer.add_observer(recorder);
    const auto outcome = trainer.run();
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(trainer.updates_per_epoch(), 2);
    EXPECT_EQ(recorder.rows[0], 24);
    first_losses.push_back(recorder.losses[0]);
    ends.push_back(outcome->weights);
  }
  for (size_t i = 1; i < ends.size(); ++i) {
    EXPECT_NEAR(first_losses[i], first_losses[0], 1e-6);
    EXPECT_LT(largest_difference(ends[i], ends[0]), 1e-4) << i;
  }
}

TEST(Trainer, CompiledFollowsTheReference) {
  for (const bool accumulate : {false, true}) {
    const auto model = perceptron(true);
    std::vector<NamedTensors> ends;
    for (const bool compiled : {false, true}) {
      TrainingEngine engine = engine_of(*model, accumulate, compiled, 0.9);
      Batches train = batches_of(40, 10, 1);
      Trainer trainer(engine, train, options_for(12));
      ends.push_back(trainer.run()->weights);
    }
    EXPECT_LT(largest_difference(ends[0], ends[1]), 1e-5);
  }
}

TEST(Trainer, AStopThatComesBeforeTheFirstUpdateLeavesNothing) {
  const auto model = perceptron(false);
  TrainingEngine engine = engine_of(*model, false, false);
  Batches train = batches_of(40, 10, 1);
  const std::atomic<bool> stop = true;
  TrainerOptions options = options_for(12);
  options.stop = &stop;
  Trainer trainer(engine, train, options);
  Recorder recorder;
  trainer.add_observer(recorder);
  const auto outcome = trainer.run();
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->end, TrainingEnd::kInterrupted);
  EXPECT_EQ(outcome->step, 0);
  EXPECT_TRUE(outcome->weights.empty());
  EXPECT_TRUE(recorder.losses.empty());
}

TEST(Trainer, AveragesAreWhatIsEvaluatedAndGivenBack) {
  const auto model = perceptron(false);
  TrainingEngine engine = engine_of(*model, false, true, 0.99);
  Batches train = batches_of(40, 10, 1);
  Trainer trainer(engine, train, options_for(12));
  const NamedTensors weights = trainer.run()->weights;
  const NamedTensors states = engine.states();
  for (const auto& [name, tensor] : weights) {
    const auto average = std::ranges::find(states, "ema/" + name, &std::pair<std::string, Tensor>::first);
    ASSERT_NE(average, states.end()) << name;
    EXPECT_TRUE(average->second.identical(tensor));
    const auto present = std::ranges::find(states, name, &std::pair<std::string, Tensor>::first);
    EXPECT_FALSE(present->second.identical(tensor));
  }
}

TEST(TrainingEngine, RestoreNamesWhatDoesNotFit) {
  const auto model = perceptron(false);
  TrainingEngine engine = engine_of(*model, true, false);
  NamedTensors states = engine.states();
  EXPECT_TRUE(engine.restore(states).ok());
  auto error = [&](const NamedTensors& given) {
    const Status status = engine.restore(given);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_EQ(error({{"nowhere", Tensor::scalar(1.f)}}), "there is no state 'nowhere' in this training");
  NamedTensors wrong = states;
  wrong[0].second = Tensor::zeros(DType::kF32, {1});
  EXPECT_THAT(error(wrong), testing::HasSubstr("is f32[1], this training has f32[2, 8]"));
  states.pop_back();
  EXPECT_THAT(error(states), testing::HasSubstr("is missing"));
}

TEST(TrainingEngine, EvaluationChangesNothing) {
  const auto model = perceptron(true);
  TrainingEngine engine = engine_of(*model, false, true);
  Batches train = batches_of(40, 40, 1);
  const NamedTensors before = engine.states();
  const auto first = engine.evaluate(train.batch(0)), second = engine.evaluate(train.batch(0));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->loss, second->loss);
  EXPECT_EQ(first->prediction.extents(), (std::vector<int64_t>{40, 2}));
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(engine.states()[i].second.identical(before[i].second));
}

}  // namespace
}  // namespace gannet
