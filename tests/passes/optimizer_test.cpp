#include "passes/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/evaluate.h"
#include "ir/verify.h"
#include "passes/build_train_step.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Weights "a" [3] and "b" [1, 2] whose gradients are the inputs.
struct Scene {
  Graph graph;
  GraphBuilder b{graph};
  std::vector<Value*> gradients;
  Value* rate = nullptr;

  Scene() {
    add("a", Tensor::from<double>({3}, {1, -2, 0.5}));
    add("b", Tensor::from<double>({1, 2}, {3, -0.25}));
    for (const State& state : graph.states)
      gradients.push_back(graph.add_input("d" + state.name, state.in->type));
    rate = graph.add_input("rate", Type::tensor(DType::kF64, Shape{}));
  }
  void add(const std::string& name, Tensor initial) {
    Value* in = graph.add_state_value(name, Type::tensor(initial.dtype(), to_shape(initial.extents())));
    graph.states.push_back({name, in, nullptr, initial, {}});
  }
  struct Rows {
    std::vector<int64_t> extents;  // of what comes back for four of them
  };
  // A third weight, of which four rows along `axis` are read; what comes back for them, and their positions,
  // are inputs.
  Rows add_rows(const std::vector<int64_t>& table, int64_t axis) {
    add("table", Tensor::zeros(DType::kF64, table));
    Rows rows{table};
    rows.extents[static_cast<size_t>(axis)] = 4;
    graph.erase_input(2);
    Value* dy = graph.add_input("drows", Type::tensor(DType::kF64, to_shape(rows.extents)));
    Value* positions = graph.add_input("positions", Type::tensor(DType::kI64, Shape{Dim(4)}));
    rate = graph.add_input("rate", Type::tensor(DType::kF64, Shape{}));
    gradients.push_back(b.op("GatherGradient", {dy, positions, b.dims(to_shape(table))}, {{"axis", axis}}));
    return rows;
  }
  Status build(const OptimizerOptions& options) {
    graph.outputs = {{"norm", TRY(build_update(b, options, gradients, rate))}};
    erase_dead_nodes(graph);
    return verify(graph);
  }
  // Runs `steps` updates; the gradient of step t is that of a fixed sequence.
  std::vector<Tensor> run(int steps, double learning_rate, double scale = 1) {
    std::vector<Tensor> states;
    for (const State& state : graph.states) states.push_back(state.initial);
    for (int t = 0; t < steps; ++t) {
      std::vector<double> da, db;
      for (int i = 0; i < 5; ++i) (i < 3 ? da : db).push_back(scale * gradient(t, i));
      std::vector<Datum> inputs = {Tensor::from<double>({3}, da), Tensor::from<double>({1, 2}, db),
                                   Tensor::scalar(learning_rate)};
      auto result = evaluate(graph, std::move(inputs), {}, states);
      EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
      if (!result.ok()) return states;
      states = result->state_outputs;
      norm = result->outputs[0].tensor().double_at(0);
    }
    return states;
  }
  static double gradient(int t, int i) { return std::sin(1.3 * i + 0.7 * t) * (1 + i) / 2; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const State& state : graph.states) all.push_back(state.name);
    return all;
  }
  double norm = 0;
};

std::vector<double> numbers(const std::vector<Tensor>& states) {
  std::vector<double> all;
  for (size_t k = 0; k < 2; ++k) {
    for (int64_t i = 0; i < states[k].elements(); ++i) all.push_back(states[k].double_at(i));
  }
  return all;
}

// The weights after five updates; expected numbers are PyTorch's, made by
// tests/training/record_optimizers.py.
void expect_recorded(const OptimizerOptions& options, std::vector<double> expected) {
  Scene scene;
  Status status = scene.build(options);
  ASSERT_TRUE(status.ok()) << status.error().message;
  std::vector<double> found = numbers(scene.run(5, 0.125));
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(found[i], expected[i], 1e-13 * std::abs(expected[i])) << i;
}

#include "tests/training/optimizers.inc"

