#include "passes/build_gan_step.h"

#include <algorithm>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/append_model.h"
#include "passes/differentiate.h"
#include "passes/gradient_penalty.h"
#include "passes/spectral_norm.h"
#include "passes/train_batch_normalization.h"

namespace gannet {

namespace {

using E = ScalarExpr;

constexpr const char *kGeneratorPrefix = "generator/", *kDiscriminatorPrefix = "discriminator/", *kSpectral = "spectral/";

// Values that graph rewrites may replace, followed by making them results of the graph meanwhile.
class Held {
 public:
  Held() = default;
  Held(Graph& graph, Value* value) : graph_(&graph), place_(graph.outputs.size()) {
    graph.outputs.push_back({"", value});
  }
  Value* value() const { return graph_->outputs[place_].value; }
  operator Value*() const { return value(); }

 private:
  Graph* graph_ = nullptr;
  size_t place_ = 0;
};

bool is_class_input(const std::optional<size_t>& chosen, size_t input) { return chosen && *chosen == input; }

DType working_dtype(const Graph& discriminator) {
  const bool wide = std::ranges::any_of(discriminator.states, [](const State& s) { return s.initial.dtype() == DType::kF64; });
  return wide ? DType::kF64 : DType::kF32;
}

bool is_statistic(const Value& state) {
  constexpr int kMean = 3;
  return std::ranges::any_of(state.uses(), [](const Use& use) {
    return use.node->op().name == "BatchNormalization" && use.index >= kMean;
  });
}

// The class of each row as an input of a model wants it.
Value* class_as(GraphBuilder& b, Value* classes, const Value& input) {
  const Type& type = input.type;
  const Dim rows = (*classes->type.shape)[0];
  if (!is_float(type.dtype)) {
    Value* numbers = b.cast(classes, type.dtype);
    return type.rank() == 1 ? numbers : b.reshape(numbers, {rows, 1});
  }
  const int64_t count = (*type.shape)[1].constant();
  Tensor names = Tensor::zeros(DType::kI64, {1, count});
  for (int64_t i = 0; i < count; ++i) names.mutable_data<int64_t>()[static_cast<size_t>(i)] = i;
  Value* chosen = b.map(E::arg(0) == E::arg(1), {b.reshape(classes, {rows, 1}), b.constant(std::move(names))});
  return b.cast(chosen, type.dtype);
}

// The common part of steps and generation: a graph with the States of both models, and their inputs.
class Joined {
 public:
  Joined(const GanPair& pair, Graph& into) : pair_(pair), graph(into), b(into), dtype_(working_dtype(*pair.discriminator)) {
    graph.symbols()->reserve("batch");
  }

  const GanPair& pair_;
  Graph& graph;
  GraphBuilder b;
  DType dtype_;
  std::vector<GanInput> kinds;

  Dim batch() const { return Dim::symbol("batch"); }

  Shape with_batch(const Shape& row) const {
    Shape shape = {batch()};
    shape.insert(shape.end(), row.begin(), row.end());
    return shape;
  }

  Value* add_input(const std::string& name, GanInput kind, DType dtype, const Shape& shape) {
    kinds.push_back(kind);
    return graph.add_input(name, Type::tensor(dtype, shape));
  }

  Value* classes() {
    if (classes_ == nullptr) classes_ = add_input("classes", GanInput::kClasses, DType::kI64, {batch()});
    return classes_;
  }

  // The States of a model under its prefix; gives their `in`.
  std::vector<Value*> add_states(const Graph& model, const std::string& prefix) {
    std::vector<Value*> values;
    for (const State& state : model.states) {
      Value* in = graph.add_state_value(prefix + state.name, state.in->type);
      graph.states.push_back({prefix + state.name, in, nullptr, state.initial, state.origin});
      values.push_back(in);
    }
    return values;
  }

  // The inputs of the generator but the class, which are random.
  void add_latents() {
    for (size_t i = 0; i < pair_.generator->inputs().size(); ++i) {
      const Value& input = *pair_.generator->inputs()[i];
      if (is_class_input(pair_.generator_class, i)) {
        latents_.push_back(nullptr);
        continue;
      }
      Shape shape = *input.type.shape;
      shape[0] = batch();
      latents_.push_back(add_input(input.name, GanInput::kLatent, input.type.dtype, shape));
    }
  }

