// A Gather or Slice that keeps few positions of an axis moves before the products that compute the others: a
// classifier reads one token of the last layer of a transformer, so queries, attention and feed-forward layer
// of the others are not needed. Only the keys and values of that layer are computed for all tokens.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "passes/fusion.h"
#include "passes/pass.h"
#include "passes/permute_node.h"
#include "passes/rewrite.h"

namespace gannet {
namespace {

// What keeps some positions of an axis, wherever it is placed.
struct Selection {
  Node* node = nullptr;
  int64_t axis = 0;    // of the node's operand
  Dim count;           // positions that it keeps
  bool drops = false;  // a Gather of one position that has no axis in the result

  Value* place(GraphBuilder& b, Value* x, int64_t at) const {
    const auto list = [this](size_t i) { return *constant_ints(node->input(i)); };
    if (node->op().name == "Gather") return b.op("Gather", {x, b.ints(list(1))}, {{"axis", at}});
    return b.slice(x, list(1), list(2), {at}, node->input(4) ? list(4) : std::vector<int64_t>());
  }
};

int64_t axis_in(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

std::optional<Selection> gather_selection(Node& node) {
  const auto positions = constant_ints(node.input(1));
  if (!positions) return std::nullopt;
  return Selection{&node, axis_in(node.attrs.integer("axis"), node.input(0)->type.rank()),
                   Dim(static_cast<int64_t>(positions->size())), node.input(1)->type.rank() == 0};
}

std::optional<Selection> slice_selection(Node& node) {
  for (size_t i = 1; i < node.inputs().size(); ++i) {
    if (node.input(i) && !node.input(i)->constant()) return std::nullopt;
  }
  const auto starts = constant_ints(node.input(1));
  if (!starts || starts->size() != 1 || !node.output()->type.shape) return std::nullopt;
  const int64_t axis =
      node.input(3) ? axis_in(constant_ints(node.input(3))->at(0), node.input(0)->type.rank()) : 0;
  return Selection{&node, axis, (*node.output()->type.shape)[static_cast<size_t>(axis)], false};
}

// Of nodes that keep at most half of an axis.
std::optional<Selection> selection_of(Node& node) {
  const std::string_view op = node.op().name;
  if ((op != "Gather" && op != "Slice") || !node.input(0)->type.shape) return std::nullopt;
  const std::optional<Selection> found = op == "Gather" ? gather_selection(node) : slice_selection(node);
  if (!found) return std::nullopt;
  const Dim& extent = (*node.input(0)->type.shape)[static_cast<size_t>(found->axis)];
  return 2 * estimated(found->count) <= estimated(extent) ? found : std::nullopt;
}

constexpr int64_t kWhole = -1;  // an operand of which all is needed

// For each operand the axis to select from so that `node` computes the selection from `axis` of its only
// result; kWhole for one that stays as it is. Nothing where it cannot.
using OperandAxes = std::optional<std::vector<int64_t>>;
using Rule = OperandAxes (*)(const Node&, int64_t axis);

// The axis of an operand that broadcasting brings to `axis` of the result. False where that is not decided.
bool broadcast_axis(const Node& node, size_t index, int64_t axis, int64_t& found) {
  const Type &x = node.input(index)->type, &y = node.output()->type;
  if (!x.shape) return false;
  const int64_t own = axis - (y.rank() - x.rank());
  found = kWhole;
  if (own < 0 || (*x.shape)[static_cast<size_t>(own)].is_constant(1)) return true;
  found = own;
  return (*x.shape)[static_cast<size_t>(own)] == (*y.shape)[static_cast<size_t>(axis)];
}

OperandAxes elementwise(const Node& node, int64_t axis) {
  std::vector<int64_t> axes(node.inputs().size(), kWhole);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (node.input(i) && !broadcast_axis(node, i, axis, axes[i])) return std::nullopt;
  }
  return axes;
}

OperandAxes first_operand(const Node& node, int64_t axis) {
  std::vector<int64_t> axes(node.inputs().size(), kWhole);
  axes[0] = axis;
  return axes;
}

OperandAxes matmul(const Node& node, int64_t axis) {
  const int64_t rank = node.output()->type.rank();
  const Type &a = node.input(0)->type, &b = node.input(1)->type;
  if (!a.shape || !b.shape || a.rank() < 2 || b.rank() < 2 || axis == rank - 1) return std::nullopt;
  if (axis == rank - 2) return std::vector<int64_t>{a.rank() - 2, kWhole};
  return elementwise(node, axis);
}

OperandAxes gemm(const Node& node, int64_t axis) {
  if (axis != 0) return std::nullopt;
  std::vector<int64_t> axes(node.inputs().size(), kWhole);
  axes[0] = node.attrs.integer("transA") != 0 ? 1 : 0;
  if (node.input(2) && !broadcast_axis(node, 2, axis, axes[2])) return std::nullopt;
  return axes;
}

OperandAxes transpose(const Node& node, int64_t axis) {
  const auto permutation = permutation_of(node);
  if (!permutation) return std::nullopt;
  return std::vector<int64_t>{(*permutation)[static_cast<size_t>(axis)]};
}

OperandAxes other_axis(const Node& node, int64_t axis) {
  if (axis_in(node.attrs.integer("axis"), node.output()->type.rank()) == axis) return std::nullopt;
  return first_operand(node, axis);
}

OperandAxes leading_axis(const Node& node, int64_t axis) {
  if (axis >= axis_in(node.attrs.integer("axis"), node.output()->type.rank())) return std::nullopt;
  for (size_t i = 1; i < node.inputs().size(); ++i) {
    const Value* parameter = node.input(i);
    if (parameter && (!parameter->type.shape || parameter->type.rank() >= node.output()->type.rank()))
      return std::nullopt;
  }
  return first_operand(node, axis);
}

OperandAxes concat(const Node& node, int64_t axis) {
  if (!other_axis(node, axis)) return std::nullopt;
  return std::vector<int64_t>(node.inputs().size(), axis);
}

// The dimension of the operand that `axis` of the result is, with all before and after it in others.
OperandAxes reshape(const Node& node, int64_t axis) {
  if (!node.input(0)->type.shape) return std::nullopt;
  const Shape &x = *node.input(0)->type.shape, &y = *node.output()->type.shape;
  const Dim before = element_count(std::span(y).first(static_cast<size_t>(axis)));
  Dim product = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool same_rest = element_count(std::span(x).subspan(i + 1)) ==
                           element_count(std::span(y).subspan(static_cast<size_t>(axis) + 1));
    if (x[i] == y[static_cast<size_t>(axis)] && product == before && same_rest)
      return std::vector<int64_t>{static_cast<int64_t>(i), kWhole};
    product = product * x[i];
  }
  return std::nullopt;
}

struct Row {
  std::string_view op;
  Rule rule;
};

constexpr Row kRows[] = {
    {"Cast", first_operand},
    {"Identity", first_operand},
    {"MatMul", matmul},
    {"Gemm", gemm},
    {"Transpose", transpose},
    {"Reshape", reshape},
    {"Softmax", other_axis},
    {"LogSoftmax", other_axis},
    {"Concat", concat},
    {"LayerNormalization", leading_axis},
    {"RMSNormalization", leading_axis},
};

OperandAxes operand_axes(const Node& node, int64_t axis) {
  if (is_elementwise(node)) return elementwise(node, axis);
  const auto* row = std::ranges::find(kRows, node.op().name, &Row::op);
  return row == std::end(kRows) ? std::nullopt : row->rule(node, axis);
}

bool is_product(const Node& node) { return node.op().name == "MatMul" || node.op().name == "Gemm"; }

using Places = std::unordered_map<const Node*, int64_t>;

// The nodes between a selection and where it can move to.
class Hoist {
 public:
  Hoist(Graph& graph, const Places& places, const std::set<std::string>& symbols, const Selection& selection)
      : graph_(graph), places_(places), symbols_(symbols), selection_(selection) {
    request(selection.node->input(0), selection.axis);
    while (!open_.empty()) {
      Value* value = open_.rbegin()->second;
      open_.erase(std::prev(open_.end()));
      narrow(*value);
    }
  }

