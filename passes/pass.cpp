#include "passes/pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ir/op.h"
#include "ir/verify.h"

namespace gannet {

#define PASS(function, description) Result<bool> function(Graph& graph, PassContext& context);
#include "passes/passes.def"

namespace {

constexpr Pass kPasses[] = {
#define PASS(function, description) {#function, description, function},
#include "passes/passes.def"
};

constexpr int kMostRounds = 10;

// Runs a pipeline's text over one graph and its subgraphs.
class Runner {
 public:
  Runner(PassContext& context, const RunOptions& options) : context_(context), options_(options) {}

  // Runs the passes of `text`; true when one changed the graph.
  Result<bool> sequence(Graph& graph, std::string_view text) {
    bool changed = false;
    while (!text.empty()) {
      const bool group = text.front() == '(';
      size_t end = group ? text.find(')') : text.find(',');
      if (group && (end == std::string_view::npos || text.substr(end + 1, 1) != "*")) {
        return invalid_input(fmt::format("a group of passes ends in ')*', got '{}'", text));
      }
      const std::string_view part = group ? text.substr(1, end - 1) : text.substr(0, end);
      changed |= group ? TRY(repeat(graph, part)) : TRY(one(graph, part));
      if (group) end += 2;
      if (end < text.size() && text[end] != ',') return invalid_input(fmt::format("passes are separated by ',', got '{}'", text.substr(end)));
      text = end < text.size() ? text.substr(end + 1) : std::string_view();
    }
    return changed;
  }

 private:
  Result<bool> repeat(Graph& graph, std::string_view text) {
    bool changed = false;
    for (int round = 0; round < kMostRounds; ++round) {
      if (!TRY(sequence(graph, text))) break;
      changed = true;
    }
    return changed;
  }

  Result<bool> one(Graph& graph, std::string_view name) {
    const Pass* pass = find_pass(name);
    if (!pass) return invalid_input(fmt::format("there is no pass '{}'", name));
    if (options_.bisect >= 0 && number_ >= options_.bisect) return false;
    const auto start = std::chrono::steady_clock::now();
    context_.begin(name);
    Result<bool> changed = over(graph, *pass);
    if (!changed.ok()) return with_prefix(fmt::format("pass {}: ", name), changed.error());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (options_.verify_each) {
      if (Status status = verify(graph); !status.ok()) return with_prefix(fmt::format("after pass {}: ", name), status.error());
    }
    if (options_.observer) TRY(options_.observer(*pass, number_, graph, *changed, seconds.count()));
    ++number_;
    return changed;
  }

  // Subgraphs first: what a node does may depend on what its body has become.
  Result<bool> over(Graph& graph, const Pass& pass) {
    bool changed = false;
    std::vector<Graph*> bodies;
    for (const auto& node : graph.nodes()) {
      if (node->op().name != "Fused") for_each_subgraph(*node, [&](Graph& body) { bodies.push_back(&body); });
    }
    for (Graph* body : bodies) changed |= TRY(over(*body, pass));
    return TRY(pass.run(graph, context_)) || changed;
  }

  PassContext& context_;
  const RunOptions& options_;
  int64_t number_ = 0;
};

}  // namespace

void PassContext::begin(std::string_view pass) {
  pass_ = pass;
  std::erase_if(remarks_, [&](const Remark& remark) { return remark.pass == pass; });
}

void PassContext::remark(const Node& node, std::string text) {
  std::string name = node.name;
  if (name.empty() && node.output()) name = node.output()->name;
  remarks_.push_back({pass_, std::move(name), std::move(text), {node.sources().begin(), node.sources().end()}});
}

std::span<const Pass> all_passes() { return kPasses; }

const Pass* find_pass(std::string_view name) {
  const auto* found = std::ranges::find(kPasses, name, &Pass::name);
  return found == std::end(kPasses) ? nullptr : found;
}

Status run_passes(Graph& graph, std::string_view pipeline, PassContext& context, const RunOptions& options) {
  return TRY(Runner(context, options).sequence(graph, pipeline)), Status();
}

}  // namespace gannet