  Result<Value*> generate(const std::vector<Value*>& states, std::optional<double> batch_norm_momentum) {
    ModelBindings bindings{latents_, states};
    if (pair_.generator_class)
      bindings.inputs[*pair_.generator_class] =
          class_as(b, classes(), *pair_.generator->inputs()[*pair_.generator_class]);
    Held made(graph, TRY(append_model(graph, *pair_.generator, bindings, kGeneratorPrefix))[pair_.generated]);
    if (batch_norm_momentum) TRY(train_batch_normalization(graph, *batch_norm_momentum));
    Value* pictures = b.cast(made, dtype_);
    if (!pair_.generated_permutation.empty()) pictures = b.transpose(pictures, pair_.generated_permutation);
    const Shape wanted = with_batch(pair_.form);
    if (*pictures->type.shape != wanted) pictures = b.reshape(pictures, wanted);
    TRY(Status(b.status()));
    return pictures;
  }

 private:
  Value* classes_ = nullptr;
  std::vector<Value*> latents_;  // by input of the generator; null for the class
};

class StepBuilder : private Joined {
 public:
  StepBuilder(const GanPair& pair, const GanStepOptions& options, GanUpdate update, Graph& into)
      : Joined(pair, into), options_(options), update_(update) {}

  Result<std::vector<GanInput>> build() {
    TRY(check());
    generator_ = add_states(*pair_.generator, kGeneratorPrefix);
    discriminator_ = add_states(*pair_.discriminator, kDiscriminatorPrefix);
    if (options_.spectral_norm) add_directions();
    add_data();
    fake_ = Held(graph, TRY(generate(generator_, options_.batch_norm_momentum)));
    if (update_ != GanUpdate::kGenerator) TRY(update_discriminator());
    if (update_ != GanUpdate::kDiscriminator) TRY(update_generator());
    TRY(Status(b.status()));
    finish();
    return kinds;
  }

 private:
  Status check() const {
    if (!(options_.flip_labels >= 0 && options_.flip_labels <= 0.5))
      return invalid_input(fmt::format("the share of flipped labels must be from 0 to 0.5, got {}", options_.flip_labels));
    for (const auto& [name, value] : {std::pair("the factor of the gradient penalty", options_.gradient_penalty),
                                      {"gamma of R1", options_.r1},
                                      {"the bound of the weights", options_.clip_weights}}) {
      if (!(value >= 0)) return invalid_input(fmt::format("{} must be at least 0, got {}", name, value));
    }
    return {};
  }

  void add_directions() {
    spectral_ = spectral_weights(*pair_.discriminator);
    for (const SpectralWeight& weight : spectral_) {
      const State& state = pair_.discriminator->states[weight.state];
      Tensor direction = initial_direction(state.initial, weight.output_axis, options_.seed + weight.state);
      const std::string name = kSpectral + graph.states[generator_.size() + weight.state].name;
      Value* in = graph.add_state_value(name, Type::tensor(direction.dtype(), to_shape(direction.extents())));
      directions_.push_back(graph.states.size());
      graph.states.push_back({name, in, nullptr, std::move(direction), {}});
    }
  }

  bool updates_discriminator() const { return update_ != GanUpdate::kGenerator; }

  void add_data() {
    if (updates_discriminator()) real_ = add_input("pictures", GanInput::kPictures, dtype_, with_batch(pair_.form));
    add_latents();
    if (pair_.generator_class || pair_.discriminator_class) classes();
    if (options_.augment.any())
      augment_ = add_input("augment", GanInput::kUniform, dtype_, {batch(), kDiffAugmentDraws});
    if (options_.instance_noise) {
      if (updates_discriminator()) real_noise_ = add_input("noise_real", GanInput::kNormal, dtype_, with_batch(pair_.form));
      fake_noise_ = add_input("noise_fake", GanInput::kNormal, dtype_, with_batch(pair_.form));
    }
    if (updates_discriminator() && options_.gradient_penalty > 0)
      mix_ = add_input("mix", GanInput::kUniform, dtype_, {batch()});
    if (updates_discriminator() && options_.flip_labels > 0)
      flip_ = add_input("flip", GanInput::kUniform, dtype_, {batch(), 2});
    if (options_.instance_noise) noise_scale_ = add_input("noise_scale", GanInput::kNoiseScale, dtype_, {});
    if (updates_discriminator())
      discriminator_rate_ = add_input("discriminator_rate", GanInput::kDiscriminatorRate, dtype_, {});
    if (update_ != GanUpdate::kDiscriminator)
      generator_rate_ = add_input("generator_rate", GanInput::kGeneratorRate, dtype_, {});
  }