  bool saves_products() const {
    return std::ranges::any_of(nodes_, [](const auto& entry) { return is_product(*entry.second.node); });
  }

  // Puts what computes the selection before the nodes that compute all. False where that does not infer to
  // the same type, and all is as it was.
  bool apply() {
    Value* result = build();
    Node& last = *selection_.node;
    const bool same = result && result->type == last.output()->type;
    if (same) graph_.replace_uses(last.output(), result);
    erase_dead_nodes(graph_);
    if (!same) return false;
    for (const auto& [value, name] : names_) graph_.rename(value, name);
    return true;
  }

 private:
  struct Planned {
    Node* node;
    std::vector<int64_t> axes;
  };
  struct Request {
    int64_t axis = 0;
    size_t count = 0;
    bool agreed = true;
  };

  void request(Value* value, int64_t axis) {
    Request& request = requests_.try_emplace(value, Request{axis}).first->second;
    request.agreed &= request.axis == axis;
    ++request.count;
    if (value->producer()) open_.emplace(places_.at(value->producer()), value);
  }

  // All users of a value have asked by the time it is looked at: they come after it.
  void narrow(Value& value) {
    const Request& request = requests_.at(&value);
    Node& node = *value.producer();
    if (!request.agreed || request.count != value.uses().size() || node.outputs().size() != 1 ||
        graph_.is_result(&value))
      return;
    if (!value.type.shape || !can_state(node, request.axis)) return;
    OperandAxes axes = operand_axes(node, request.axis);
    if (!axes) return;
    for (size_t i = 0; i < axes->size(); ++i) {
      if ((*axes)[i] != kWhole) this->request(node.input(i), (*axes)[i]);
    }
    nodes_.emplace(places_.at(&node), Planned{&node, std::move(*axes)});
  }

