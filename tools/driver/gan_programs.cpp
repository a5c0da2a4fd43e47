#include "tools/driver/gan_programs.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/spectral_norm.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/training_runner.h"

namespace gannet {

namespace {

std::vector<GanInputSpec> input_specs_of(const Graph& graph, const std::vector<GanInput>& kinds, const GanArguments& arguments) {
  const GanSource latent = arguments.latent == "uniform" ? GanSource::kSymmetric : GanSource::kNormal;
  std::vector<GanInputSpec> specs;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto source = [&] {
      switch (kinds[i]) {
        case GanInput::kPictures: return GanSource::kPictures;
        case GanInput::kClasses: return GanSource::kClasses;
        case GanInput::kNormal: return GanSource::kNormal;
        case GanInput::kUniform: return GanSource::kUniform;
        case GanInput::kLatent: return latent;
        case GanInput::kDiscriminatorRate: return GanSource::kDiscriminatorRate;
        case GanInput::kGeneratorRate: return GanSource::kGeneratorRate;
        case GanInput::kNoiseScale: return GanSource::kNoiseScale;
      }
      __builtin_unreachable();
    };
    specs.push_back({graph.inputs()[i]->name, graph.inputs()[i]->type, source()});
  }
  return specs;
}

NamedTensors weights_of(const TuneModel& model, const std::string& prefix, const NamedTensors& states) {
  const auto find = [&](const std::string& name) {
    return std::ranges::find(states, name, &std::pair<std::string, Tensor>::first);
  };
  NamedTensors weights;
  for (const State& state : model.graph().states) {
    auto found = find("ema/" + prefix + state.name);
    if (found == states.end()) found = find(prefix + state.name);
    weights.emplace_back(state.name, found == states.end() ? state.initial : found->second);
  }
  return weights;
}

// What the discriminator's layers use in place of these weights.
void divide_by_spectra(const Graph& model, const NamedTensors& states, NamedTensors& weights) {
  for (const SpectralWeight& weight : spectral_weights(model)) {
    const std::string name = "spectral/discriminator/" + model.states[weight.state].name;
    const auto direction = std::ranges::find(states, name, &std::pair<std::string, Tensor>::first);
    CHECK(direction != states.end(), "there is no state '{}'", name);
    Tensor& value = weights[weight.state].second;
    value = divided_by_spectrum(value, direction->second, weight.output_axis);
  }
}

}  // namespace

Result<GanEngine> make_gan_engine(const GanModels& models, const GanStepOptions& options, const GanArguments& arguments) {
  Limits limits = default_limits();
  for (const std::string& assignment : arguments.limits) TRY(set_limit(limits, assignment));
  const RunnerOptions runner = {arguments.backend == "reference", arguments.compile, arguments.threads, arguments.seed, limits};
  const auto program = [&](GanUpdate update) -> Result<GanProgram> {
    GanStep step = TRY(build_gan_step(models.pair, options, update));
    GanProgram made;
    made.inputs = input_specs_of(*step.graph, step.inputs, arguments);
    made.runner = TRY(make_training_runner(std::move(step.graph), "training", runner));
    return made;
  };
  GanPrograms programs;
  programs.both = TRY(program(GanUpdate::kBoth));
  if (discriminator_steps(arguments) > 1) programs.discriminator = TRY(program(GanUpdate::kDiscriminator));
  if (generator_steps(arguments) > 1) programs.generator = TRY(program(GanUpdate::kGenerator));
  std::unique_ptr<Graph> generation = TRY(build_generation(models.pair));
  std::vector<GanInput> kinds(generation->inputs().size(), GanInput::kLatent);
  if (models.pair.generator_class) kinds.back() = GanInput::kClasses;
  programs.generation.inputs = input_specs_of(*generation, kinds, arguments);
  programs.generation.runner = TRY(make_training_runner(std::move(generation), "training", runner));
  return GanEngine(std::move(programs));
}

Status export_gan(const GanModels& models, const GanStepOptions& options, const NamedTensors& states, const std::string& folder,
                  const Limits& limits) {
  TRY(export_weights(models.generator, weights_of(models.generator, "generator/", states), folder + "/generator.onnx", limits));
  NamedTensors weights = weights_of(models.discriminator, "discriminator/", states);
  if (options.spectral_norm) divide_by_spectra(*models.pair.discriminator, states, weights);
  return export_weights(models.discriminator, weights, folder + "/discriminator.onnx", limits);
}

}  // namespace gannet
