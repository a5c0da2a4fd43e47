// Nodes that compute the same from the same operands become one. Random ops and nodes with subgraphs stay
// apart, and so do weights that only happen to hold the same numbers: floating point constants from different
// places of the user's file, unless they are single numbers of rank 0.
#include <algorithm>
#include <functional>
#include <unordered_map>

#include "ir/op.h"
#include "passes/pass.h"

namespace gannet {

namespace {

constexpr int64_t kComparedBytes =
    1 << 12;  // larger constants are the same only where they share their memory

size_t mixed(size_t hash, size_t more) { return (hash ^ more) * 0x9E3779B97F4A7C15u + (hash >> 29); }

size_t hash_of(const Tensor& tensor) {
  size_t hash = static_cast<size_t>(tensor.elements()) * 31 + static_cast<size_t>(tensor.dtype());
  if (tensor.dtype() == DType::kString) return hash;
  if (tensor.bytes() > kComparedBytes) return mixed(hash, std::hash<const void*>()(tensor.raw()));
  return mixed(hash, std::hash<std::string_view>()(
                         {static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes())}));
}

size_t hash_of(const Attr& attr) {
  if (const auto* number = std::get_if<int64_t>(&attr)) return std::hash<int64_t>()(*number);
  if (const auto* number = std::get_if<float>(&attr)) return std::hash<float>()(*number);
  if (const auto* text = std::get_if<std::string>(&attr)) return std::hash<std::string>()(*text);
  if (const auto* dtype = std::get_if<DType>(&attr)) return static_cast<size_t>(*dtype);
  if (const auto* tensor = std::get_if<Tensor>(&attr)) return hash_of(*tensor);
  size_t hash = attr.index();
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(&attr)) {
    for (int64_t number : *numbers) hash = mixed(hash, std::hash<int64_t>()(number));
  }
  return hash;
}

// Buckets only: nodes of one bucket are compared in the order of the graph, so addresses do not decide
// anything.
size_t hash_of(const Node& node) {
  size_t hash = std::hash<const void*>()(&node.op());
  for (const Value* operand : node.inputs()) hash = mixed(hash, std::hash<const void*>()(operand));
  for (const auto& [name, attr] : node.attrs.entries()) hash = mixed(hash, hash_of(attr));
  return hash;
}

bool may_merge(const Node& node) {
  if (node.op().random) return false;
  bool has_graph = false;
  for_each_subgraph(node, [&](Graph&) { has_graph = true; });
  return !has_graph;
}

bool same_constant(const Value& a, const Value& b) {
  const Tensor &x = *a.constant(), &y = *b.constant();
  if (x.dtype() != y.dtype() || x.extents() != y.extents()) return false;
  const bool shares_memory = x.dtype() != DType::kString && x.raw() == y.raw();
  if (!shares_memory && (x.bytes() > kComparedBytes || !x.identical(y))) return false;
  const bool both_weights = a.origin && b.origin && is_float(x.dtype()) && x.rank() > 0;
  return !both_weights || a.origin->offset == b.origin->offset;
}

bool same_node(const Node& a, const Node& b) {
  if (&a.op() != &b.op() || !std::ranges::equal(a.inputs(), b.inputs()) ||
      a.outputs().size() != b.outputs().size())
    return false;
  if (a.output() && b.output() && a.output()->constant() && b.output()->constant())
    return same_constant(*a.output(), *b.output());
  for (size_t i = 0; i < a.outputs().size(); ++i) {
    if (!a.output(i) != !b.output(i)) return false;
    if (a.output(i) && a.output(i)->type != b.output(i)->type) return false;
  }
  return a.attrs == b.attrs;
}

}  // namespace

Result<bool> eliminate_common_subexpressions(Graph& graph, PassContext&) {
  std::unordered_map<size_t, std::vector<Node*>> seen;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  bool changed = false;
  for (Node* node : order) {
    if (!may_merge(*node)) continue;
    std::vector<Node*>& bucket = seen[hash_of(*node)];
    const auto found =
        std::ranges::find_if(bucket, [&](const Node* other) { return same_node(*other, *node); });
    if (found == bucket.end()) {
      bucket.push_back(node);
      continue;
    }
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      if (node->output(i)) graph.replace_uses(node->output(i), (*found)->output(i));
    }
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace gannet