  // Pictures as the discriminator sees them.
  Value* seen(Value* pictures, Value* noise) {
    if (augment_) pictures = diff_augment(b, options_.augment, pictures, augment_);
    if (noise) pictures = b.map(E::arg(0) + E::arg(2) * E::arg(1), {pictures, noise, noise_scale_});
    return pictures;
  }

  // What the discriminator's weights are used as: `values`, or divided by their singular values. The weights that a
  // gradient is wanted for, of `variables`, are values of their own.
  std::vector<Value*> used_as(const std::vector<Value*>& values, std::vector<Value*>* variables) {
    std::vector<Value*> used = values;
    if (variables) *variables = values;
    for (size_t i = 0; i < spectral_.size(); ++i) {
      const SpectralWeight& weight = spectral_[i];
      State& direction = graph.states[directions_[i]];
      Value* variable = b.op("Identity", {values[weight.state]});
      const NormalizedWeight normalized = normalize_spectrum(b, values[weight.state], variable,
                                                             direction.out ? direction.out : direction.in, weight.output_axis);
      direction.out = normalized.direction;
      used[weight.state] = normalized.weight;
      if (variables) (*variables)[weight.state] = variable;
    }
    return used;
  }

  Result<Value*> scores_of(Value* pictures, const std::vector<Value*>& weights) {
    const Graph& model = *pair_.discriminator;
    ModelBindings bindings{std::vector<Value*>(model.inputs().size()), weights};
    const Value& input = *model.inputs()[pair_.pictures];
    Shape wanted = *input.type.shape;
    wanted[0] = batch();
    Value* x = b.cast(pictures, input.type.dtype);
    bindings.inputs[pair_.pictures] = x->type.rank() == input.type.rank() ? x : b.reshape(x, wanted);
    if (pair_.discriminator_class)
      bindings.inputs[*pair_.discriminator_class] = class_as(b, classes(), *model.inputs()[*pair_.discriminator_class]);
    TRY(Status(b.status()));
    Held scores(graph, TRY(append_model(graph, model, bindings, kDiscriminatorPrefix))[pair_.scores]);
    TRY(train_batch_normalization(graph, options_.batch_norm_momentum));
    return logit_of(scores);
  }

  Value* flipped(int64_t column) {
    if (flip_ == nullptr) return nullptr;
    Value* draws = b.reshape(b.slice(flip_, {column}, {column + 1}, {1}), {batch()});
    return b.map(E::arg(0) < options_.flip_labels, {draws});
  }

  Status update_discriminator() {
    std::vector<Value*> variables;
    const std::vector<Value*> weights = used_as(discriminator_, &variables);
    Held real_seen(graph, seen(real_, real_noise_)), fake_seen(graph, seen(fake_, fake_noise_));
    Held real(graph, TRY(scores_of(real_seen, weights))), fake(graph, TRY(scores_of(fake_seen, weights)));
    Held loss(graph, TRY(discriminator_loss(b, options_.loss, real, fake, flipped(0), flipped(1))));
    if (options_.r1 > 0) {
      penalty_ = Held(graph, squared_slope(b, TRY(score_gradient(graph, real, real_seen))));
      loss = Held(graph, b.map(E::arg(0) + options_.r1 / 2 * E::arg(1), {loss, penalty_}));
      has_penalty_ = true;
    }
    if (options_.gradient_penalty > 0) {
      Held mixed(graph, between(b, real_seen, fake_seen, mix_));
      Held scores(graph, TRY(scores_of(mixed, weights)));
      penalty_ = Held(graph, distance_from_unit_slope(b, TRY(score_gradient(graph, scores, mixed))));
      loss = Held(graph, b.map(E::arg(0) + options_.gradient_penalty * E::arg(1), {loss, penalty_}));
      has_penalty_ = true;
    }
    TRY(Status(b.status()));
    const Accuracies accuracies = discriminator_accuracies(b, options_.loss.kind, real, fake);
    results_ = {{"d_loss", loss}, {"real_score", Held(graph, mean_of_all(b, real))},
                {"fake_score", Held(graph, mean_of_all(b, fake))}, {"real_accuracy", Held(graph, accuracies.real)},
                {"fake_accuracy", Held(graph, accuracies.fake)}};
    if (has_penalty_) results_.emplace_back("penalty", penalty_);
    simultaneous_scores_ = fake;
    std::vector<Value*> gradients(generator_.size());
    std::ranges::copy(TRY(differentiate(graph, loss, variables)), std::back_inserter(gradients));
    OptimizerOptions optimizer = options_.discriminator;
    optimizer.prefix = kDiscriminatorPrefix;
    TRY(build_update(b, optimizer, gradients, discriminator_rate_));
    if (options_.clip_weights > 0) clip(gradients);
    return {};
  }

