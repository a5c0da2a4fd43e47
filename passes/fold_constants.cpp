// Nodes whose operands are all known are computed now, by the op's own eval. Integers that inference knows,
// as of Shape, become constants or a Dims leaf. What would not pay is left: results much larger than their
// operands (but for ConstantOfShape, by which small files hold weights), and long work. Weights lose their
// identity by this, so it is for inference.
#include <algorithm>

#include "ir/eval.h"
#include "ir/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {

namespace {

constexpr int64_t kSmallBytes = 1 << 16;          // always worth folding, as masks and positions spread out of ranges
constexpr int64_t kMostGrowth = 8;                // results over operands, as of f32 from 4-bit integers
constexpr int64_t kMostBytes = int64_t{1} << 30;  // that one run may add to a graph
constexpr int64_t kMostFlops = int64_t{1} << 32;  // a second or two of reference evaluation

// Single nodes without subgraphs and without symbols.
class ConstantServices : public EvalServices {
 public:
  Result<std::vector<Datum>> run(const Graph& graph, std::vector<Datum>) override {
    return unsupported(fmt::format("graph '{}' runs among constants", graph.name));
  }
  const SymbolValues& symbols() const override { return symbols_; }
  const Limits& limits() const override { return limits_; }
  uint64_t next_random_seed() override { return 0; }

 private:
  Limits limits_;
  SymbolValues symbols_;
};

bool is_leaf(const Node& node) { return node.op().name == "Constant" || node.op().name == "Dims"; }

std::optional<int64_t> bytes_of(const Type& type) {
  if (!type.is_tensor() || !type.is_static() || type.dtype == DType::kUndefined) return std::nullopt;
  const std::optional<int64_t> elements = checked_product(static_extents(*type.shape));
  const int64_t size = std::max<int64_t>(element_size(type.dtype), 1);
  if (!elements || *elements > kMostBytes / size) return std::nullopt;
  return *elements * size;
}

bool has_subgraph(const Node& node) {
  bool found = false;
  for_each_subgraph(node, [&](Graph&) { found = true; });
  return found;
}

// Bytes that the results of a node take if it is worth computing now; nothing if it is not.
std::optional<int64_t> bytes_worth_folding(const Node& node) {
  if (node.inputs().empty() || node.op().random || has_subgraph(node)) return std::nullopt;
  int64_t given = 0, made = 0;
  for (const Value* operand : node.inputs()) {
    if (!operand) continue;
    const Tensor* constant = operand->constant();
    if (!constant) return std::nullopt;
    given += constant->bytes();
  }
  for (const Value* output : node.outputs()) {
    if (!output) continue;
    const std::optional<int64_t> bytes = bytes_of(output->type);
    if (!bytes) return std::nullopt;
    made += *bytes;
  }
  const bool small =
      made <= kSmallBytes || made / kMostGrowth <= given || node.op().name == "ConstantOfShape";
  const std::optional<Dim> flops = flops_of(node);
  const bool quick = flops && flops->is_constant() && flops->constant() <= kMostFlops;
  return small && quick ? std::optional(made) : std::nullopt;
}

void put(Graph& graph, Value* old, Value* known) {
  const std::string name = old->name;
  graph.replace_uses(old, known);
  known->type = old->type;
  if (!known->contents) known->contents = old->contents;
  graph.rename(old, name + ".folded");
  graph.rename(known, name);
}

bool evaluate_node(Graph& graph, Node* node, int64_t& budget) {
  const std::optional<int64_t> bytes = bytes_worth_folding(*node);
  if (!bytes || *bytes > budget) return false;
  std::vector<Datum> operands;
  for (const Value* operand : node->inputs())
    operands.push_back(operand ? Datum(*operand->constant()) : Datum());
  ConstantServices services;
  const Result<std::vector<Datum>> results =
      eval_op(node->op(), node->attrs, operands, node->outputs().size(), services);
  if (!results.ok()) return false;
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    const Value* output = node->output(i);
    if (!output) continue;
    if (!(*results)[i].is_tensor() || (*results)[i].type() != output->type) return false;
  }
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    if (Value* output = node->output(i))
      put(graph, output, graph.add_constant((*results)[i].tensor(), "", node));
  }
  graph.erase(node);
  budget -= *bytes;
  return true;
}

// Integers of a graph wrap around and dimensions do not: an expression that overflows for small extents
// already stays.
bool can_state(std::span<const Dim> dims, const std::set<std::string>& bound) {
  constexpr int64_t kSmallExtent = 7;
  std::vector<std::string> names;
  for (const Dim& dim : dims) dim.collect_symbols(names);
  SymbolValues values;
  for (const std::string& name : names) values[name] = kSmallExtent;
  return std::ranges::all_of(names, [&](const std::string& name) { return bound.contains(name); }) &&
         evaluate(dims, values).ok();
}

// A list of integers that inference knows, as a leaf.
bool state_contents(Graph& graph, Node* node, const std::set<std::string>& bound) {
  if (node->outputs().size() != 1 || !node->output() || !node->output()->contents || node->op().random)
    return false;
  Value* output = node->output();
  const std::vector<Dim>& dims = *output->contents;
  const bool is_scalar = output->type.rank() == 0;
  if (!can_state(dims, bound) || output->type.rank() > 1 || (is_scalar && dims.size() != 1)) return false;
  GraphBuilder b(graph, node);
  Value* known = nullptr;
  if (is_static(dims)) {
    Result<Tensor> list = convert(Tensor::of_ints(static_extents(dims)), output->type.dtype);
    if (!list.ok()) return false;
    known = b.constant(is_scalar ? list->reshaped({}) : *list);
  } else if (output->type.dtype == DType::kI64) {
    known = b.op("Dims", {},
                 is_scalar ? Attributes{{"dims", Shape(dims)}, {"scalar", int64_t{1}}}
                           : Attributes{{"dims", Shape(dims)}});
  } else {
    return false;
  }
  put(graph, output, known);
  graph.erase(node);
  return true;
}

}  // namespace

Result<bool> fold_constants(Graph& graph, PassContext&) {
  const std::set<std::string> bound = symbols_of_inputs(graph);
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    if (!is_leaf(*node)) nodes.push_back(node.get());
  }
  bool changed = false;
  int64_t budget = kMostBytes;
  for (Node* node : nodes)
    changed |= state_contents(graph, node, bound) || evaluate_node(graph, node, budget);
  if (changed) erase_dead_nodes(graph);
  return changed;
}

}  // namespace gannet
