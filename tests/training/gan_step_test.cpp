// Adversarial steps of all kinds of models: gradients against differences and against the reference, classes on both sides,
// and what a step does not change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "frontend/templates.h"
#include "ir/evaluate.h"
#include "ir/verify.h"
#include "passes/append_model.h"
#include "tests/training/gan_pair.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

constexpr int64_t kRows = 5;

// A critic of two layers with a smooth activation, for flat rows.
Result<OnnxWriter> small_critic(int64_t inputs) {
  return make_mlp({.inputs = inputs, .hidden = {6, 4}, .outputs = 1, .activation = LayerActivation::kTanh}, {.seed = 3});
}

Result<OnnxWriter> small_generator(int64_t outputs) {
  return make_mlp({.inputs = 3, .hidden = {5}, .outputs = outputs, .activation = LayerActivation::kTanh}, {.seed = 4});
}

struct Models {
  std::unique_ptr<Graph> generator, discriminator;
  GanPair pair;

  Models(Result<OnnxWriter> g, Result<OnnxWriter> d, Shape form, DType dtype = DType::kF64, bool compiled = false)
      : generator(trainable(std::move(g), dtype, compiled)), discriminator(trainable(std::move(d), dtype, compiled)) {
    pair.generator = generator.get();
    pair.discriminator = discriminator.get();
    pair.form = std::move(form);
  }
};

// A State after the update, and what the loss is for other values of it.
struct Evaluated {
  double loss = 0;
  std::vector<Tensor> states;
};

Evaluated evaluated(const Graph& step, const std::vector<Datum>& inputs, std::string_view output, std::span<const Tensor> states) {
  const auto result = evaluate(step, inputs, {}, states);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  Evaluated found;
  if (!result.ok()) return found;
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i].name == output) found.loss = result->outputs[i].tensor().double_at(0);
  }
  found.states = result->state_outputs;
  return found;
}

// With plain SGD at a rate of 1 a weight falls by its gradient; central differences of the loss give it too.
void expect_gradients(const GanPair& pair, const GanStepOptions& options, GanUpdate update, const std::string& side, const std::string& loss) {
  const Result<GanStep> step = build_gan_step(pair, options, update);
  ASSERT_TRUE(step.ok()) << step.error().message;
  const Status valid = verify(*step->graph);
  ASSERT_TRUE(valid.ok()) << valid.error().message;
  const std::vector<Datum> inputs = made_up_inputs(*step->graph, step->inputs, kRows, 1.0, 17);
  std::vector<Tensor> states;
  for (const State& state : step->graph->states) states.push_back(state.initial);
  const Evaluated here = evaluated(*step->graph, inputs, loss, states);
  int64_t checked = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    if (!step->graph->states[i].name.starts_with(side)) continue;
    const Tensor original = states[i];
    for (int64_t k = 0; k < original.elements(); ++k, ++checked) {
      constexpr double kStep = 1e-5;
      double around[2] = {};
      for (const int sign : {0, 1}) {
        states[i] = original;
        states[i].mutable_data<double>()[static_cast<size_t>(k)] += sign == 0 ? -kStep : kStep;
        around[sign] = evaluated(*step->graph, inputs, loss, states).loss;
      }
      states[i] = original;
      const double slope = (around[1] - around[0]) / (2 * kStep), gradient = original.double_at(k) - here.states[i].double_at(k);
      ASSERT_NEAR(gradient, slope, 1e-7 * std::max(1.0, std::abs(slope))) << step->graph->states[i].name << " " << k;
    }
  }
  EXPECT_GT(checked, 10);
}

GanStepOptions of(AdversarialLoss loss) {
  GanStepOptions options;
  options.loss.kind = loss;
  return options;
}

TEST(GanStep, TheGradientOfTheGradientPenaltyIsItsSlope) {
  const Models models(small_generator(6), small_critic(6), {6});
  GanStepOptions options = of(AdversarialLoss::kWasserstein);
  options.gradient_penalty = 10;
  expect_gradients(models.pair, options, GanUpdate::kDiscriminator, "discriminator/", "d_loss");
}

TEST(GanStep, TheGradientOfR1IsItsSlope) {
  const Models models(small_generator(6), small_critic(6), {6});
  GanStepOptions options;
  options.r1 = 10;
  expect_gradients(models.pair, options, GanUpdate::kDiscriminator, "discriminator/", "d_loss");
}