TEST(Optimizer, SlotsAreNamedAfterTheirWeights) {
  Scene scene;
  ASSERT_TRUE(scene.build({.kind = Optimizer::kAdamW, .ema_decay = 0.5}).ok());
  EXPECT_THAT(scene.names(), ElementsAre("a", "b", "train.step", "adam.m/a", "adam.v/a", "ema/a", "adam.m/b",
                                         "adam.v/b", "ema/b"));
  std::vector<Tensor> states = scene.run(3, 0.1);
  EXPECT_EQ(states[2].int_at(0), 3);
}

TEST(Optimizer, AveragesFollowTheWeights) {
  Scene scene;
  ASSERT_TRUE(scene.build({.ema_decay = 0.75}).ok());
  std::vector<Tensor> states = scene.run(2, 0.5);
  double w = 1, shadow = 1;
  for (int t = 0; t < 2; ++t) {
    w -= 0.5 * Scene::gradient(t, 0);
    shadow = 0.75 * shadow + 0.25 * w;
  }
  EXPECT_NEAR(states[0].double_at(0), w, 1e-15);
  EXPECT_NEAR(states[2].double_at(0), shadow, 1e-15);
}

TEST(Optimizer, RatesGoByName) {
  Scene scene;
  ASSERT_TRUE(scene.build({.rates = {{"a", 0.5}, {"*", 0}}}).ok());
  EXPECT_NE(scene.graph.states[0].out, nullptr);
  EXPECT_EQ(scene.graph.states[1].out, nullptr);
  std::vector<Tensor> states = scene.run(1, 1);
  EXPECT_NEAR(states[0].double_at(1), -2 - 0.5 * Scene::gradient(0, 1), 1e-15);
}

TEST(Optimizer, WeightsCanWait) {
  for (const OptimizerOptions& base : {OptimizerOptions{}, OptimizerOptions{.momentum = 0.9, .weight_decay = 0.1},
                                       OptimizerOptions{.kind = Optimizer::kAdamW, .weight_decay = 0.1},
                                       OptimizerOptions{.kind = Optimizer::kAdagrad},
                                       OptimizerOptions{.kind = Optimizer::kLamb, .weight_decay = 0.1}}) {
    OptimizerOptions waiting = base;
    waiting.rates = {{"a", 0.5, 2}};
    auto after = [](const OptimizerOptions& options, int steps) {
      Scene scene;
      EXPECT_TRUE(scene.build(options).ok());
      return numbers(scene.run(steps, 0.125));
    };
    const std::vector<double> start = after(waiting, 0), second = after(waiting, 2), third = after(waiting, 3);
    EXPECT_EQ(std::vector(start.begin(), start.begin() + 3), std::vector(second.begin(), second.begin() + 3));
    for (size_t i = 0; i < 3; ++i) EXPECT_NE(second[i], third[i]) << name_of(base.kind);
    const std::vector<double> free = after(base, 3);
    for (size_t i = 3; i < 5; ++i) EXPECT_EQ(third[i], free[i]) << name_of(base.kind);
  }
}

TEST(Optimizer, DecayGoesByNameAndRank) {
  for (OptimizerOptions options : {OptimizerOptions{.weight_decay = 0.5, .no_decay = {"a"}},
                                   {.weight_decay = 0.5, .decay_vectors = false}}) {
    Scene scene;
    ASSERT_TRUE(scene.build(options).ok());
    std::vector<Tensor> states = scene.run(1, 1);
    EXPECT_NEAR(states[0].double_at(1), -2 - Scene::gradient(0, 1), 1e-15);
    EXPECT_NEAR(states[1].double_at(0), 3 - Scene::gradient(0, 3) - 0.5 * 3, 1e-15);
  }
}

