#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tools/deploy/arguments.h"
#include "tools/driver/explanation.h"

namespace gannet {
namespace {

// "12 Dropout, 3 Identity": the ops of some nodes, the most frequent first.
std::string op_counts(const Explanation& explanation, const std::vector<int32_t>& nodes) {
  constexpr size_t kMostShown = 6;
  std::map<std::string, int64_t> counts;
  for (const int32_t node : nodes) ++counts[explanation.model.nodes[static_cast<size_t>(node)].op];
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < sorted.size() && i < kMostShown; ++i) {
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].second, printable(sorted[i].first));
  }
  return sorted.size() > kMostShown ? text + ", ..." : text;
}

// What the summary counts together: the backend of a node with a kernel, else its outcome.
std::string group_of(const ExplainedNode& node) {
  return node.outcome == Outcome::kKernel ? node.backend : std::string(name_of(node.outcome));
}

std::string meaning_of(const std::string& group) {
  const std::pair<std::string_view, std::string_view> kMeanings[] = {
      {"onednn", "library primitives"}, {"llvm", "generated code"},
      {"onednn+llvm", "both"},          {"eval", "evaluated by definition"},
      {"view", "no work at run time"},  {"constant", "known before the model runs"},
      {"merged", "equal to another"},   {"removed", "not needed"},
  };
  const auto* found =
      std::ranges::find(kMeanings, group, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(kMeanings) ? "" : std::string(found->second);
}

std::string summary(const Explanation& explanation) {
  const Program& program = *explanation.compiled.program;
  std::map<std::string, size_t> steps;
  for (const Step& step : program.steps) ++steps[std::string(backend_of(step))];
  std::string kinds;
  for (const auto& [backend, count] : steps)
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, backend);
  std::string text = fmt::format("{}: {} nodes, {} steps{} ({})\n\n", printable(explanation.model.info.path),
                                 explanation.nodes.size(), program.steps.size(),
                                 kinds.empty() ? "" : ": " + kinds, explanation.isa);
  std::map<std::string, std::vector<int32_t>> groups;
  for (size_t i = 0; i < explanation.nodes.size(); ++i)
    groups[group_of(explanation.nodes[i])].push_back(static_cast<int32_t>(i));
  constexpr std::string_view kOrder[] = {"onednn", "llvm",     "onednn+llvm", "eval",
                                         "view",   "constant", "merged",      "removed"};
  for (const std::string_view group : kOrder) {
    const auto found = groups.find(std::string(group));
    if (found == groups.end()) continue;
    text += fmt::format("  {:<12}{:>6}  {:<28}{}\n", group, found->second.size(),
                        meaning_of(std::string(group)), op_counts(explanation, found->second));
  }
  return text;
}

// Steps that no node of the file asks for: changes of layout, copies.
std::string added_steps(const Explanation& explanation) {
  std::map<std::string, int64_t> counts;
  const Program& program = *explanation.compiled.program;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    if (explanation.step_nodes[i].empty()) ++counts[program.steps[i].op];
  }
  std::string text;
  for (const auto& [op, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, op);
  return text.empty() ? "" : fmt::format("\nadded for layouts: {}\n", text);
}

using Reasons = std::map<std::pair<std::string, std::string>, std::vector<int32_t>>;  // nodes by op and reason

std::string lines_of(const Explanation& explanation, const Reasons& groups) {
  std::string text;
  for (const auto& [key, nodes] : groups) {
    const std::string who = nodes.size() == 1 ? title_of(explanation, nodes[0])
                                              : fmt::format("{} nodes {}, first {}", nodes.size(), key.first,
                                                            title_of(explanation, nodes[0]));
    text += fmt::format("  {}\n    {}\n", printable(who), printable(key.second));
  }
  return text;
}