TEST(GanStep, FlippedLabelsAndNoiseKeepGradientsRight) {
  const Models models(small_generator(6), small_critic(6), {6});
  GanStepOptions options;
  options.flip_labels = 0.4;
  options.instance_noise = true;
  options.loss.label_smoothing = 0.1;
  expect_gradients(models.pair, options, GanUpdate::kDiscriminator, "discriminator/", "d_loss");
  expect_gradients(models.pair, options, GanUpdate::kGenerator, "generator/", "g_loss");
}

// Through the moves, colours and cut of the augmentation.
TEST(GanStep, TheGeneratorsGradientPassesTheAugmentation) {
  Models models(small_generator(3 * 4 * 8), small_critic(3 * 4 * 8), {3, 4, 8});
  GanStepOptions options;
  options.augment = {.color = true, .translation = true, .cutout = true};
  expect_gradients(models.pair, options, GanUpdate::kGenerator, "generator/", "g_loss");
  models.pair.form = {4, 8, 3};
  options.augment.channels_last = true;
  expect_gradients(models.pair, options, GanUpdate::kGenerator, "generator/", "g_loss");
}

// The generator's gradient takes the new discriminator as it is: both updates at once are one after the other.
TEST(GanStep, BothUpdatesAtOnceAreOneAfterTheOther) {
  const Models models(small_generator(6), small_critic(6), {6});
  GanStepOptions options;
  options.generator.ema_decay = 0.9;
  const Result<GanStep> both = build_gan_step(models.pair, options, GanUpdate::kBoth);
  const Result<GanStep> first = build_gan_step(models.pair, options, GanUpdate::kDiscriminator);
  const Result<GanStep> second = build_gan_step(models.pair, options, GanUpdate::kGenerator);
  ASSERT_TRUE(both.ok() && first.ok() && second.ok());
  const std::vector<Datum> inputs = made_up_inputs(*both->graph, both->inputs, kRows, 0.3, 5);
  std::map<std::string, Tensor> states;
  const auto run = [&](const GanStep& step, const std::vector<Datum>& given) {
    std::vector<Tensor> present;
    for (const State& state : step.graph->states) present.push_back(states.contains(state.name) ? states[state.name] : state.initial);
    const Evaluated after = evaluated(*step.graph, given, "", present);
    for (size_t i = 0; i < present.size(); ++i) states[step.graph->states[i].name] = after.states[i];
  };
  run(*both, inputs);
  const std::map<std::string, Tensor> at_once = std::exchange(states, {});
  ASSERT_EQ(inputs.size(), 4u);  // pictures, latents, two rates
  run(*first, {inputs[0], inputs[1], inputs[2]});
  run(*second, {inputs[1], inputs[3]});
  ASSERT_EQ(states.size(), at_once.size());
  for (const auto& [name, tensor] : at_once) {
    for (int64_t k = 0; k < tensor.elements(); ++k) EXPECT_NEAR(tensor.double_at(k), states[name].double_at(k), 1e-12) << name;
  }
}

// The decay grows to its value, so that the averages soon forget the random weights that they begin with.
TEST(GanStep, AveragesOfTheGeneratorWarmUp) {
  const Models models(small_generator(6), small_critic(6), {6});
  GanStepOptions options;
  options.generator.ema_decay = 0.999;
  options.generator.ema_warmup = true;
  const Result<GanStep> step = build_gan_step(models.pair, options, GanUpdate::kBoth);
  ASSERT_TRUE(step.ok()) << step.error().message;
  const std::vector<Datum> inputs = made_up_inputs(*step->graph, step->inputs, kRows, 0.3, 5);
  std::vector<Tensor> states;
  for (const State& state : step->graph->states) states.push_back(state.initial);
  std::map<std::string, Tensor> expected;
  int64_t compared = 0;
  for (int64_t update = 1; update <= 3; ++update) {
    states = evaluated(*step->graph, inputs, "", states).states;
    std::map<std::string, Tensor> named;
    for (size_t i = 0; i < states.size(); ++i) named[step->graph->states[i].name] = states[i];
    for (const State& state : step->graph->states) {
      if (!state.name.starts_with("ema/")) continue;
      Tensor& average = expected.try_emplace(state.name, state.initial).first->second;
      const Tensor& weight = named.at(state.name.substr(4));
      const double part = 1.0 / static_cast<double>(update + 1);
      for (int64_t k = 0; k < average.elements(); ++k, ++compared) {
        double& mean = average.mutable_data<double>()[static_cast<size_t>(k)];
        mean += part * (weight.double_at(k) - mean);
        EXPECT_NEAR(named.at(state.name).double_at(k), mean, 1e-12) << state.name;
      }
    }
  }
  EXPECT_GT(compared, 100);
}

