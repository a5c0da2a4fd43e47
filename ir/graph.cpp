#include "ir/graph.h"

#include <algorithm>
#include <unordered_set>

#include "ir/op.h"

namespace gannet {

const Tensor* Value::constant() const {
  if (producer_ == nullptr || producer_->op().name != "Constant") return nullptr;
  const Attr* value = producer_->attrs.find("value");
  return value ? std::get_if<Tensor>(value) : nullptr;
}

void Node::set_sources(std::span<const int32_t> sources) {
  const std::vector<int32_t> copy(sources.begin(), sources.end());
  lineage_->clear();
  lineage_->add(copy);
}

void Symbols::reserve(const std::string& name) { next_.try_emplace(name, 1); }

Dim Symbols::fresh(const std::string& prefix) {
  auto [entry, is_new] = next_.try_emplace(prefix, 1);
  if (is_new) return Dim::symbol(prefix);
  while (true) {
    std::string candidate = fmt::format("{}_{}", prefix, entry->second++);
    if (next_.try_emplace(candidate, 1).second) return Dim::symbol(candidate);
  }
}

Graph::Graph(std::string graph_name, std::shared_ptr<Symbols> shared_symbols)
    : name(std::move(graph_name)),
      symbols_(shared_symbols ? std::move(shared_symbols) : std::make_shared<Symbols>()) {}

std::string Graph::unique_name(const std::string& wanted) {
  auto [entry, is_new] = names_.try_emplace(wanted, 1);  // "" holds the counter of nameless values
  if (is_new && !wanted.empty()) return wanted;
  std::string_view base = wanted.empty() ? std::string_view("v") : std::string_view(wanted);
  while (true) {
    std::string candidate = fmt::format("{}_{}", base, entry->second++);
    if (names_.try_emplace(candidate, 1).second) return candidate;
  }
}

Value* Graph::make_value(const std::string& wanted_name) {
  auto value = std::make_unique<Value>();
  value->name = unique_name(wanted_name);
  Value* raw = value.get();
  owned_values_.emplace(raw, std::move(value));
  return raw;
}

void Graph::rename(Value* value, const std::string& wanted) {
  if (value->name == wanted) return;
  names_.erase(value->name);
  value->name = unique_name(wanted);
}

static void reserve_symbols(Symbols& symbols, const Type& type) {
  if (!type.shape) return;
  std::vector<std::string> names;
  for (const Dim& dim : *type.shape) dim.collect_symbols(names);
  for (const std::string& name : names) symbols.reserve(name);
}

Value* Graph::add_state_value(std::string value_name, Type type) {
  Value* value = make_value(value_name);
  reserve_symbols(*symbols_, type);
  value->type = std::move(type);
  return value;
}

Value* Graph::add_input(std::string value_name, Type type) {
  Value* value = add_state_value(std::move(value_name), std::move(type));
  inputs_.push_back(value);
  return value;
}

Node* Graph::add_node(const OpDef& op, std::vector<Value*> operands, Attributes attributes, size_t output_count,
                      Node* before, std::span<const std::string> output_names) {
  auto owned = std::make_unique<Node>();
  Node* node = owned.get();
  node->op_ = &op;
  node->graph_ = this;
  node->attrs = std::move(attributes);
  node->attrs.bind(op.attrs);
  for (size_t i = 0; i < output_count; ++i) {
    Value* value = make_value(i < output_names.size() ? output_names[i] : std::string());
    value->producer_ = node;
    value->output_index_ = static_cast<int>(i);
    node->outputs_.push_back(value);
  }
  node->position_ = nodes_.insert(before ? before->position_ : nodes_.end(), std::move(owned));
  node->lineage_->is_leaf = op.name == "Constant" || op.name == "Dims";
  if (!before) node->lineage_->add(new_sources);
  else if (!node->lineage_->is_leaf) node->lineage_->add(before->sources());
  set_operands(node, std::move(operands));
  return node;
}

Value* Graph::add_constant(Tensor tensor, const std::string& value_name, Node* before) {
  Type type = Type::tensor(tensor.dtype(), to_shape(tensor.extents()));
  std::optional<std::vector<Dim>> contents;
  if (is_int(tensor.dtype()) && tensor.rank() <= 1 && tensor.elements() <= 1024) {
    contents.emplace();
    for (int64_t value : tensor.ints()) contents->emplace_back(value);
  }
  std::string names[] = {value_name};
  Node* node = add_node(op_named("Constant"), {}, {{"value", std::move(tensor)}}, 1, before, names);
  node->output()->type = std::move(type);
  node->output()->contents = std::move(contents);
  return node->output();
}

static void remove_use(std::vector<Use>& uses, const Node* node, size_t index) {
  auto position = std::find_if(uses.rbegin(), uses.rend(), [&](const Use& use) {
    return use.node == node && use.index == static_cast<int>(index);
  });
  CHECK(position != uses.rend(), "a use is not recorded");
  *position = uses.back();
  uses.pop_back();
}

void Graph::set_operand(Node* node, size_t index, Value* value) {
  CHECK(index < node->inputs_.size(), "operand {} of {}", index, node->inputs_.size());
  if (Value* old = node->inputs_[index]) remove_use(old->uses_, node, index);
  node->inputs_[index] = value;
  if (value) value->uses_.push_back({node, static_cast<int>(index)});
}

void Graph::set_operands(Node* node, std::vector<Value*> operands) {
  for (size_t i = node->inputs_.size(); i-- > 0;) {
    if (node->inputs_[i]) remove_use(node->inputs_[i]->uses_, node, i);
  }
  node->inputs_.assign(operands.size(), nullptr);
  for (size_t i = 0; i < operands.size(); ++i) set_operand(node, i, operands[i]);
}

void Graph::replace_uses(Value* from, Value* to) {
  if (from == to) return;
  if (from->producer_ && to->producer_) from->producer_->succeed(*to->producer_);
  std::vector<Use> uses = std::move(from->uses_);
  from->uses_.clear();
  for (const Use& use : uses) {
    use.node->inputs_[static_cast<size_t>(use.index)] = to;
    to->uses_.push_back(use);
  }
  for (GraphOutput& output : outputs) {
    if (output.value == from) output.value = to;
  }
  for (State& state : states) {
    if (state.out == from) state.out = to;
  }
}

bool Graph::is_result(const Value* value) const {
  return std::any_of(outputs.begin(), outputs.end(), [&](const GraphOutput& output) { return output.value == value; }) ||
         std::any_of(states.begin(), states.end(), [&](const State& state) { return state.out == value; });
}

void Graph::drop_output(Node* node, size_t index) {
  Value* value = node->output(index);
  if (value == nullptr) return;
  CHECK(value->uses_.empty() && !is_result(value), "output '{}' is used", value->name);
  names_.erase(value->name);
  node->outputs_[index] = nullptr;
  owned_values_.erase(value);
}

// What only `node` needed goes with it: the heir of `node` does that work as well.
void Graph::leave_sources(const Node& node) {
  if (!node.lineage_->has_heir()) return;
  std::unordered_set<const Node*> gone = {&node};
  std::vector<const Node*> stack = {&node};
  const auto only_used_by_gone = [&](const Value* value) {
    return !value || (std::ranges::all_of(value->uses(), [&](const Use& use) { return gone.contains(use.node); }) && !is_result(value));
  };
  while (!stack.empty()) {
    const Node* user = stack.back();
    stack.pop_back();
    for (const Value* operand : user->inputs()) {
      const Node* producer = operand ? operand->producer() : nullptr;
      if (!producer || producer->sources().empty() || producer->lineage_->has_heir() || gone.contains(producer)) continue;
      if (producer->lineage_->is_leaf && !node.lineage_->last_heir_is_leaf()) continue;
      if (!std::ranges::all_of(producer->outputs(), only_used_by_gone)) continue;
      gone.insert(producer);
      stack.push_back(producer);
      node.lineage_->leave(producer->sources());
    }
  }
}

void Graph::erase(Node* node) {
  leave_sources(*node);
  set_operands(node, {});
  for (size_t i = 0; i < node->outputs_.size(); ++i) drop_output(node, i);
  nodes_.erase(node->position_);
}

void Graph::erase_input(size_t index) {
  Value* value = inputs_[index];
  CHECK(value->uses_.empty() && !is_result(value), "input '{}' is used", value->name);
  inputs_.erase(inputs_.begin() + static_cast<std::ptrdiff_t>(index));
  names_.erase(value->name);
  owned_values_.erase(value);
}

void Graph::move_before(Node* node, Node* position) {
  nodes_.splice(position ? position->position_ : nodes_.end(), nodes_, node->position_);
}

static Attributes clone_attributes(const Attributes& attrs) {
  Attributes result = attrs;
  for (const auto& [name, attr] : attrs.entries()) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attr);
    if (graph && *graph) result.set(name, std::shared_ptr<Graph>((*graph)->clone()));
  }
  return result;
}

