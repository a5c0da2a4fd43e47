#include "passes/fusion.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "ir/infer.h"
#include "ir/op.h"
#include "passes/copy_node.h"

namespace gannet {
namespace {

// Constants that say what an op does rather than what it works on.
bool belongs_inside(const Value& value) {
  const Tensor* tensor = value.constant();
  if (tensor == nullptr) return false;
  constexpr int64_t kMostInts = 16;
  return tensor->elements() == 1 || (!is_float(tensor->dtype()) && tensor->rank() <= 1 && tensor->elements() <= kMostInts);
}

// Copies nodes into the body of a Fused node under construction.
class Body {
 public:
  explicit Body(Graph& outside) : graph_(std::make_shared<Graph>("body", outside.symbols())) {}

  void add(const Node& node) {
    if (node.op().name == "Fused") return inline_body(node);
    std::vector<Value*> operands;
    for (Value* operand : node.inputs()) operands.push_back(operand ? inside(operand) : nullptr);
    copy_node(*graph_, node, std::move(operands), values_);
  }

  void finish(const std::vector<Value*>& results) {
    for (Value* result : results) graph_->outputs.push_back({result->name, values_.at(result)});
  }

  const std::shared_ptr<Graph>& graph() const { return graph_; }
  const std::vector<Value*>& operands() const { return operands_; }

 private:
  // What stands for a value of the graph outside.
  Value* inside(Value* value) {
    if (auto found = values_.find(value); found != values_.end()) return found->second;
    Value* made = nullptr;
    if (belongs_inside(*value)) {
      made = graph_->add_constant(*value->constant(), value->name);
    } else {
      made = graph_->add_input(value->name, value->type);
      operands_.push_back(value);
    }
    return values_[value] = made;
  }

  void inline_body(const Node& fused) {
    const Graph& body = *fused.attrs.graph("body");
    ValueCopies values;
    for (size_t i = 0; i < body.inputs().size(); ++i) values[body.inputs()[i]] = inside(fused.input(i));
    for (const auto& node : body.nodes()) {
      std::vector<Value*> operands;
      for (Value* operand : node->inputs()) operands.push_back(operand ? values.at(operand) : nullptr);
      copy_node(*graph_, *node, std::move(operands), values);
    }
    for (size_t i = 0; i < fused.outputs().size(); ++i) {
      if (fused.output(i)) values_[fused.output(i)] = values.at(body.outputs[i].value);
    }
  }

  std::shared_ptr<Graph> graph_;
  ValueCopies values_;
  std::vector<Value*> operands_;
};

// Members' results that are used by other nodes or by the graph.
std::vector<Value*> results_of(const Graph& graph, std::span<Node* const> members) {
  const std::unordered_set<const Node*> inside(members.begin(), members.end());
  std::vector<Value*> results;
  for (const Node* member : members) {
    for (Value* output : member->outputs()) {
      if (output == nullptr) continue;
      const bool used = std::ranges::any_of(output->uses(), [&](const Use& use) { return !inside.contains(use.node); });
      if (used || graph.is_result(output)) results.push_back(output);
    }
  }
  return results;
}

}  // namespace

Result<Node*> fuse_nodes(Graph& graph, std::span<Node* const> members, std::string_view kind) {
  const std::vector<Value*> results = results_of(graph, members);
  Body body(graph);
  for (const Node* member : members) body.add(*member);
  body.finish(results);

  std::vector<std::string> names;
  for (const Value* result : results) names.push_back(result->name);
  Node* last = members.back();
  Node* fused = graph.add_node(op_named("Fused"), body.operands(), {{"body", body.graph()}, {"kind", std::string(kind)}},
                               results.size(), last, names);
  fused->name = members.front()->name.empty() ? last->name : members.front()->name;
  for (size_t i = 0; i < results.size(); ++i) {
    fused->output(i)->type = results[i]->type;
    graph.replace_uses(results[i], fused->output(i));
  }
  for (Node* member : members) member->succeed(*fused);
  for (auto member = members.rbegin(); member != members.rend(); ++member) graph.erase(*member);
  for (size_t i = 0; i < results.size(); ++i) graph.rename(fused->output(i), names[i]);
  return fused;
}

void sort_nodes(Graph& graph) {
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  std::unordered_set<const Node*> placed;
  std::vector<std::pair<Node*, size_t>> path;  // nodes that wait for operand `second` and those after it
  for (Node* root : order) {
    if (!placed.contains(root)) path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      Node* producer = nullptr;
      while (next < node->inputs().size() && producer == nullptr) {
        const Value* operand = node->input(next++);
        if (operand && operand->producer() && !placed.contains(operand->producer())) producer = operand->producer();
      }
      if (producer != nullptr) {
        path.emplace_back(producer, 0);
        continue;
      }
      if (placed.insert(node).second) graph.move_before(node, nullptr);
      path.pop_back();
    }
  }
}

bool is_fused(const Node& node, std::string_view kind) { return node.op().name == "Fused" && node.attrs.text("kind") == kind; }

bool is_elementwise(const Node& node) { return node.op().body != nullptr || node.op().name == "Map"; }

const Node* principal_node(const Node& fused) {
  constexpr std::array<std::string_view, 5> kAround = {"Transpose", "Constant", "Reshape", "Unsqueeze", "Cast"};
  for (const auto& node : fused.attrs.graph("body")->nodes()) {
    if (!is_elementwise(*node) && std::ranges::find(kAround, node->op().name) == kAround.end()) return node.get();
  }
  return nullptr;
}

std::optional<size_t> operand_position(const Node& node, const Node& core, size_t i) {
  if (&node == &core) return core.input(i) ? std::optional(i) : std::nullopt;
  const Value* value = core.input(i);
  while (value && value->producer() && value->producer()->op().name == "Transpose") value = value->producer()->input(0);
  const std::vector<Value*>& inputs = node.attrs.graph("body")->inputs();
  const auto found = std::ranges::find(inputs, value);
  return found == inputs.end() ? std::nullopt : std::optional(static_cast<size_t>(found - inputs.begin()));
}

}  // namespace gannet
