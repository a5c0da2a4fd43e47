#include <algorithm>
#include <map>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/transpose_region.h"

namespace gannet {
namespace {

// Builds the nodes of a region anew in their permuted form.
class Rewriter {
 public:
  Rewriter(Graph& graph, const TransposeRegion& region) : graph_(graph), region_(region) {}

  // `nodes` in topological order.
  Status run(const std::vector<Node*>& nodes) {
    for (Node* node : nodes) TRY(rebuild(*node));
    for (Node* node : nodes) {
      for (Value* result : node->outputs()) {
        if (result && made_.contains(result)) TRY(reconnect(result, node));
      }
    }
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) graph_.erase(*node);
    for (const auto& [made, name] : names_) graph_.rename(made, name);
    return {};
  }

 private:
  Status rebuild(Node& node) {
    const NodeLayouts& layouts = region_.layouts.at(&node);
    std::vector<Value*> operands;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      Value* operand = node.input(i);
      if (!operand) operands.push_back(nullptr);
      else if (layouts.operands[i].empty()) operands.push_back(TRY(natural(operand, node)));
      else operands.push_back(TRY(permuted_operand(operand, i, layouts.operands[i], node)));
    }
    Node* made = TRY(add_permuted_node(graph_, node, layouts, std::move(operands)));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      Value* old = node.output(i);
      if (!old) continue;
      made_[old] = {made->output(i), layouts.results[i]};
      // Inference may have made fresh symbols for what the old ones still stand for.
      made->output(i)->type.shape = layouts.results[i].empty() ? *old->type.shape : permuted(*old->type.shape, layouts.results[i]);
    }
    node.succeed(*made);
    return {};
  }

  // `value` as it was, for a node that is built anew.
  Result<Value*> natural(Value* value, Node& before) {
    const auto found = made_.find(value);
    if (found == made_.end()) return value;
    if (found->second.second.empty()) return found->second.first;
    return transposed(found->second.first, inverse(found->second.second), before);
  }

  // A Transpose in front of `before`, or a Reshape where nothing moves.
  Result<Value*> transposed(Value* value, const Permutation& p, Node& before) {
    if (is_identity(p)) return value;
    GraphBuilder b(graph_, &before);
    const Shape& shape = *value->type.shape;
    Value* result = moves_nothing(shape, p) ? b.reshape(value, permuted(shape, p)) : b.transpose(value, p);
    TRY(b.status());
    result->producer()->set_sources({});
    return result;
  }

  // True where operand `index` may have fewer dimensions than the result: another one has them all.
  static bool may_broadcast(const Node& node, size_t index, size_t rank) {
    if (!node.op().body && node.op().name != "Map") return false;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* other = node.input(i);
      if (i != index && other && !other->constant() && other->type.rank() == static_cast<int64_t>(rank)) return true;
    }
    return false;
  }

  Result<Value*> permuted_operand(Value* value, size_t index, const Permutation& p, Node& before) {
    if (const Tensor* tensor = value->constant()) {
      return permuted_constant(*tensor, p, may_broadcast(before, index, p.size()), before);
    }
    if (const auto found = made_.find(value); found != made_.end() && found->second.second == p) return found->second.first;
    Value*& known = permuted_[{value, p}];
    if (known) return known;
    const size_t missing = p.size() - value->type.shape->size();
    if (missing > 0) {
      GraphBuilder b(graph_, &before);
      Shape shape(missing, Dim(1));
      shape.insert(shape.end(), value->type.shape->begin(), value->type.shape->end());
      Value* wide = b.reshape(TRY(natural(value, before)), shape);
      TRY(b.status());
      known = TRY(transposed(wide, p, before));
    } else if (is_transpose(value->producer()) && permutation_of(*value->producer())) {
      Value* source = value->producer()->input(0);
      const auto found = made_.find(source);
      const bool moved = found != made_.end() && !found->second.second.empty();
      if (found != made_.end()) source = found->second.first;
      const Permutation from = compose(*permutation_of(*value->producer()), p);
      known = TRY(transposed(source, moved ? compose(inverse(found->second.second), from) : from, before));
    } else {
      known = TRY(transposed(TRY(natural(value, before)), p, before));
    }
    return known;
  }

  Result<Value*> permuted_constant(const Tensor& tensor, const Permutation& p, bool trim, Node& before) {
    std::vector<int64_t> extents(p.size() - tensor.extents().size(), 1);
    extents.insert(extents.end(), tensor.extents().begin(), tensor.extents().end());
    Tensor result = TRY(permuted(tensor.reshaped(extents), p));
    std::vector<int64_t> trimmed = result.extents();
    while (trim && trimmed.size() > 1 && trimmed.front() == 1) trimmed.erase(trimmed.begin());
    return graph_.add_constant(result.reshaped(trimmed), "", &before);
  }

  // Gives the remaining uses of `old` what they need of the permuted value.
  Status reconnect(Value* old, Node* before) {
    const auto [made, p] = made_.at(old);
    if (p.empty()) {
      graph_.replace_uses(old, made);
      names_.push_back({made, old->name});
      return {};
    }
    const std::vector<Use> uses(old->uses().begin(), old->uses().end());
    bool needed = graph_.is_result(old);
    for (const Use& use : uses) {
      if (rebuilt(use.node)) continue;
      const auto q = is_transpose(use.node) ? permutation_of(*use.node) : std::nullopt;
      if (!q) {
        needed = true;
        continue;
      }
      const Permutation rest = compose(inverse(p), *q);
      if (is_identity(rest)) {
        graph_.replace_uses(use.node->output(), made);
      }
      graph_.set_operand(use.node, 0, made);
      use.node->attrs.set("perm", rest);
    }
    Value* heir = needed ? TRY(transposed(made, inverse(p), *before)) : made;
    if (needed) graph_.replace_uses(old, heir);
    if (heir != made) {
      heir->producer()->set_sources({});
      old->producer()->succeed(*made->producer());
    }
    names_.push_back({heir, old->name});
    return {};
  }

  bool rebuilt(const Node* node) const {
    return region_.layouts.contains(node) && std::ranges::any_of(node->outputs(), [&](const Value* v) { return v && made_.contains(v); });
  }

  Graph& graph_;
  const TransposeRegion& region_;
  std::unordered_map<const Value*, std::pair<Value*, Permutation>> made_;  // new results and their layouts
  std::map<std::pair<Value*, Permutation>, Value*> permuted_;
  std::vector<std::pair<Value*, std::string>> names_;
};

}  // namespace

Status permute_nodes(Graph& graph, const TransposeRegion& region, const std::vector<Node*>& nodes) { return Rewriter(graph, region).run(nodes); }

}  // namespace gannet
