#include "tools/driver/build_artifact.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/base/nearest.h"
#include "ir/named_target.h"

namespace gannet {
namespace {

// Whether a step of `program` or its bodies multiplies elements of one of `types`.
bool multiplies(const Program& program, std::initializer_list<DType> types) {
  const auto has_type = [&](const auto* recipe) { return recipe && std::ranges::find(types, recipe->x.dtype) != types.end(); };
  const bool own = std::ranges::any_of(program.steps, [&](const Step& step) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    return call && (has_type(std::get_if<ConvolutionRecipe>(&call->recipe)) || has_type(std::get_if<MatmulRecipe>(&call->recipe)) ||
                    has_type(std::get_if<WeightGradientRecipe>(&call->recipe)));
  });
  return own || std::ranges::any_of(program.bodies, [&](const auto& body) { return multiplies(*body, types); });
}

// As much of `target` as `program` uses.
Target needed_by(const Program& program, Target target) {
  target.bf16_products = target.bf16_products && multiplies(program, {DType::kBF16});
  target.integer_products = target.bf16_products || (target.integer_products && multiplies(program, {DType::kI8, DType::kU8}));
  return target;
}

Result<TargetProgram> compile_for(const Graph& graph, const ImportedModel& model,
                                  const CompileOptions& options) {
  const std::unique_ptr<Graph> own = graph.clone();
  CompiledModel compiled = TRY(compile_graph(*own, options));
  compiled.program->metadata = model.info.metadata;
  const Target needed = needed_by(*compiled.program, options.target);
  return TargetProgram{std::string(target_name(options.target)), std::string(target_name(needed)),
                       std::move(compiled.program)};
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
                                const CompileOptions& options) {
  Artifact artifact;
  for (const Target& target : targets) {
    CompileOptions own = options;
    own.target = target;
    TargetProgram made = TRY(compile_for(*model.graph, model, own));
    const bool known = std::ranges::any_of(
        artifact.programs, [&](const TargetProgram& other) { return other.needed == made.needed; });
    if (!known) artifact.programs.push_back(std::move(made));
  }
  return artifact;
}

Result<Artifact> rebuild_artifact(const Graph& graph, const ImportedModel& model, const Artifact& made,
                                  const CompileOptions& like) {
  Artifact artifact;
  for (const TargetProgram& before : made.programs) {
    const std::optional<Target> target = find_target(before.target);
    if (!target)
      return unsupported(fmt::format("it is for '{}', which this program does not know", before.target));
    CompileOptions options = like;
    options.target = *target;
    options.code.emplace();
    collect_code(*before.program, *options.code);
    artifact.programs.push_back(TRY(compile_for(graph, model, options)));
    if (artifact.programs.back().needed != before.needed) {
      return unsupported(fmt::format("compiled for {}, it needs {} and no longer {}", before.target,
                                     artifact.programs.back().needed, before.needed));
    }
  }
  return artifact;
}

}  // namespace gannet
