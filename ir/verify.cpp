#include "ir/verify.h"

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {

namespace {

Error broken(const Node& node, const std::string& what) { return invalid_model(describe(node) + what); }

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  Status run() {
    for (const Value* input : graph_.inputs()) TRY(define(input));
    for (const Value* input : graph_.inputs()) {
      if (input->producer()) return invalid_model(fmt::format("input '{}' has a producer", input->name));
    }
    for (const State& state : graph_.states) TRY(define_state(state));
    for (const auto& node : graph_.nodes()) TRY(check_node(*node));
    for (const GraphOutput& output : graph_.outputs) TRY(check_result(output.name, output.value));
    for (const State& state : graph_.states) {
      if (state.out == nullptr) continue;
      TRY(check_result(state.name, state.out));
      Result<Type> merged = merge_types(state.in->type, state.out->type);
      if (!merged.ok()) return invalid_model(fmt::format("state '{}': {}", state.name, merged.error().message));
    }
    return check_uses();
  }

 private:
  Status define(const Value* value) {
    if (!names_.insert(value->name).second) return invalid_model(fmt::format("the name '{}' is used twice", value->name));
    defined_.insert(value);
    return {};
  }

  Status define_state(const State& state) {
    if (state.in == nullptr) return invalid_model(fmt::format("state '{}' has no value", state.name));
    TRY(define(state.in));
    if (state.in->producer()) return invalid_model(fmt::format("state '{}' has a producer", state.name));
    Type initial = Type::tensor(state.initial.dtype(), to_shape(state.initial.extents()));
    Result<Type> merged = merge_types(state.in->type, initial);
    if (!merged.ok()) return invalid_model(fmt::format("state '{}': {}", state.name, merged.error().message));
    return {};
  }

  Status check_result(const std::string& name, const Value* value) const {
    if (value == nullptr || !defined_.contains(value)) return invalid_model(fmt::format("output '{}' is not defined", name));
    return {};
  }

  Status check_node(const Node& node) {
    if (&node.graph() != &graph_) return broken(node, "belongs to another graph");
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* operand = node.input(i);
      if (operand == nullptr) continue;
      if (!defined_.contains(operand)) return broken(node, fmt::format("operand {} ('{}') is not defined before it", i, operand->name));
      ++expected_uses_[operand];
    }
    for (const auto& [name, attr] : node.attrs.entries()) TRY(check_attr(node, name, attr));
    TRY(check_types(node));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      const Value* output = node.output(i);
      if (output == nullptr) continue;
      bool belongs = output->producer() == &node && output->output_index() == static_cast<int>(i);
      if (!belongs) return broken(node, fmt::format("output {} ('{}') names another producer", i, output->name));
      TRY(define(output));
    }
    Status nested;
    for_each_subgraph(node, [&](Graph& subgraph) {
      if (nested.ok()) nested = verify(subgraph);
    });
    if (!nested.ok()) return with_prefix(describe(node), nested.error());
    return {};
  }

  static Status check_attr(const Node& node, const std::string& name, const Attr& attr) {
    for (const AttrDef& def : node.op().attrs) {
      if (def.name != name) continue;
      if (attr.index() == static_cast<size_t>(def.kind)) return {};
      return broken(node, fmt::format("attribute '{}' has another kind than declared", name));
    }
    return broken(node, fmt::format("attribute '{}' is not declared", name));
  }

  // Types may be more precise than inference finds, never at odds with it.
  Status check_types(const Node& node) const {
    std::vector<InferOperand> operands;
    for (const Value* value : node.inputs()) {
      if (value) operands.push_back({&value->type, value->constant(), value->contents ? &*value->contents : nullptr});
      else operands.push_back({});
    }
    Symbols symbols;
    InferContext context(node.op(), node.attrs, operands, node.outputs().size(), symbols, /*evaluating=*/true);
    Status status = infer(context);
    if (!status.ok()) return with_prefix(describe(node), status.error());
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      const Value* output = node.output(i);
      if (output == nullptr || node.attrs.has("captures")) continue;
      Result<Type> merged = merge_types(context.types()[i], output->type);
      if (!merged.ok()) return broken(node, fmt::format("output {}: {}", i, merged.error().message));
    }
    return {};
  }

  Status check_uses() const {
    for (const Value* value : defined_order()) {
      auto expected = expected_uses_.find(value);
      size_t count = expected == expected_uses_.end() ? 0 : expected->second;
      if (value->uses().size() != count) {
        return invalid_model(fmt::format("'{}' records {} uses, it has {}", value->name, value->uses().size(), count));
      }
      for (const Use& use : value->uses()) {
        if (use.node->input(static_cast<size_t>(use.index)) != value) {
          return invalid_model(fmt::format("'{}' records a use that is not one", value->name));
        }
      }
    }
    return {};
  }

  std::vector<const Value*> defined_order() const {
    std::vector<const Value*> values(graph_.inputs().begin(), graph_.inputs().end());
    for (const State& state : graph_.states) values.push_back(state.in);
    for (const auto& node : graph_.nodes()) {
      for (const Value* output : node->outputs()) {
        if (output) values.push_back(output);
      }
    }
    return values;
  }

  const Graph& graph_;
  std::unordered_set<const Value*> defined_;
  std::set<std::string_view> names_;
  std::unordered_map<const Value*, size_t> expected_uses_;
};

}  // namespace

Status verify(const Graph& graph) { return Verifier(graph).run(); }

}  // namespace gannet