  void clip(const std::vector<Value*>& gradients) {
    for (size_t i = generator_.size(); i < gradients.size(); ++i) {
      State& state = graph.states[i];
      if (gradients[i] == nullptr || state.out == nullptr) continue;
      state.out = b.map(scalar::min(scalar::max(E::arg(0), -options_.clip_weights), options_.clip_weights), {state.out});
    }
  }

  // The weights of the discriminator after its update, or as they are. Running statistics are no weights: each
  // normalization by the batch follows them itself.
  std::vector<Value*> present_discriminator() const {
    std::vector<Value*> values = discriminator_;
    for (size_t i = 0; i < values.size(); ++i) {
      const State& state = graph.states[generator_.size() + i];
      if (state.out && !is_statistic(*pair_.discriminator->states[i].in)) values[i] = state.out;
    }
    return values;
  }

  // The gradient stops where the discriminator's update read the generated pictures: its new weights are taken as they are.
  Status update_generator() {
    if (options_.simultaneous && update_ == GanUpdate::kBoth) {
      Held loss(graph, TRY(generator_loss(b, options_.loss, simultaneous_scores_)));
      results_.emplace_back("g_loss", loss);
      return update_generator(TRY(differentiate(graph, loss, generator_)));
    }
    const std::vector<Value*> weights = used_as(present_discriminator(), nullptr);
    Value* made = b.op("Identity", {fake_});
    Held scores(graph, TRY(scores_of(seen(made, fake_noise_), weights)));
    Held loss(graph, TRY(generator_loss(b, options_.loss, scores)));
    results_.emplace_back("g_loss", loss);
    Value* const variables[] = {made};
    Value* slope = TRY(differentiate(graph, loss, variables))[0];
    if (slope == nullptr) return invalid_input("the discriminator's scores do not depend on its pictures differentiably");
    return update_generator(TRY(backpropagate(graph, {{fake_, slope}}, generator_)));
  }

  Status update_generator(std::vector<Value*> gradients) {
    if (std::ranges::all_of(gradients, [](const Value* gradient) { return gradient == nullptr; }))
      return invalid_input("the generated pictures depend on no weight of the generator differentiably");
    OptimizerOptions optimizer = options_.generator;
    optimizer.prefix = kGeneratorPrefix;
    TRY(build_update(b, optimizer, gradients, generator_rate_));
    return {};
  }

  void finish() {
    std::vector<GraphOutput> outputs;
    for (const auto& [name, value] : results_) outputs.push_back({name, value});
    graph.outputs = std::move(outputs);
    erase_dead_nodes(graph);
  }

  const GanStepOptions& options_;
  GanUpdate update_;
  std::vector<Value*> generator_, discriminator_;  // `in` of their States
  std::vector<SpectralWeight> spectral_;
  std::vector<size_t> directions_;  // States, one for each of spectral_
  Value *real_ = nullptr, *augment_ = nullptr, *real_noise_ = nullptr, *fake_noise_ = nullptr, *noise_scale_ = nullptr;
  Value *mix_ = nullptr, *flip_ = nullptr, *discriminator_rate_ = nullptr, *generator_rate_ = nullptr;
  Held fake_, penalty_, simultaneous_scores_;
  bool has_penalty_ = false;
  std::vector<std::pair<std::string, Held>> results_;
};

}  // namespace

Result<GanStep> build_gan_step(const GanPair& pair, const GanStepOptions& options, GanUpdate update) {
  GanStep step;
  step.graph = std::make_unique<Graph>("gan");
  step.inputs = TRY(StepBuilder(pair, options, update, *step.graph).build());
  return step;
}

Result<std::unique_ptr<Graph>> build_generation(const GanPair& pair) {
  auto graph = std::make_unique<Graph>("generation");
  Joined joined(pair, *graph);
  const std::vector<Value*> states = joined.add_states(*pair.generator, kGeneratorPrefix);
  joined.add_latents();
  if (pair.generator_class) joined.classes();
  Value* pictures = TRY(joined.generate(states, std::nullopt));
  graph->outputs = {{"pictures", pictures}};
  erase_dead_nodes(*graph);
  return graph;
}

}  // namespace gannet
