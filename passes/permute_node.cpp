#include "passes/permute_node.h"

#include <algorithm>
#include <numeric>

#include "ir/builder.h"
#include "ir/evaluate_op.h"
#include "ir/op.h"

namespace gannet {

Permutation inverse(const Permutation& p) {
  Permutation result(p.size());
  for (size_t i = 0; i < p.size(); ++i) result[static_cast<size_t>(p[i])] = static_cast<int64_t>(i);
  return result;
}

Permutation compose(const Permutation& first, const Permutation& second) {
  Permutation result;
  for (int64_t i : second) result.push_back(first[static_cast<size_t>(i)]);
  return result;
}

bool is_identity(const Permutation& p) {
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

bool moves_nothing(const Shape& shape, const Permutation& p) {
  int64_t last = -1;
  for (int64_t i : p) {
    if (shape[static_cast<size_t>(i)].is_constant(1)) continue;
    if (i < last) return false;
    last = i;
  }
  return true;
}

Shape permuted(const Shape& shape, const Permutation& p) {
  Shape result;
  for (int64_t i : p) result.push_back(shape[static_cast<size_t>(i)]);
  return result;
}

Result<Tensor> permuted(const Tensor& tensor, const Permutation& p) { return evaluate_op("Transpose", std::span(&tensor, 1), {{"perm", p}}); }

std::optional<Permutation> permutation_of(const Node& node) {
  if (node.attrs.has("perm")) return node.attrs.integers("perm");
  if (!node.input(0)->type.shape) return std::nullopt;
  Permutation reversed(node.input(0)->type.shape->size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return reversed;
}

int64_t estimated(const Dim& dim) {
  if (dim.is_constant()) return dim.constant();
  constexpr int64_t kTypical = 97;
  Result<int64_t> value = dim.substitute([](const std::string&) { return std::optional<Dim>(Dim(kTypical)); }).evaluate({});
  return value.ok() ? std::max<int64_t>(*value, 1) : kTypical;
}

namespace {

struct Anchor {
  bool result = false;
  size_t index = 0;
};

// What an op needs to be built anew for other layouts.
struct Rebuild {
  GraphBuilder& b;
  const Node& node;
  const NodeLayouts& layouts;
  std::vector<Value*>& operands;
  Attributes& attrs;

  const Permutation& permutation() const { return layouts.operands[0]; }
};

using LayoutsFn = std::optional<NodeLayouts> (*)(const Node&, Anchor, const Permutation&);
using RebuildFn = void (*)(Rebuild&);

int64_t axis_of(const Node& node, int64_t axis) { return axis < 0 ? axis + node.input(0)->type.rank() : axis; }

bool has_rank(const Value* value, const Permutation& p) { return value && value->type.rank() == static_cast<int64_t>(p.size()); }

bool is_single(const Value& value) {
  return value.type.shape && std::ranges::all_of(*value.type.shape, [](const Dim& dim) { return dim.is_constant(1); });
}

// Operand 0 and all results permuted alike.
std::optional<NodeLayouts> main_operand(const Node& node, Anchor anchor, const Permutation& p) {
  if (!anchor.result && anchor.index != 0) return std::nullopt;
  NodeLayouts layouts{std::vector<Permutation>(node.inputs().size()), std::vector<Permutation>(node.outputs().size())};
  if (!has_rank(node.input(0), p)) return std::nullopt;
  layouts.operands[0] = p;
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    if (!node.output(i)) continue;
    if (!has_rank(node.output(i), p)) return std::nullopt;
    layouts.results[i] = p;
  }
  return layouts;
}

// All operands and results permuted alike; operands may broadcast.
std::optional<NodeLayouts> all_operands(const Node& node, Anchor, const Permutation& p) {
  NodeLayouts layouts{std::vector<Permutation>(node.inputs().size()), std::vector<Permutation>(node.outputs().size(), p)};
  for (const Value* output : node.outputs()) {
    if (!has_rank(output, p)) return std::nullopt;
  }
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    const Value* operand = node.input(i);
    if (!operand) continue;
    if (!operand->type.shape || operand->type.shape->size() > p.size()) return std::nullopt;
    if (!is_single(*operand)) layouts.operands[i] = p;
  }
  return layouts;
}

std::optional<NodeLayouts> concat_layouts(const Node& node, Anchor, const Permutation& p) {
  for (const Value* operand : node.inputs()) {
    if (!has_rank(operand, p)) return std::nullopt;
  }
  if (!has_rank(node.output(), p)) return std::nullopt;
  return NodeLayouts{std::vector<Permutation>(node.inputs().size(), p), {p}};
}

std::optional<NodeLayouts> quantize_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (node.attrs.integer("block_size") != 0) return std::nullopt;
  return main_operand(node, anchor, p);
}

// The order that dimensions other than `dropped` have in a result without them; empty when it is the natural one.
Permutation without_axes(const Permutation& p, const std::vector<int64_t>& dropped) {
  Permutation kept;
  for (int64_t i : p) {
    if (std::ranges::find(dropped, i) != dropped.end()) continue;
    kept.push_back(i - std::ranges::count_if(dropped, [&](int64_t axis) { return axis < i; }));
  }
  return is_identity(kept) ? Permutation() : kept;
}

// The axes a reduction runs over; nothing where they are not known.
std::optional<std::vector<int64_t>> reduced_axes(const Node& node) {
  const int64_t rank = node.input(0)->type.rank();
  std::vector<int64_t> axes;
  if (node.op().name.starts_with("Arg")) {
    axes = {node.attrs.integer("axis")};
  } else if (node.input(1)) {
    const auto given = constant_ints(node.input(1));
    if (!given) return std::nullopt;
    axes = *given;
  }
  for (int64_t& axis : axes) axis = axis_of(node, axis);
  if (axes.empty() && !(node.attrs.has("noop_with_empty_axes") && node.attrs.integer("noop_with_empty_axes") != 0)) {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  return axes;
}

std::optional<NodeLayouts> reduce_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (!has_rank(node.input(0), p)) return std::nullopt;
  const bool keeps = node.attrs.integer("keepdims") != 0;
  const auto axes = reduced_axes(node);
  if (!axes) return std::nullopt;
  if (keeps) return main_operand(node, anchor, p);
  if (anchor.result || anchor.index != 0) return std::nullopt;
  NodeLayouts layouts{std::vector<Permutation>(node.inputs().size()), {without_axes(p, *axes)}};
  layouts.operands[0] = p;
  return layouts;
}

std::optional<NodeLayouts> gather_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (!has_rank(node.input(0), p)) return std::nullopt;
  const int64_t rank = node.input(1)->type.rank();
  if (rank == 1) return main_operand(node, anchor, p);
  if (rank != 0 || anchor.result || anchor.index != 0) return std::nullopt;
  return NodeLayouts{{p, {}}, {without_axes(p, {axis_of(node, node.attrs.integer("axis"))})}};
}

