#include "tools/driver/refit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/print.h"
#include "tools/driver/build_artifact.h"
#include "tools/driver/training_flags.h"

namespace gannet {
namespace {

// Inputs and outputs as the model's file has them, the way they are printed.
std::vector<std::string> signature_of(const Graph& graph) {
  std::vector<std::string> lines;
  for (const Value* input : graph.inputs())
    lines.push_back(fmt::format("input '{}' is {}", input->name, to_string(input->type)));
  for (const GraphOutput& output : graph.outputs) lines.push_back(fmt::format("output '{}'", output.name));
  return lines;
}

std::vector<std::string> signature_of(const Program& program) {
  std::vector<std::string> lines;
  for (const ProgramInput& input : program.inputs)
    lines.push_back(fmt::format("input '{}' is {}", input.name, to_string(input.type)));
  for (const ProgramOutput& output : program.outputs)
    lines.push_back(fmt::format("output '{}'", output.name));
  return lines;
}

Error another(const std::string& reason) {
  return invalid_input("it is another model than the compiled one: " + reason);
}

Status check_architecture(const Artifact& made, const Compilation& before, const Compilation& now,
                          const Graph& graph) {
  const std::vector<std::string> old_lines = signature_of(*made.programs.front().program),
                                 lines = signature_of(graph);
  for (size_t i = 0; i < std::max(old_lines.size(), lines.size()); ++i) {
    const std::string there = i < old_lines.size() ? old_lines[i] : "nothing more",
                      here = i < lines.size() ? lines[i] : "nothing more";
    if (there != here) return another(fmt::format("{} here, {} there", here, there));
  }
  for (size_t i = 0; i < std::min(before.weights.size(), now.weights.size()); ++i) {
    const ModelWeight &there = before.weights[i], &here = now.weights[i];
    if (here.type == there.type) continue;
    return another(fmt::format("weight '{}' is {}, where '{}' was {}", here.name, to_string(here.type),
                               there.name, to_string(there.type)));
  }
  if (before.weights.size() != now.weights.size()) {
    return another(
        fmt::format("it has {} weights, the compiled one has {}", now.weights.size(), before.weights.size()));
  }
  return before.form == now.form ? Status() : Status(another("its operations are others"));
}

bool same(const Tensor& a, const Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || a.identical(b));
}

// A tensor of this type that is `uniform` throughout or, where that is nothing, is not the same throughout.
Tensor tensor_like(const Tensor& tensor, const Tensor& uniform) {
  Tensor made = Tensor::zeros(tensor.dtype(), tensor.extents());
  auto* bytes = static_cast<char*>(made.mutable_raw());
  const size_t element = static_cast<size_t>(made.bytes() / std::max<int64_t>(made.elements(), 1));
  if (!uniform.defined()) {
    std::memcpy(bytes, tensor.raw(), static_cast<size_t>(tensor.bytes()));
    if (made.elements() > 1) bytes[0] = static_cast<char>(bytes[0] ^ 1);
    return made;
  }
  for (int64_t i = 0; i < made.elements(); ++i)
    std::memcpy(bytes + static_cast<size_t>(i) * element, uniform.raw(), element);
  return made;
}

std::string number_text(const Tensor& uniform) {
  if (!uniform.defined()) return "several numbers";
  const std::string text = print_tensor(uniform);  // "f32[] {0.5}"
  const size_t begin = text.find('{') + 1;
  return text.substr(begin, text.rfind('}') - begin);
}

// What a rewriting or generated code took from a weight's numbers, found by putting the old ones back.
class DeciderSearch {
 public:
  DeciderSearch(const Artifact& made, const Compilation& before, const Compilation& now,
                const ImportedModel& model)
      : made_(made), before_(before), now_(now), model_(model) {
    for (size_t i = 0; i < now.weights.size(); ++i) {
      if (!same(before.weights[i].uniform, now.weights[i].uniform)) changed_.push_back(i);
    }
  }

  // The error that says so, or `plain` where no weight explains it.
  Error explain(Error plain) const {
    if (changed_.empty() || !fits_with(changed_.size())) return plain;
    size_t few = 0, enough = changed_.size();
    while (enough - few > 1) {
      const size_t middle = few + (enough - few) / 2;
      (fits_with(middle) ? enough : few) = middle;
    }
    const size_t decider = changed_[enough - 1];
    const std::string was = number_text(before_.weights[decider].uniform),
                      is = number_text(now_.weights[decider].uniform);
    return unsupported(fmt::format(
        "weight '{}' decided how the model was compiled: it was {} and is {} now; compile the model anew",
        now_.weights[decider].name, was, is));
  }

 private:
  // Whether the code serves the model with the first `count` of the changed weights as they were.
  bool fits_with(size_t count) const {
    const std::unique_ptr<Graph> graph = model_.graph->clone();
    const std::vector<Value*> weights = model_weights(*graph);
    for (size_t k = 0; k < count; ++k) {
      Value* weight = weights[changed_[k]];
      Tensor old = tensor_like(*weight->constant(), before_.weights[changed_[k]].uniform);
      if (weight->contents) {
        for (size_t i = 0; i < weight->contents->size(); ++i)
          (*weight->contents)[i] = old.int_at(static_cast<int64_t>(i));
      }
      weight->producer()->attrs.set("value", std::move(old));
    }
    return rebuild_artifact(*graph, model_, made_, options_of(before_)).ok();
  }

  const Artifact& made_;
  const Compilation &before_, &now_;
  const ImportedModel& model_;
  std::vector<size_t> changed_;
};

}  // namespace

ModelArguments model_arguments_like(const Compilation& compilation, const std::string& path,
                                    const std::vector<std::string>& limits) {
  ModelArguments arguments;
  arguments.path = path;
  arguments.shapes = compilation.shapes;
  arguments.symbolic_batch = compilation.symbolic_batch;
  arguments.limits = limits;
  return arguments;
}

Result<Artifact> refit(const Artifact& made, const Compilation& before, const ImportedModel& model, const ModelArguments& arguments) {
  Compilation now = compilation_of(*model.graph, arguments, options_of(before));
  now.trains = before.trains;
  now.training = before.training;
  TRY(check_architecture(made, before, now, *model.graph));
  Result<Artifact> fitted = rebuild_artifact(*model.graph, model, made, options_of(before));
  if (!fitted.ok()) return DeciderSearch(made, before, now, model).explain(fitted.error());
  const bool trains = std::ranges::all_of(made.programs, [](const TargetProgram& program) { return program.training != nullptr; });
  if (before.trains != trains) return invalid_input("it does not say how its training parts were made");
  if (trains) {
    TuneArguments training = TRY(parse_step_flags(before.training));
    training.model = arguments;
    if (Status status = rebuild_training(*fitted, made, training, options_of(before)); !status.ok())
      return with_prefix("its training part: ", status.error());
  }
  fitted->compilation = to_bytes(now);
  return fitted;
}

}  // namespace gannet
