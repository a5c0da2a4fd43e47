#include "passes/transformer_places.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "ir/op.h"
#include "passes/rewrite.h"

namespace gannet {

namespace {

bool is_one_of(const Node& node, std::initializer_list<std::string_view> ops) {
  return std::ranges::find(ops, node.op().name) != ops.end();
}

// Looks at what depends on the graph's inputs: all else is weights, or made of them.
class Places {
 public:
  explicit Places(const Graph& graph) : graph_(graph) {
    for (const Value* input : graph.inputs()) made_[input] = -1;
    int64_t position = 0;
    for (const auto& node : graph.nodes()) {
      ++position;
      if (std::ranges::none_of(node->inputs(), [this](const Value* v) { return depends(v); })) continue;
      for (const Value* output : node->outputs()) {
        if (output) made_[output] = position;
      }
      if (extends_linear_layer(*node)) linear_.insert(node->output());
    }
  }

  std::vector<Value*> find() const {
    std::vector<Value*> found;
    bool attends = false, entered = false;
    for (const auto& node : graph_.nodes()) {
      if (node->op().name == "Softmax" && weighs(node->output())) {
        attends = true;
        found.push_back(node->output());
      }
      Value* branch = residual_branch(*node);
      if (!branch) continue;
      Value* stream = branch == node->input(0) ? node->input(1) : node->input(0);
      stream = selected_from(stream);
      if (!entered && stream->producer()) found.push_back(stream);
      entered = true;
      found.push_back(branch);
    }
    return attends ? found : std::vector<Value*>();
  }

 private:
  bool depends(const Value* value) const { return value && made_.contains(value); }

  // The operand that depends on the input when there is just one, else null.
  Value* only_data(const Node& node) const {
    Value* found = nullptr;
    for (Value* operand : node.inputs()) {
      if (!depends(operand)) continue;
      if (found) return nullptr;
      found = operand;
    }
    return found;
  }

  // What the last layer takes some rows of, where the others are not computed (hoist_selections.cpp).
  Value* selected_from(Value* value) const {
    while (value->producer() && is_one_of(*value->producer(), {"Gather", "Slice"}) && depends(value->producer()->input(0)))
      value = value->producer()->input(0);
    return value;
  }

  // Probabilities that something is summed up with, perhaps in another type or shape.
  bool weighs(const Value* probabilities) const {
    return std::ranges::any_of(probabilities->uses(), [this](const Use& use) {
      const Node& node = *use.node;
      if (is_one_of(node, {"Cast", "Reshape", "Identity", "Dropout"})) return use.index == 0 && weighs(node.output());
      return is_one_of(node, {"MatMul", "Einsum"}) && depends(node.input(0)) && depends(node.input(1)) &&
             node.input(0) != node.input(1);
    });
  }

  // A product with weights, what is added and multiplied behind it, or a sum of two of them (thin matrices beside a weight).
  bool extends_linear_layer(const Node& node) const {
    const auto ends = [this](const Value* operand) { return !depends(operand) || linear_.contains(operand); };
    const Value* data = only_data(node);
    if (is_one_of(node, {"MatMul", "Gemm"})) return data != nullptr;
    if (data) return is_one_of(node, {"Add", "Mul", "Cast", "Reshape", "Identity", "Dropout"}) && ends(data);
    return node.op().name == "Add" && std::ranges::all_of(node.inputs(), ends);
  }

  static bool same_form(const Value* a, const Value* b) {
    const auto &one = a->type.shape, &other = b->type.shape;
    if (!one || !other || one->size() != other->size() || one->size() < 2) return false;
    return one->back() == other->back() && a->type.dtype == b->type.dtype && is_float(a->type.dtype);
  }

  bool is_made_of(const Value* value, const Value* part) const {
    std::vector<const Value*> open = {value};
    std::set<const Value*> seen;
    while (!open.empty()) {
      const Value* at = open.back();
      open.pop_back();
      if (at == part) return true;
      if (!at->producer()) continue;
      for (const Value* operand : at->producer()->inputs()) {
        if (depends(operand) && made_.at(operand) >= made_.at(part) && seen.insert(operand).second) open.push_back(operand);
      }
    }
    return false;
  }

  // The operand of a sum that was made of the other one, so later, and ends a linear layer; null for any other node.
  Value* residual_branch(const Node& node) const {
    if (node.op().name != "Add" || !depends(node.input(0)) || !depends(node.input(1))) return nullptr;
    if (node.input(0) == node.input(1) || !same_form(node.input(0), node.input(1))) return nullptr;
    Value* later = made_.at(node.input(0)) > made_.at(node.input(1)) ? node.input(0) : node.input(1);
    const Value* earlier = later == node.input(0) ? node.input(1) : node.input(0);
    return linear_.contains(later) && is_made_of(later, earlier) ? later : nullptr;
  }

  const Graph& graph_;
  std::unordered_map<const Value*, int64_t> made_;  // by the position of its node
  std::unordered_set<const Value*> linear_;         // where a linear layer ends
};

}  // namespace

std::vector<Value*> transformer_places(const Graph& graph) { return Places(graph).find(); }

}  // namespace gannet