// How many products are of bf16, and which of the file's are not.
std::string rounded_products(const Explanation& explanation) {
  if (explanation.product_dtype == DType::kF32) return "";
  const auto is_narrow = [](const Step& step) { return step.op.starts_with("bf16 "); };
  const auto steps = std::ranges::count_if(explanation.compiled.program->steps, is_narrow);
  Reasons groups;
  for (size_t i = 0; i < explanation.nodes.size(); ++i) {
    for (const Remark& remark : explanation.nodes[i].remarks) {
      if (remark.pass == "round_products") groups[{explanation.model.nodes[i].op, remark.text}].push_back(static_cast<int32_t>(i));
    }
  }
  return fmt::format("\nin bf16: {} steps{}\n", steps, steps == 0 ? "; operands are rounded and multiplied in f32" : "") +
         lines_of(explanation, groups);
}

// Nodes that are evaluated by definition, those of one op and reason together.
std::string without_kernel(const Explanation& explanation) {
  Reasons groups;
  for (size_t i = 0; i < explanation.nodes.size(); ++i) {
    const ExplainedNode& node = explanation.nodes[i];
    const auto index = static_cast<int32_t>(i);
    if (node.outcome == Outcome::kEval)
      groups[{explanation.model.nodes[i].op, note_of(explanation, index)}].push_back(index);
  }
  if (groups.empty()) return "";
  return "\nevaluated by definition\n" + lines_of(explanation, groups);
}

std::string memory(const Explanation& explanation) {
  std::string inputs;
  for (const auto& [name, type] : explanation.inputs)
    inputs += fmt::format("{}{} {}", inputs.empty() ? "" : ", ", printable(name), type);
  if (!explanation.not_run.empty())
    return fmt::format("\nmemory  not known: {}\n", printable(explanation.not_run));
  return fmt::format("\nmemory  arena {} (at least {}), constants {}, with {} on {} threads\n",
                     bytes_text(explanation.memory.arena_bytes),
                     bytes_text(explanation.memory.lower_bound_bytes), bytes_text(explanation.constant_bytes),
                     inputs.empty() ? "no inputs" : inputs, explanation.threads);
}

std::string steps_text(const std::vector<StepRef>& steps) {
  constexpr size_t kMostShown = 3;
  std::string text;
  for (size_t i = 0; i < steps.size() && i < kMostShown; ++i) {
    const std::string body = steps[i].program == 0 ? "" : fmt::format("{}:", steps[i].program);
    text += fmt::format("{}{}{}", i == 0 ? "" : ",", body, steps[i].step);
  }
  return steps.size() > kMostShown ? text + ",..." : text;
}

// The first node of a step says who else is in it.
std::string company(const Explanation& explanation, const ExplainedNode& node) {
  constexpr size_t kMostShown = 3;
  std::string text;
  for (size_t i = 0; i < node.together.size() && i < kMostShown; ++i) {
    text += (i == 0 ? "with " : ", ") + title_of(explanation, node.together[i]);
  }
  return node.together.size() > kMostShown
             ? text + fmt::format(" and {} more", node.together.size() - kMostShown)
             : text;
}

std::string node_lines(const Explanation& explanation) {
  std::string text = fmt::format("\n{:<13} {:<12} node\n", "step", "where");
  for (size_t i = 0; i < explanation.nodes.size(); ++i) {
    const ExplainedNode& node = explanation.nodes[i];
    const auto index = static_cast<int32_t>(i);
    std::string remarks = note_of(explanation, index);
    const bool first = node.together.empty() || index < node.together.front();
    if (first && (node.outcome == Outcome::kKernel || node.outcome == Outcome::kEval)) {
      const std::string others = company(explanation, node);
      if (!others.empty()) remarks = others + (remarks.empty() ? "" : "; " + remarks);
    }
    const std::string line = title_of(explanation, index) + (remarks.empty() ? "" : "  (" + remarks + ")");
    text += fmt::format("{:<13} {:<12} {}\n", steps_text(node.steps), group_of(node), printable(line));
  }
  return text;
}

}  // namespace

std::string explanation_text(const Explanation& explanation) {
  return summary(explanation) + added_steps(explanation) + rounded_products(explanation) + without_kernel(explanation) + memory(explanation) +
         node_lines(explanation);
}

}  // namespace gannet