// Normalization over trailing dimensions stays one where these stay in place.
std::optional<NodeLayouts> trailing_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (!has_rank(node.input(0), p)) return std::nullopt;
  const int64_t axis = axis_of(node, node.attrs.integer("axis"));
  for (int64_t i = axis; i < static_cast<int64_t>(p.size()); ++i) {
    if (p[static_cast<size_t>(i)] != i) return std::nullopt;
  }
  for (size_t i = 1; i < node.inputs().size(); ++i) {
    const Value* parameter = node.input(i);
    if (parameter && (!parameter->type.shape || parameter->type.rank() > static_cast<int64_t>(p.size()) - axis)) return std::nullopt;
  }
  for (size_t i = 1; i < node.outputs().size(); ++i) {
    if (node.output(i)) return std::nullopt;
  }
  return main_operand(node, anchor, p);
}

bool is_known(const Value* value) {
  return value && value->producer() && (value->constant() || value->producer()->op().name == "Dims");
}

std::optional<NodeLayouts> expand_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (!is_known(node.input(1))) return std::nullopt;
  return main_operand(node, anchor, p);
}

bool all_known_from(const Node& node, size_t first) {
  for (size_t i = first; i < node.inputs().size(); ++i) {
    if (node.input(i) && !node.input(i)->constant()) return false;
  }
  return true;
}

std::optional<NodeLayouts> tile_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  return all_known_from(node, 1) ? main_operand(node, anchor, p) : std::nullopt;
}

std::optional<NodeLayouts> pad_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (node.input(3) && !node.input(3)->constant()) return std::nullopt;
  return main_operand(node, anchor, p);
}

std::optional<NodeLayouts> slice_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  if (node.input(3) ? !node.input(3)->constant() : !(node.input(1)->type.is_static() && node.input(1)->type.rank() == 1)) return std::nullopt;
  return main_operand(node, anchor, p);
}

// Dimensions other than 1, in the order that `p` gives them (empty: the natural one).
std::vector<int64_t> real_axes(const Shape& shape, const Permutation& p) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t axis = p.empty() ? static_cast<int64_t>(i) : p[i];
    if (!shape[static_cast<size_t>(axis)].is_constant(1)) axes.push_back(axis);
  }
  return axes;
}

struct Group {
  std::vector<int64_t> from, to;  // axes of equal element count on both sides
};

