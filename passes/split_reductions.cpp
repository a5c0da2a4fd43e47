// Sums over all axes but the trailing ones, as gradients of biases and of normalizations' parameters take, in two
// levels: over the inner axes for each position of the first, then over the first. The many partial sums can be
// computed at the same time, and their order does not depend on how many threads do so.
#include <algorithm>
#include <array>
#include <string>

#include "ir/builder.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "passes/pass.h"

namespace gannet {
namespace {

struct Levels {
  std::string_view op, second;
};
constexpr std::array<Levels, 4> kOps = {{{"ReduceSum", "ReduceSum"},
                                         {"ReduceMean", "ReduceMean"},
                                         {"ReduceL1", "ReduceSum"},
                                         {"ReduceSumSquare", "ReduceSum"}}};

// How many leading axes `node` reduces; 0 where it reduces others or where two levels gain nothing.
size_t split_axes(const Node& node) {
  const Type& x = node.input(0)->type;
  if (!x.shape || !is_float(x.dtype)) return 0;
  const std::optional<std::vector<int64_t>> given = constant_ints(node.input(1));
  if (!given || given->empty()) return 0;
  Result<std::vector<int64_t>> axes = normalize_axes(*given, x.rank());
  if (!axes.ok()) return 0;
  std::ranges::sort(*axes);
  for (size_t i = 0; i < axes->size(); ++i) {
    if ((*axes)[i] != static_cast<int64_t>(i)) return 0;
  }
  const Shape& shape = *x.shape;
  const bool inner = std::any_of(shape.begin() + 1, shape.begin() + static_cast<int64_t>(axes->size()), [](const Dim& dim) { return !dim.is_constant(1); });
  return axes->size() < shape.size() && inner && !shape[0].is_constant(1) ? axes->size() : 0;
}

}  // namespace

Result<bool> split_reductions(Graph& graph, PassContext&) {
  std::vector<std::pair<Node*, const Levels*>> found;
  for (const auto& node : graph.nodes()) {
    const auto* levels = std::ranges::find(kOps, node->op().name, &Levels::op);
    if (levels != kOps.end() && node->input(1) && split_axes(*node) > 0) found.emplace_back(node.get(), levels);
  }
  for (const auto& [node, levels] : found) {
    GraphBuilder b(graph, node, node->name);
    std::vector<int64_t> inner, all = {0};
    for (size_t i = 1; i < split_axes(*node); ++i) inner.push_back(static_cast<int64_t>(i));
    all.insert(all.end(), inner.begin(), inner.end());
    Value* partial = b.reduce(levels->op, node->input(0), inner, true);
    Value* total = b.reduce(levels->second, partial, all, node->attrs.integer("keepdims") != 0);
    TRY(b.status());
    const std::string name = node->output()->name;
    graph.replace_uses(node->output(), total);
    graph.erase(node);
    graph.rename(total, name);
  }
  return !found.empty();
}

}  // namespace gannet