// A generator and a critic that know of three classes, one by an index and one by a vector.
Result<OnnxWriter> conditional(bool generator) {
  OnnxWriter model(generator ? "g" : "d", 17, 9);
  const int64_t width = generator ? 4 : 6;
  const std::string x = model.input(generator ? "z" : "x", DType::kF32, {"batch", width});
  std::string named;
  if (generator) {
    const std::string label = model.input("label", DType::kI64, {"batch"});
    named = model.node("Gather", {model.weight("names", {3, width}, Fill::normal(0, 0.5)), label});
  } else {
    const std::string label = model.input("label", DType::kF32, {"batch", int64_t{3}});
    named = model.node("MatMul", {label, model.weight("names", {3, width}, Fill::normal(0, 0.5))});
  }
  const int64_t outputs = generator ? 6 : 1;
  model.node("MatMul", {model.node("Mul", {x, named}), model.weight("w", {width, outputs}, Fill::normal(0, 0.5))}, {}, "y");
  model.output("y", DType::kF32, {"batch", outputs});
  return model;
}

TEST(GanStep, ClassesReachBothSides) {
  Models models(conditional(true), conditional(false), {6});
  models.pair.generator_class = models.pair.discriminator_class = 1;
  expect_gradients(models.pair, {}, GanUpdate::kDiscriminator, "discriminator/", "d_loss");
  expect_gradients(models.pair, {}, GanUpdate::kGenerator, "generator/", "g_loss");
  const auto generation = build_generation(models.pair);
  ASSERT_TRUE(generation.ok()) << generation.error().message;
  const std::vector<Value*>& inputs = (*generation)->inputs();
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0]->name, "z");
  EXPECT_EQ(to_string(inputs[1]->type), "i64[batch]");
}

using MakeModel = std::function<Result<OnnxWriter>()>;

// What a step has made of the States after a few updates, compiled and by the reference evaluator.
void expect_states(const GraphRunner& compiled, const GraphRunner& reference, const std::map<std::string, Tensor>& initial) {
  int64_t moved = 0;
  for (size_t i = 0; i < reference.state_names().size(); ++i) {
    const std::string& name = reference.state_names()[i];
    const auto place = static_cast<size_t>(std::ranges::find(compiled.state_names(), name) - compiled.state_names().begin());
    ASSERT_LT(place, compiled.state_names().size()) << name;
    const Tensor &own = compiled.state(place), &expected = reference.state(i), &before = initial.at(name);
    double difference = 0, change = 0;
    for (int64_t k = 0; k < expected.elements(); ++k) {
      ASSERT_TRUE(std::isfinite(own.double_at(k))) << name;
      difference = std::max(difference, std::abs(own.double_at(k) - expected.double_at(k)));
      change = std::max(change, std::abs(expected.double_at(k) - before.double_at(k)));
    }
    // Adam's steps have the size of the rate, 1e-3, but for gradients that are rounding alone.
    EXPECT_LE(difference, 1e-6) << name;
    moved += change > 1e-4;
  }
  EXPECT_GT(moved, 4);
}

// Compiled and by the reference evaluator: the same losses in f32, within `tolerance`, and in f64, with the same weights
// after a few updates.
void expect_reference(const MakeModel& g, const MakeModel& d, const Shape& form, GanStepOptions options, double tolerance) {
  options.generator.kind = options.discriminator.kind = Optimizer::kAdam;
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Models plain(g(), d(), form, dtype, true);
    std::vector<std::unique_ptr<GraphRunner>> runners;
    std::vector<std::vector<Datum>> inputs;
    std::map<std::string, Tensor> initial;
    for (const bool compiled : {true, false}) {
      Result<GanStep> step = build_gan_step(plain.pair, options, GanUpdate::kBoth);
      ASSERT_TRUE(step.ok()) << step.error().message;
      for (uint64_t round = 0; !compiled && round < 2; ++round)
        inputs.push_back(made_up_inputs(*step->graph, step->inputs, kRows, 1e-3, round));
      for (const State& state : step->graph->states) initial[state.name] = state.initial;
      auto runner = runner_of(std::move(step->graph), compiled);
      ASSERT_TRUE(runner.ok()) << runner.error().message;
      runners.push_back(*std::move(runner));
    }
    for (const std::vector<Datum>& given : inputs) {
      std::vector<std::vector<Datum>> outputs;
      for (const auto& runner : runners) {
        auto result = runner->run(given, 0);
        ASSERT_TRUE(result.ok()) << result.error().message;
        outputs.push_back(*std::move(result));
      }
      for (const char* name : {"d_loss", "g_loss"}) {
        const double compiled = output_named(*runners[0], outputs[0], name), reference = output_named(*runners[1], outputs[1], name);
        EXPECT_TRUE(std::isfinite(compiled));
        EXPECT_NEAR(compiled, reference, (dtype == DType::kF64 ? 1e-7 : tolerance) * std::max(1.0, std::abs(reference))) << name;
      }
    }
    if (dtype == DType::kF64) expect_states(*runners[0], *runners[1], initial);
  }
}