// A reshape as the finest groups of dimensions that it splits and merges; dimensions of 1 are left out. Nothing where
// symbols hide them.
std::optional<std::vector<Group>> reshape_groups(const Shape& from, const Shape& to) {
  const std::vector<int64_t> a = real_axes(from, {}), b = real_axes(to, {});
  std::vector<Group> groups;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    Group group{{a[i]}, {b[j]}};
    Dim left = from[static_cast<size_t>(a[i++])], right = to[static_cast<size_t>(b[j++])];
    while (left != right) {
      const bool left_smaller = estimated(left) < estimated(right);
      if (left_smaller ? i >= a.size() : j >= b.size()) return std::nullopt;
      if (left_smaller) {
        group.from.push_back(a[i]);
        left = left * from[static_cast<size_t>(a[i++])];
      } else {
        group.to.push_back(b[j]);
        right = right * to[static_cast<size_t>(b[j++])];
      }
    }
    groups.push_back(std::move(group));
  }
  if (i != a.size() || j != b.size()) return std::nullopt;
  return groups;
}

// The permutation of `to` that goes with `p` of `from`. Dimensions of 1 follow the dimension they stand behind.
std::optional<Permutation> permutation_across(const std::vector<Group>& groups, const Shape& from, const Shape& to, const Permutation& p) {
  const std::vector<int64_t> order = real_axes(from, p);
  Permutation result;
  for (size_t i = 0; i < order.size();) {
    const auto group = std::ranges::find_if(groups, [&](const Group& g) { return g.from.front() == order[i]; });
    if (group == groups.end()) return std::nullopt;
    for (int64_t axis : group->from) {
      if (i >= order.size() || order[i++] != axis) return std::nullopt;
    }
    for (int64_t axis : group->to) {
      result.push_back(axis);
      for (int64_t unit = axis + 1; unit < static_cast<int64_t>(to.size()) && to[static_cast<size_t>(unit)].is_constant(1); ++unit) {
        result.push_back(unit);
      }
    }
  }
  for (int64_t unit = 0; unit < static_cast<int64_t>(to.size()) && to[static_cast<size_t>(unit)].is_constant(1); ++unit) {
    result.insert(result.begin() + unit, unit);
  }
  return result;
}

std::optional<NodeLayouts> reshape_layouts(const Node& node, Anchor anchor, const Permutation& p) {
  const Type &x = node.input(0)->type, &y = node.output()->type;
  if (!x.shape || !y.shape || (!anchor.result && anchor.index != 0) || !is_known(node.input(1))) return std::nullopt;
  const Shape &known = anchor.result ? *y.shape : *x.shape, &other = anchor.result ? *x.shape : *y.shape;
  if (known.size() != p.size()) return std::nullopt;
  const auto groups = reshape_groups(known, other);
  if (!groups) return std::nullopt;
  std::optional<Permutation> across = permutation_across(*groups, known, other, p);
  if (!across) return std::nullopt;
  if (is_identity(*across)) across->clear();
  if (anchor.result && across->empty()) return std::nullopt;
  return anchor.result ? NodeLayouts{{*across, {}}, {p}} : NodeLayouts{{p, {}}, {*across}};
}

void keep(Rebuild&) {}

int64_t moved_axis(const Rebuild& r, int64_t axis) { return inverse(r.permutation())[static_cast<size_t>(axis_of(r.node, axis))]; }

void move_axis(Rebuild& r) {
  const Permutation& p = r.layouts.operands[0].empty() ? r.layouts.results[0] : r.layouts.operands[0];
  r.attrs.set("axis", inverse(p)[static_cast<size_t>(axis_of(r.node, r.node.attrs.integer("axis")))]);
}