std::unique_ptr<Graph> Graph::clone() const {
  auto copy = std::make_unique<Graph>(name, symbols_);
  std::unordered_map<const Value*, Value*> copies{{nullptr, nullptr}};
  auto describe_copy = [&](const Value* original, Value* made) {
    made->type = original->type;
    made->contents = original->contents;
    made->origin = original->origin;
    copies[original] = made;
  };
  for (const Value* input : inputs_) describe_copy(input, copy->add_input(input->name, input->type));
  for (const State& state : states) describe_copy(state.in, copy->add_state_value(state.in->name, state.in->type));
  for (const auto& node : nodes_) {
    std::vector<Value*> operands;
    for (const Value* operand : node->inputs_) operands.push_back(copies.at(operand));
    std::vector<std::string> names;
    for (const Value* output : node->outputs_) names.push_back(output ? output->name : std::string());
    Node* made = copy->add_node(node->op(), std::move(operands), clone_attributes(node->attrs), names.size(), nullptr, names);
    made->name = node->name;
    made->set_sources(node->sources());
    for (size_t i = 0; i < names.size(); ++i) {
      if (node->outputs_[i]) describe_copy(node->outputs_[i], made->outputs_[i]);
      else copy->drop_output(made, i);
    }
  }
  for (const GraphOutput& output : outputs) copy->outputs.push_back({output.name, copies.at(output.value)});
  for (const State& state : states) {
    copy->states.push_back({state.name, copies.at(state.in), copies.at(state.out), state.initial, state.origin});
  }
  return copy;
}

