// Constants that bodies of If, Loop, Scan and SequenceMap capture become Constants of the bodies, where they
// fold, pack and choose kernels as anywhere else, in place of tensors that are handed over in each run. What
// no body uses is captured no more. Each body shares the tensor, so nothing is copied. Training needs its
// weights outside (lift_weights.h).
#include <algorithm>

#include "ir/op.h"
#include "passes/pass.h"

namespace gannet {

namespace {

constexpr std::string_view kCaptures = "captures";

std::vector<Graph*> bodies_of(const Node& node) {
  std::vector<Graph*> bodies;
  for_each_subgraph(node, [&](Graph& body) { bodies.push_back(&body); });
  return bodies;
}

// Input number `from_end`, counted from the last one backwards: captures are the last ones of every body.
size_t index_of(const Graph& body, size_t from_end) { return body.inputs().size() - 1 - from_end; }

void put_into(Graph& body, size_t index, const Value& constant) {
  Value* input = body.inputs()[index];
  if (input->uses().empty() && !body.is_result(input)) return;
  Node* first = body.nodes().empty() ? nullptr : body.nodes().front().get();
  Value* inside = body.add_constant(*constant.constant(), "", first);
  inside->origin = constant.origin;
  constant.producer()->succeed(*inside->producer());
  body.replace_uses(input, inside);
  const std::string name = input->name;
  body.rename(input, name + ".captured");
  body.rename(inside, name);
}

// Whether the last operands of `node` are handed to its bodies.
bool captures_values(const Node& node) {
  return node.attrs.has(kCaptures) && node.attrs.integer(kCaptures) > 0;
}

bool sink_into_bodies(Node& node) {
  const std::vector<Graph*> bodies = bodies_of(node);
  std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
  const int64_t captures = node.attrs.integer(kCaptures);
  int64_t left = captures;
  // From the last one on, so that those before keep their distance from the end.
  for (size_t from_end = 0, seen = 0; seen < static_cast<size_t>(captures); ++seen) {
    const size_t at = operands.size() - 1 - from_end;
    if (operands[at] && operands[at]->constant()) {
      for (Graph* body : bodies) put_into(*body, index_of(*body, from_end), *operands[at]);
    }
    const bool used = std::ranges::any_of(bodies, [&](const Graph* body) {
      const Value* input = body->inputs()[index_of(*body, from_end)];
      return !input->uses().empty() || body->is_result(input);
    });
    if (used) {
      ++from_end;
      continue;
    }
    for (Graph* body : bodies) body->erase_input(index_of(*body, from_end));
    operands.erase(operands.begin() + static_cast<ptrdiff_t>(at));
    --left;
  }
  if (left == captures) return false;
  node.graph().set_operands(&node, std::move(operands));
  node.attrs.set(std::string(kCaptures), left);
  return true;
}

bool sink(Graph& graph) {
  bool changed = false;
  for (const auto& node : graph.nodes()) {
    // Bodies of its own after what it captures has come in, and before what they no longer use is dropped.
    if (captures_values(*node)) changed |= sink_into_bodies(*node);
    if (node->attrs.has(kCaptures)) {
      for (Graph* body : bodies_of(*node)) changed |= sink(*body);
    }
    if (captures_values(*node)) changed |= sink_into_bodies(*node);
  }
  if (changed) erase_dead_nodes(graph);
  return changed;
}

}  // namespace

Result<bool> sink_constants(Graph& graph, PassContext&) { return sink(graph); }

}  // namespace gannet
