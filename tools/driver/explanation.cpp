#include "tools/driver/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/deploy/run_artifact.h"
#include "tools/driver/node_history.h"

namespace gannet {
namespace {

void number_programs(const Program& program, StepRef owner, std::string attribute, std::vector<ExplainedProgram>& programs) {
  const auto number = static_cast<int32_t>(programs.size());
  programs.push_back({&program, owner, std::move(attribute)});
  for (size_t i = 0; i < program.bodies.size(); ++i) {
    StepRef step{number, -1};
    std::string name;
    for (size_t s = 0; s < program.steps.size(); ++s) {
      const auto* call = std::get_if<EvalCall>(&program.steps[s].call);
      if (!call) continue;
      for (const auto& [attr, body] : call->bodies) {
        if (body == static_cast<int32_t>(i)) step.step = static_cast<int32_t>(s), name = attr;
      }
    }
    number_programs(*program.bodies[i], step, std::move(name), programs);
  }
}

void add_unique(std::vector<std::string>& list, const std::string& text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

// What the placements say of each node.
void take_placements(Explanation& explanation) {
  std::map<StepRef, std::set<int32_t>> sharers;
  std::vector<std::set<std::string>> backends(explanation.nodes.size());
  for (const Placement& placement : explanation.compiled.placements) {
    for (const int32_t source : placement.sources) {
      ExplainedNode& node = explanation.nodes[static_cast<size_t>(source)];
      if (node.outcome == Outcome::kConstant) continue;
      backends[static_cast<size_t>(source)].insert(placement.backend);
      for (const std::string& reason : placement.refused) add_unique(node.refused, reason);
      for (int32_t step = placement.first_step; step < placement.end_step; ++step) {
        node.steps.push_back({placement.program, step});
        sharers[{placement.program, step}].insert(source);
      }
    }
  }
  for (size_t i = 0; i < explanation.nodes.size(); ++i) {
    ExplainedNode& node = explanation.nodes[i];
    std::ranges::sort(node.steps);
    node.steps.erase(std::unique(node.steps.begin(), node.steps.end()), node.steps.end());
    std::set<int32_t> together;
    for (const StepRef& step : node.steps) together.insert(sharers[step].begin(), sharers[step].end());
    together.erase(static_cast<int32_t>(i));
    node.together.assign(together.begin(), together.end());
    std::set<std::string>& where = backends[i];
    if (where.empty() || node.outcome == Outcome::kMerged) continue;
    node.outcome = where.contains("eval") ? Outcome::kEval : node.steps.empty() ? Outcome::kView : Outcome::kKernel;
    where.erase("eval");
    where.erase("view");
    for (const std::string& backend : where) node.backend += (node.backend.empty() ? "" : "+") + backend;
  }
  explanation.step_nodes.resize(explanation.programs.front().program->steps.size());
  for (const auto& [step, sources] : sharers) {
    if (step.program == 0) explanation.step_nodes[static_cast<size_t>(step.step)].assign(sources.begin(), sources.end());
  }
}

void take_remarks(Explanation& explanation) {
  for (const Remark& remark : explanation.compiled.remarks) {
    for (const int32_t source : remark.sources) explanation.nodes[static_cast<size_t>(source)].remarks.push_back(remark);
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  constexpr std::string_view kNames[] = {"eval", "kernel", "view", "constant", "merged", "removed"};
  return kNames[static_cast<size_t>(outcome)];
}

Result<Explanation> explain_model(ImportedModel model, const CompileOptions& options) {
  Explanation explanation;
  NodeHistory history(model);
  RunOptions passes;
  passes.observer = [&](const Pass& pass, int64_t, const Graph& graph, bool changed, double) {
    if (changed) history.observe(pass.name, graph);
    return Status();
  };
  explanation.compiled = TRY(compile_graph(*model.graph, options, "inference", passes));
  explanation.nodes = history.take();
  explanation.model = std::move(model);
  explanation.isa = name_of(options.target.isa);
  explanation.product_dtype = options.product_dtype;
  number_programs(*explanation.compiled.program, {-1, -1}, "", explanation.programs);
  take_placements(explanation);
  take_remarks(explanation);
  for (const Tensor& constant : explanation.compiled.program->constants) explanation.constant_bytes += constant.bytes();
  return explanation;
}

void measure_memory(Explanation& explanation, std::span<const Datum> inputs, int threads, const Limits& limits) {
  const std::shared_ptr<const Program>& program = explanation.compiled.program;
  for (size_t i = 0; i < inputs.size(); ++i) explanation.inputs.emplace_back(program->inputs[i].name, to_string(inputs[i].type()));
  explanation.threads = Threads(threads).count();
  Result<std::unique_ptr<Session>> session = make_session(program, threads, 0, limits);
  const Result<std::vector<Datum>> outputs = session.ok() ? (*session)->run(inputs) : Result<std::vector<Datum>>(session.error());
  if (!outputs.ok()) {
    explanation.not_run = outputs.error().message;
    return;
  }
  for (size_t i = 0; i < outputs->size(); ++i) {
    explanation.outputs.emplace_back(program->outputs[i].name, to_string((*outputs)[i].type()));
    const ProgramValue& value = program->values[static_cast<size_t>(program->outputs[i].value)];
    const BufferKind kind = program->buffers[static_cast<size_t>(value.buffer)].kind;
    if (kind != BufferKind::kBoxed && kind != BufferKind::kConstant && kind != BufferKind::kInput) explanation.output_bytes += (*outputs)[i].bytes();
  }
  explanation.plan = (*session)->plan();
  explanation.memory = (*session)->memory();
}

std::string title_of(const Explanation& explanation, int32_t node) {
  const SourceNode& source = explanation.model.nodes[static_cast<size_t>(node)];
  const std::string own = fmt::format("{} '{}'", source.op, source.name);
  return source.parent < 0 ? own : fmt::format("{} / {} / {}", title_of(explanation, source.parent), source.attribute, own);
}

std::string_view backend_of(const Step& step) {
  constexpr std::string_view kBackends[] = {"llvm", "onednn", "eval", "copy"};
  return kBackends[step.call.index()];
}

std::string kernel_of(const Step& step) {
  if (const auto* kernel = std::get_if<KernelCall>(&step.call)) return fmt::format("kernel {}", kernel->function);
  if (const auto* eval = std::get_if<EvalCall>(&step.call)) return "the definition of " + eval->op;
  const auto* primitive = std::get_if<PrimitiveCall>(&step.call);
  if (!primitive) return "a copy";
  if (const auto* convolution = std::get_if<ConvolutionRecipe>(&primitive->recipe)) return convolution->transposed ? "deconvolution" : "convolution";
  constexpr std::string_view kRecipes[] = {"convolution", "matrix product", "pooling", "recurrent layer", "weight gradient",
                                            "sum of rows", "scattered blocks", "running total", "loss of targets", "attention"};
  static_assert(std::size(kRecipes) == std::variant_size_v<Recipe>);
  return std::string(kRecipes[primitive->recipe.index()]);
}

std::string note_of(const Explanation& explanation, int32_t node) {
  const ExplainedNode& explained = explanation.nodes[static_cast<size_t>(node)];
  std::vector<std::string> parts;
  if (explained.outcome == Outcome::kEval) parts = explained.refused;
  const bool gone = explained.outcome == Outcome::kConstant || explained.outcome == Outcome::kRemoved;
  if (gone && !explained.events.empty()) {
    const std::string& pass = explained.events.back().pass;
    const bool dead = pass == "eliminate_dead_nodes" && explained.outcome == Outcome::kRemoved;
    if (dead) parts.push_back("no result depends on it");
    else if (pass == "import") parts.push_back(explained.outcome == Outcome::kRemoved ? "import: unused, or does nothing" : "import");
    else parts.push_back(pass);
  }
  if (explained.outcome == Outcome::kMerged) parts.push_back("its result is that of '" + explained.same_as + "'");
  for (const Remark& remark : explained.remarks) add_unique(parts, remark.pass + ": " + remark.text);
  return joined(parts);
}

}  // namespace gannet