  Shape narrowed_shape(const Value& value, int64_t axis) const {
    Shape shape = *value.type.shape;
    shape[static_cast<size_t>(axis)] = selection_.count;
    return shape;
  }

  bool can_state(const Node& node, int64_t axis) const {
    if (node.op().name != "Reshape") return true;
    std::vector<std::string> names;
    for (const Dim& dim : narrowed_shape(*node.output(), axis)) dim.collect_symbols(names);
    return std::ranges::all_of(names, [this](const std::string& name) { return symbols_.contains(name); });
  }

  // The selection, computed by narrowed copies of the nodes; null where one of them does not infer.
  Value* build() {
    for (const auto& [place, planned] : nodes_) {
      if (!rebuild(*planned.node, planned.axes)) return nullptr;
    }
    Node& last = *selection_.node;
    Value* result = narrowed_.at({last.input(0), selection_.axis});
    if (!selection_.drops) return result;
    GraphBuilder b(graph_, &last);
    result = b.squeeze(result, {selection_.axis});
    if (!b.status().ok()) return nullptr;
    result->producer()->name = last.name;
    names_.emplace_back(result, last.output()->name);
    return result;
  }

  bool rebuild(Node& node, const std::vector<int64_t>& axes) {
    GraphBuilder b(graph_, &node);
    std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
    for (size_t i = 0; i < operands.size(); ++i) {
      if (axes[i] == kWhole) continue;
      Value*& narrowed = narrowed_[{operands[i], axes[i]}];
      if (narrowed == nullptr) narrowed = selection_.place(b, operands[i], axes[i]);
      operands[i] = narrowed;
    }
    Attributes attrs = node.attrs;
    const int64_t axis = requests_.at(node.output()).axis;
    if (node.op().name == "Reshape") {
      operands[1] = b.dims(narrowed_shape(*node.output(), axis));
      attrs.set("allowzero", int64_t{1});
    }
    Value* result = b.op(node.op().name, std::move(operands), std::move(attrs));
    if (!b.status().ok()) return false;
    result->producer()->name = node.name;
    narrowed_[{node.output(), axis}] = result;
    names_.emplace_back(result, node.output()->name);
    return true;
  }

  Graph& graph_;
  const Places& places_;
  const std::set<std::string>& symbols_;
  const Selection selection_;
  std::unordered_map<const Value*, Request> requests_;
  std::map<int64_t, Value*> open_;    // by the place of its producer
  std::map<int64_t, Planned> nodes_;  // by place
  std::map<std::pair<const Value*, int64_t>, Value*> narrowed_;  // by the value and the axis
  std::vector<std::pair<Value*, std::string>> names_;
};

bool hoist_one(Graph& graph) {
  Places places;
  std::vector<Selection> selections;
  for (const auto& node : graph.nodes()) {
    places[node.get()] = static_cast<int64_t>(places.size());
    if (auto selection = selection_of(*node)) selections.push_back(*selection);
  }
  const std::set<std::string> symbols = symbols_of_inputs(graph);
  for (const Selection& selection : selections) {
    Hoist hoist(graph, places, symbols, selection);
    if (hoist.saves_products() && hoist.apply()) return true;
  }
  return false;
}

}  // namespace

Result<bool> hoist_selections(Graph& graph, PassContext&) {
  // What an attempt made and did not use is erased with all that is dead: nothing else may be.
  bool changed = erase_dead_nodes(graph);
  while (hoist_one(graph)) changed = true;
  return changed;
}

}  // namespace gannet