// Global clipping leaves out what the optimizer leaves out, and reports the norm before it.
TEST(Optimizer, GradientsAreClippedByValueThenByNorm) {
  Scene scene;
  ASSERT_TRUE(scene.build({.clip_value = 0.75, .clip_norm = 0.5}).ok());
  std::vector<Tensor> states = scene.run(1, 1);
  double squares = 0, clipped[5];
  for (int i = 0; i < 5; ++i) {
    clipped[i] = std::clamp(Scene::gradient(0, i), -0.75, 0.75);
    squares += clipped[i] * clipped[i];
  }
  double norm = std::sqrt(squares);
  EXPECT_NEAR(scene.norm, norm, 1e-15);
  EXPECT_NEAR(states[1].double_at(1), -0.25 - clipped[4] * 0.5 / (norm + 1e-6), 1e-15);
  scene.run(1, 1, 0.01);
  EXPECT_LT(scene.norm, 0.5);
}

// A table of which a batch names few rows, some of them twice: the norm is read from what the batch has.
TEST(Optimizer, TheNormOfATableIsThatOfItsRows) {
  for (const int64_t axis : {0, 1}) {
    Scene scene;
    const std::vector<int64_t> table = axis == 0 ? std::vector<int64_t>{40, 2} : std::vector<int64_t>{2, 40};
    Scene::Rows rows = scene.add_rows(table, axis);
    ASSERT_TRUE(scene.build({.clip_norm = 0.5}).ok());
    int64_t squares_of_table = 0;
    for (const auto& node : scene.graph.nodes()) {
      if (node->op().name != "Mul") continue;
      squares_of_table += node->output()->type.shape == to_shape(table) && node->input(0) == node->input(1);
    }
    EXPECT_EQ(squares_of_table, 0);
    const std::vector<double> dy = {1, -2, 0.5, 4, 3, 1, -0.25, 8};
    Tensor given = Tensor::from<double>(rows.extents, dy);
    const auto result =
        evaluate(scene.graph, {Tensor::from<double>({3}, {0, 0, 0}), Tensor::from<double>({1, 2}, {2, 0}),
                               given, Tensor::from<int64_t>({4}, {7, -1, 7, 0}), Tensor::scalar(1.0)});
    ASSERT_TRUE(result.ok()) << result.error().message;
    const auto at = [&](size_t row, size_t column) {
      return axis == 0 ? dy[2 * row + column] : dy[4 * column + row];
    };
    double squares = 4;
    for (const size_t column : {0, 1}) {
      squares += std::pow(at(0, column) + at(2, column), 2) + std::pow(at(1, column), 2) +
                 std::pow(at(3, column), 2);
    }
    EXPECT_NEAR(result->outputs[0].tensor().double_at(0), std::sqrt(squares), 1e-14);
  }
}

TEST(Optimizer, LambScalesEachWeightByItsTrustRatio) {
  Scene scene;
  ASSERT_TRUE(scene.build({.kind = Optimizer::kLamb, .weight_decay = 0.1, .no_decay = {"b"}}).ok());
  std::vector<Tensor> states = scene.run(1, 0.5);
  // After one step m / (1 - beta1) = g and v / (1 - beta2) = g^2.
  double w[3] = {1, -2, 0.5}, update[3], ww = 0, uu = 0;
  for (int i = 0; i < 3; ++i) {
    double g = Scene::gradient(0, i);
    update[i] = g / (std::abs(g) + 1e-6) + 0.1 * w[i];
    ww += w[i] * w[i], uu += update[i] * update[i];
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_NEAR(states[0].double_at(i), w[i] - 0.5 * std::sqrt(ww / uu) * update[i], 1e-12);
  double g = Scene::gradient(0, 3);
  EXPECT_NEAR(states[1].double_at(0), 3 - 0.5 * g / (std::abs(g) + 1e-6), 1e-12);
}

TEST(Optimizer, OptionsOutOfRangeAreRefused) {
  auto message = [](const OptimizerOptions& options) {
    Status status = Scene().build(options);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(message({.kind = Optimizer::kAdam, .beta1 = 1}), "beta1 must be at least 0 and below 1, got 1");
  EXPECT_THAT(message({.nesterov = true}), HasSubstr("needs a momentum"));
  EXPECT_THAT(message({.kind = Optimizer::kAdam, .momentum = 0.9}), HasSubstr("Adam has none"));
  EXPECT_THAT(message({.ema_decay = NAN}), HasSubstr("moving average"));
}

}  // namespace
}  // namespace gannet