void for_each_subgraph(const Node& node, const std::function<void(Graph&)>& visit) {
  for (const auto& [name, attr] : node.attrs.entries()) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attr);
    if (graph && *graph) visit(**graph);
  }
}

void for_each_node(const Graph& graph, const std::function<void(const Node&)>& visit) {
  for (const auto& node : graph.nodes()) {
    visit(*node);
    for_each_subgraph(*node, [&](Graph& subgraph) { for_each_node(subgraph, visit); });
  }
}

bool erase_dead_nodes(Graph& graph) {
  std::unordered_map<const Value*, bool> results;
  for (const GraphOutput& output : graph.outputs) results[output.value] = true;
  for (const State& state : graph.states) results[state.out] = true;
  bool changed = false;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    Node* node = *it;
    for_each_subgraph(*node, [&](Graph& subgraph) { changed |= erase_dead_nodes(subgraph); });
    bool used = false;
    for (const Value* output : node->outputs()) {
      used |= output && (!output->uses().empty() || results.contains(output));
    }
    if (used) continue;
    graph.erase(node);
    changed = true;
  }
  return changed;
}

std::optional<std::vector<int64_t>> constant_ints(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (tensor == nullptr || !(is_int(tensor->dtype()) || tensor->dtype() == DType::kBool)) return std::nullopt;
  return tensor->ints();
}

}  // namespace gannet