constexpr int64_t kSide = 28;

DcganOptions small_dcgan() { return {.image_size = kSide, .channels = 1, .features = 4, .latent = 8}; }

Result<OnnxWriter> small_discriminator() { return make_dcgan_discriminator(small_dcgan(), {}); }

TEST(GanStep, AGeneratorOf443DenseLayers) {
  MlpOptions mlp{.inputs = 16, .hidden = std::vector<int64_t>(443, 128), .outputs = kSide * kSide};
  mlp.activation = LayerActivation::kLeakyRelu;
  expect_reference([&] { return make_mlp(mlp, {}); }, small_discriminator, {1, kSide, kSide}, {}, 2e-2);
}

// Resize and Conv in place of ConvTranspose, and no normalization.
Result<OnnxWriter> resizing_generator() {
  OnnxWriter model("g", 17, 2);
  const std::string z = model.input("z", DType::kF32, {"batch", int64_t{8}});
  const std::string w = model.weight("first", {8, 6 * 7 * 7}, Fill::normal(0, 0.3));
  std::string x = model.node("Reshape", {model.node("MatMul", {z, w}), model.ints({-1, 6, 7, 7})});
  int64_t channels = 6;
  for (const int64_t side : {14, 28}) {
    const std::string rows = model.node("Slice", {model.node("Shape", {x}), model.ints({0}), model.ints({2})});
    const std::string sizes = model.node("Concat", {rows, model.ints({side, side})}, {{"axis", int64_t{0}}});
    x = model.node("Resize", {model.node("Relu", {x}), "", "", sizes});
    const int64_t wanted = side == kSide ? 1 : 4;
    const std::string kernel = model.weight("conv" + std::to_string(side), {wanted, channels, 3, 3}, Fill::normal(0, 0.3));
    x = model.node("Conv", {x, kernel}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
    channels = wanted;
  }
  model.node("Tanh", {x}, {}, "image");
  model.output("image", DType::kF32, {"batch", int64_t{1}, kSide, kSide});
  return model;
}

TEST(GanStep, AGeneratorOfResizeAndConvWithoutNormalization) {
  expect_reference(resizing_generator, small_discriminator, {1, kSide, kSide}, {}, 1e-3);
}

TEST(GanStep, EveryLossAndPenaltyCompiled) {
  for (const AdversarialLoss loss : {AdversarialLoss::kMinimax, AdversarialLoss::kHinge, AdversarialLoss::kLeastSquares}) {
    GanStepOptions options = of(loss);
    options.simultaneous = loss == AdversarialLoss::kMinimax;
    options.spectral_norm = loss == AdversarialLoss::kHinge;
    options.augment = {.color = true, .translation = true, .cutout = true};
    options.r1 = loss == AdversarialLoss::kLeastSquares ? 5 : 0;
    options.instance_noise = true;
    options.flip_labels = 0.3;
    expect_reference([] { return make_dcgan_generator(small_dcgan(), {}); }, small_discriminator, {1, kSide, kSide}, options, 1e-3);
  }
}

TEST(GanStep, AModelMayBeAppendedTwice) {
  const std::unique_ptr<Graph> model = trainable(small_critic(6), DType::kF32, false);
  Graph graph;
  ModelBindings bindings;
  for (const State& state : model->states) {
    bindings.states.push_back(graph.add_state_value(state.name, state.in->type));
    graph.states.push_back({state.name, bindings.states.back(), nullptr, state.initial, {}});
  }
  for (const char* name : {"a", "b"}) {
    bindings.inputs = {graph.add_input(name, Type::tensor(DType::kF32, Shape{Dim::symbol(name), 6}))};
    const auto outputs = append_model(graph, *model, bindings, "critic/");
    ASSERT_TRUE(outputs.ok());
    EXPECT_EQ(to_string((*outputs)[0]->type), std::string("f32[") + name + ", 1]");
    graph.outputs.push_back({name, (*outputs)[0]});
  }
  EXPECT_TRUE(verify(graph).ok());
  bindings.inputs = {graph.add_input("c", Type::tensor(DType::kF32, Shape{2, 7}))};
  EXPECT_THAT(append_model(graph, *model, bindings, "").error().message,
              HasSubstr("input 'input' is f32[batch, 6], what flows into it is f32[2, 7]"));
}

}  // namespace
}  // namespace gannet::test
