#include "frontend/import_fold.h"

#include <algorithm>
#include <vector>

#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace gannet {
namespace {

constexpr int64_t kSmallConstant = 1024;
constexpr int64_t kSmallFloats = 16;

// Folding evaluates single nodes without subgraphs and without symbols.
class ConstantServices : public EvalServices {
 public:
  explicit ConstantServices(const Limits& limits) : limits_(limits) {}
  Result<std::vector<Datum>> run(const Graph&, std::vector<Datum>) override {
    return unsupported("a subgraph among constants");
  }
  const SymbolValues& symbols() const override { return symbols_; }
  const Limits& limits() const override { return limits_; }
  uint64_t next_random_seed() override { return 0; }

 private:
  Limits limits_;
  SymbolValues symbols_;
};

bool is_leaf(const Node& node) { return node.op().name == "Constant" || node.op().name == "Dims"; }

// A Cast of Dims is as far as an i32 result of symbols folds.
bool is_folded_cast(const Node& node) {
  return node.op().name == "Cast" && node.output() && node.output()->type.dtype != DType::kI64 &&
         node.input(0) && node.input(0)->producer() && node.input(0)->producer()->op().name == "Dims";
}

// Integers of a graph wrap around; dimensions do not. An expression that overflows already for small extents,
// or is too long to be kept, stays what the file says: arithmetic.
bool have_values(const std::vector<Dim>& dims, const std::vector<std::string>& symbols) {
  constexpr int64_t kSmallExtent = 7;
  SymbolValues values;
  for (const std::string& symbol : symbols) values[symbol] = kSmallExtent;
  return evaluate(dims, values).ok();
}

bool holds_dims(const Value* value, const FoldOptions& options) {
  const Type& type = value->type;
  if (!value->contents || !type.is_tensor() || type.rank() < 0 || type.rank() > 1 || !is_int(type.dtype))
    return false;
  std::vector<std::string> symbols;
  for (const Dim& dim : *value->contents) dim.collect_symbols(symbols);
  bool bound =
      std::all_of(symbols.begin(), symbols.end(),
                  [&](const std::string& symbol) { return options.bound_symbols->contains(symbol); });
  return bound && have_values(*value->contents, symbols);
}

Value* add_known_dims(Graph& graph, const Value& value, Node* before) {
  const std::vector<Dim>& dims = *value.contents;
  bool scalar = value.type.rank() == 0;
  if (is_static(dims)) {
    Tensor list = Tensor::of_ints(static_extents(dims));
    Result<Tensor> converted = convert(scalar ? list.reshaped({}) : list, value.type.dtype);
    return converted.ok() ? graph.add_constant(std::move(*converted), "", before) : nullptr;
  }
  Attributes attrs{{"dims", dims}};
  if (scalar) attrs.set("scalar", int64_t{1});
  Node* leaf = graph.add_node(op_named("Dims"), {}, std::move(attrs), 1, before);
  if (!infer_node(*leaf).ok()) return nullptr;
  if (value.type.dtype == DType::kI64) return leaf->output();
  Node* cast = graph.add_node(op_named("Cast"), {leaf->output()}, {{"to", value.type.dtype}}, 1, before);
  return infer_node(*cast).ok() ? cast->output() : nullptr;
}

bool is_flat(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "Ceil" || op == "Floor" || op == "Round" || op == "Sign";
}

// Whether what may be trained passes the node: floats, and codes of floats.
bool may_train(const Node& node) {
  const Type& type = node.output()->type;
  if (!is_int(type.dtype) && type.dtype != DType::kBool) return true;
  const bool of_floats = std::ranges::any_of(node.inputs(), [](const Value* v) { return v && is_float(v->type.dtype); });
  return of_floats && carries_gradient(type);
}

// Weights have an origin in the file. Their integers only steer shapes and indices, but floats may be
// trained: those fold only together with something derived, or where no gradient comes through.
bool may_evaluate(const Node& node) {
  if (node.inputs().empty() || node.op().random || node.outputs().size() != 1 || !node.output()) return false;
  bool has_graph = false;
  for_each_subgraph(node, [&](Graph&) { has_graph = true; });
  if (has_graph || !node.output()->type.is_static()) return false;
  const bool trains = may_train(node);
  int64_t largest = trains ? kSmallFloats : kSmallConstant;
  bool derived = is_flat(node);
  for (const Value* operand : node.inputs()) {
    if (operand == nullptr) continue;
    const Tensor* constant = operand->constant();
    if (constant == nullptr || constant->elements() > largest) return false;
    derived = derived || !operand->origin;
  }
  std::optional<int64_t> elements = checked_product(static_extents(*node.output()->type.shape));
  return elements && *elements <= largest && (!trains || derived);
}

Value* evaluate_constant(Graph& graph, const Node& node, const Limits& limits, Node* before) {
  if (!may_evaluate(node)) return nullptr;
  std::vector<Datum> operands;
  for (const Value* operand : node.inputs())
    operands.push_back(operand ? Datum(*operand->constant()) : Datum());
  ConstantServices services(limits);
  Result<std::vector<Datum>> results = eval_op(node.op(), node.attrs, operands, 1, services);
  if (!results.ok() || results->size() != 1 || !(*results)[0].is_tensor()) return nullptr;
  return graph.add_constant((*results)[0].tensor(), "", before);
}

Value* folded(Graph& graph, Node* node, const FoldOptions& options) {
  if (is_leaf(*node) || is_folded_cast(*node) || node->outputs().size() != 1 || !node->output())
    return nullptr;
  Value* known = holds_dims(node->output(), options) ? add_known_dims(graph, *node->output(), node) : nullptr;
  return known ? known : evaluate_constant(graph, *node, options.limits, node);
}

}  // namespace

Value* fold_node(Graph& graph, Node* node, const FoldOptions& options) {
  Value* known = folded(graph, node, options);
  if (known == nullptr) return nullptr;
  std::string name = node->output()->name;
  graph.replace_uses(node->output(), known);
  graph.erase(node);
  graph.rename(known, name);
  return known;
}

void fold_graph(Graph& graph, const FoldOptions& options) {
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) nodes.push_back(node.get());
  for (Node* node : nodes) {
    for_each_subgraph(*node, [&](Graph& subgraph) { fold_graph(subgraph, options); });
    fold_node(graph, node, options);
  }
}

}  // namespace gannet