void move_axes_operand(Rebuild& r, size_t index, size_t default_count) {
  std::vector<int64_t> axes;
  if (r.operands[index]) {
    axes = *constant_ints(r.operands[index]);
  } else {
    axes.resize(default_count);
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (int64_t& axis : axes) axis = moved_axis(r, axis);
  r.operands[index] = r.b.ints(axes);
}

void rebuild_reduce(Rebuild& r) {
  if (r.operands.size() < 2 || !r.operands[1]) return;
  std::vector<int64_t> axes = *constant_ints(r.operands[1]);
  for (int64_t& axis : axes) axis = moved_axis(r, axis);
  std::ranges::sort(axes);
  r.operands[1] = r.b.ints(axes);
}

// Elements of a constant list of one entry a dimension (or `count` runs of them), in the new order.
Value* permuted_list(Rebuild& r, const Value* list, size_t runs) {
  const Tensor& old = *list->constant();
  Tensor result = old;
  const auto rank = static_cast<int64_t>(r.permutation().size());
  const int64_t size = element_size(old.dtype());
  const char* from = static_cast<const char*>(old.raw());
  char* to = static_cast<char*>(result.mutable_raw());
  for (int64_t run = 0; run < static_cast<int64_t>(runs); ++run) {
    for (int64_t i = 0; i < rank; ++i) {
      std::copy_n(from + (run * rank + r.permutation()[static_cast<size_t>(i)]) * size, size, to + (run * rank + i) * size);
    }
  }
  return r.b.constant(std::move(result));
}

void rebuild_pad(Rebuild& r) {
  const bool has_axes = r.operands.size() > 3 && r.operands[3];
  if (!has_axes && r.operands[1]->constant()) {
    r.operands[1] = permuted_list(r, r.operands[1], 2);
    return;
  }
  r.operands.resize(4, nullptr);
  move_axes_operand(r, 3, r.permutation().size());
}

void rebuild_slice(Rebuild& r) {
  r.operands.resize(std::max<size_t>(4, r.operands.size()), nullptr);
  move_axes_operand(r, 3, static_cast<size_t>((*r.operands[1]->type.shape)[0].constant()));
}

void rebuild_shape(Rebuild& r) {
  const Shape& shape = *r.node.output()->type.shape;
  const Permutation& p = r.layouts.results[0];
  r.operands[1] = r.b.dims(p.empty() ? shape : permuted(shape, p));
  if (r.node.op().name == "Reshape") r.attrs.set("allowzero", int64_t{1});
}

void rebuild_tile(Rebuild& r) { r.operands[1] = permuted_list(r, r.operands[1], 1); }

void rebuild_resize(Rebuild& r) {
  const auto axes = r.node.attrs.integers("axes");
  if (axes.empty() && all_known_from(r.node, 1)) {
    for (size_t i = 1; i < r.operands.size(); ++i) {
      if (r.operands[i] && r.operands[i]->constant()->elements() > 0) r.operands[i] = permuted_list(r, r.operands[i], i == 1 ? 2 : 1);
    }
    return;
  }
  std::vector<int64_t> moved = axes;
  if (moved.empty()) {
    moved.resize(r.permutation().size());
    std::iota(moved.begin(), moved.end(), 0);
  }
  for (int64_t& axis : moved) axis = moved_axis(r, axis);
  r.attrs.set("axes", moved);
}

struct Rule {
  std::string_view op;
  LayoutsFn layouts;
  RebuildFn rebuild;
};

constexpr Rule kElementwise = {"", all_operands, keep};
constexpr Rule kReduction = {"", reduce_layouts, rebuild_reduce};

constexpr Rule kRules[] = {
    {"Map", all_operands, keep},
    {"Cast", main_operand, keep},
    {"Identity", main_operand, keep},
    {"Concat", concat_layouts, move_axis},
    {"Split", main_operand, move_axis},
    {"Softmax", main_operand, move_axis},
    {"LogSoftmax", main_operand, move_axis},
    {"Hardmax", main_operand, move_axis},
    {"LpNormalization", main_operand, move_axis},
    {"QuantizeLinear", quantize_layouts, move_axis},
    {"DequantizeLinear", quantize_layouts, move_axis},
    {"ArgMax", reduce_layouts, move_axis},
    {"ArgMin", reduce_layouts, move_axis},
    {"Gather", gather_layouts, move_axis},
    {"LayerNormalization", trailing_layouts, keep},
    {"RMSNormalization", trailing_layouts, keep},
    {"Pad", pad_layouts, rebuild_pad},
    {"Slice", slice_layouts, rebuild_slice},
    {"Expand", expand_layouts, rebuild_shape},
    {"Reshape", reshape_layouts, rebuild_shape},
    {"Tile", tile_layouts, rebuild_tile},
    {"Resize", main_operand, rebuild_resize},
};

const Rule* rule_of(const Node& node) {
  if (node.op().body) return &kElementwise;
  if (node.op().name.starts_with("Reduce")) return &kReduction;
  const auto* rule = std::ranges::find(kRules, node.op().name, &Rule::op);
  return rule == std::end(kRules) ? nullptr : rule;
}

}  // namespace

std::optional<NodeLayouts> permuted_layouts(const Node& node, bool of_result, size_t index, const Permutation& p) {
  const Rule* rule = rule_of(node);
  return rule ? rule->layouts(node, {of_result, index}, p) : std::nullopt;
}

Result<Node*> add_permuted_node(Graph& graph, Node& node, const NodeLayouts& layouts, std::vector<Value*> operands) {
  GraphBuilder builder(graph, &node);
  Attributes attrs = node.attrs;
  Rebuild rebuild{builder, node, layouts, operands, attrs};
  rule_of(node)->rebuild(rebuild);
  std::vector<Value*> results = builder.op_n(node.op().name, operands, attrs, node.outputs().size());
  TRY(builder.status());
  Node* made = nullptr;
  for (size_t i = 0; i < results.size(); ++i) {
    made = results[i]->producer();
    if (!node.output(i)) graph.drop_output(made, i);
  }
  made->name = node.name;
  return made;
}

}  // namespace gannet
