#include "tools/driver/build_artifact.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/base/nearest.h"
#include "ir/named_target.h"
#include "tools/driver/build_training.h"

namespace gannet {
namespace {

// Whether a step of `program` or its bodies multiplies elements of one of `types`, or is a pooling of bf16, which CPUs have with its products.
bool multiplies(const Program& program, std::initializer_list<DType> types) {
  const auto has_type = [&](const auto* recipe) { return recipe && std::ranges::find(types, recipe->x.dtype) != types.end(); };
  const bool own = std::ranges::any_of(program.steps, [&](const Step& step) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    if (!call) return false;
    const auto* pooling = std::get_if<PoolingRecipe>(&call->recipe);
    if (pooling && pooling->x.dtype == DType::kBF16 && has_type(pooling)) return true;
    const auto* attention = std::get_if<AttentionRecipe>(&call->recipe);
    if (attention && std::ranges::find(types, attention->q.dtype) != types.end()) return true;
    return has_type(std::get_if<ConvolutionRecipe>(&call->recipe)) || has_type(std::get_if<MatmulRecipe>(&call->recipe)) ||
           has_type(std::get_if<WeightGradientRecipe>(&call->recipe));
  });
  return own || std::ranges::any_of(program.bodies, [&](const auto& body) { return multiplies(*body, types); });
}

bool multiplies(const TargetProgram& made, std::initializer_list<DType> types) {
  return multiplies(*made.program, types) ||
         (made.training && (multiplies(*made.training->step, types) || multiplies(*made.training->evaluation, types)));
}

// As much of `target` as the programs use.
void set_needed(TargetProgram& made, Target target) {
  target.bf16_products = target.bf16_products && multiplies(made, {DType::kBF16});
  target.integer_products = target.bf16_products || (target.integer_products && multiplies(made, {DType::kI8, DType::kU8}));
  made.needed = target_name(target);
}

Result<TargetProgram> compile_for(const Graph& graph, const ImportedModel& model,
                                  const CompileOptions& options) {
  const std::unique_ptr<Graph> own = graph.clone();
  CompiledModel compiled = TRY(compile_graph(*own, options));
  compiled.program->metadata = model.info.metadata;
  TargetProgram made{std::string(target_name(options.target)), "", std::move(compiled.program), nullptr};
  set_needed(made, options.target);
  return made;
}

void collect_code(const Program& program, std::vector<std::shared_ptr<const CodeImage>>& images) {
  if (program.code) images.push_back(program.code);
  for (const auto& body : program.bodies) collect_code(*body, images);
}

}  // namespace

Result<std::vector<Target>> parse_targets(const std::string& text) {
  std::vector<Target> targets;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string name = text.substr(at, end - at);
    const std::optional<Target> target = name == "native" ? host_target() : find_target(name);
    if (!target) {
      std::vector<std::string_view> known(target_names().begin(), target_names().end());
      known.push_back("native");
      const std::string hint = nearest(name, known);
      return invalid_input(fmt::format("--target: there is no '{}'{}; known are {}", name,
                                       hint.empty() ? "" : fmt::format(", did you mean {}?", hint),
                                       fmt::join(known, ", ")));
    }
    targets.push_back(*target);
    at = end + 1;
  }
  const auto place = [](const Target& target) {
    return std::ranges::find(target_names(), target_name(target));
  };
  std::ranges::sort(targets, {}, place);
  const auto repeated =
      std::ranges::unique(targets, {}, [](const Target& target) { return target_name(target); });
  targets.erase(repeated.begin(), repeated.end());
  return targets;
}

Result<Artifact> build_artifact(const ImportedModel& model, std::span<const Target> targets,
                                const CompileOptions& options, const TuneArguments* training) {
  Artifact artifact;
  for (const Target& target : targets) {
    CompileOptions own = options;
    own.target = target;
    TargetProgram made = TRY(compile_for(*model.graph, model, own));
    if (training) made.training = TRY(build_training(*training, own));
    if (training) set_needed(made, target);
    const bool known = std::ranges::any_of(
        artifact.programs, [&](const TargetProgram& other) { return other.needed == made.needed; });
    if (!known) artifact.programs.push_back(std::move(made));
  }
  return artifact;
}

namespace {

// How a program for `target` is made from the code of `programs`, with options `like` those of then.
Result<CompileOptions> options_with_code(const std::string& target, std::initializer_list<const Program*> programs, const CompileOptions& like) {
  const std::optional<Target> found = find_target(target);
  if (!found) return unsupported(fmt::format("it is for '{}', which this program does not know", target));
  CompileOptions options = like;
  options.target = *found;
  options.code.emplace();
  for (const Program* program : programs) {
    if (program) collect_code(*program, *options.code);
  }
  return options;
}

Status check_needed(const TargetProgram& made, const TargetProgram& before) {
  if (made.needed == before.needed) return {};
  return unsupported(fmt::format("compiled for {}, it needs {} and no longer {}", before.target, made.needed, before.needed));
}

}  // namespace

Result<Artifact> rebuild_artifact(const Graph& graph, const ImportedModel& model, const Artifact& made,
                                  const CompileOptions& like) {
  Artifact artifact;
  for (const TargetProgram& before : made.programs) {
    const CompileOptions options = TRY(options_with_code(before.target, {before.program.get()}, like));
    artifact.programs.push_back(TRY(compile_for(graph, model, options)));
    if (!before.training) TRY(check_needed(artifact.programs.back(), before));
  }
  return artifact;
}

Status rebuild_training(Artifact& artifact, const Artifact& made, const TuneArguments& training, const CompileOptions& like) {
  for (size_t i = 0; i < made.programs.size(); ++i) {
    const TrainingPart& before = *made.programs[i].training;
    const CompileOptions options = TRY(options_with_code(
        made.programs[i].target, {before.step.get(), before.apply.get(), before.evaluation.get()}, like));
    artifact.programs[i].training = TRY(build_training(training, options));
    set_needed(artifact.programs[i], options.target);
    TRY(check_needed(artifact.programs[i], made.programs[i]));
  }
  return {};
}

}  // namespace gannet
