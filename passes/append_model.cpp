#include "passes/append_model.h"

#include <map>
#include <optional>
#include <unordered_map>

#include "ir/op.h"

namespace gannet {

namespace {

class Appender {
 public:
  Appender(Graph& graph, const Graph& model, const std::string& prefix)
      : graph_(graph), model_(model), prefix_(prefix) {}

  Result<std::vector<Value*>> append(const ModelBindings& bindings) {
    CHECK(bindings.inputs.size() == model_.inputs().size() && bindings.states.size() == model_.states.size(),
          "{} inputs and {} states for {} and {}", bindings.inputs.size(), bindings.states.size(),
          model_.inputs().size(), model_.states.size());
    for (size_t i = 0; i < bindings.inputs.size(); ++i) TRY(bind(model_.inputs()[i], bindings.inputs[i]));
    for (size_t i = 0; i < bindings.states.size(); ++i) copies_[model_.states[i].in] = bindings.states[i];
    for (const auto& node : model_.nodes()) append(*node);
    std::vector<Value*> outputs;
    for (const GraphOutput& output : model_.outputs) outputs.push_back(copies_.at(output.value));
    return outputs;
  }

 private:
  Status bind(const Value* input, Value* value) {
    if (value == nullptr) return invalid_input(fmt::format("nothing flows into input '{}'", input->name));
    const Type &wanted = input->type, &given = value->type;
    const auto differ = [&] {
      return invalid_input(fmt::format("input '{}' is {}, what flows into it is {}", input->name, to_string(wanted),
                                       to_string(given)));
    };
    if (!wanted.is_tensor() || !given.is_tensor() || wanted.dtype != given.dtype) return differ();
    copies_[input] = value;
    if (!wanted.shape || !given.shape) return {};
    if (wanted.shape->size() != given.shape->size()) return differ();
    for (size_t i = 0; i < wanted.shape->size(); ++i) {
      const Dim &from = (*wanted.shape)[i], &to = (*given.shape)[i];
      if (from.is_constant() && to.is_constant() && from.constant() != to.constant()) return differ();
      if (const auto symbol = from.symbol_name()) symbols_.try_emplace(*symbol, to);
    }
    return {};
  }

  // A symbol that no input binds is another one in each copy.
  std::optional<Dim> replacement(const std::string& symbol) {
    const auto [entry, is_new] = symbols_.try_emplace(symbol, Dim());
    if (is_new) entry->second = graph_.symbols()->fresh(symbol);
    return entry->second;
  }

  Dim renamed(const Dim& dim) {
    if (dim.is_constant()) return dim;
    return dim.substitute([this](const std::string& symbol) { return replacement(symbol); });
  }

  Shape renamed(Shape shape) {
    for (Dim& dim : shape) dim = renamed(dim);
    return shape;
  }

  Type renamed(Type type) {
    if (type.shape) type.shape = renamed(*type.shape);
    if (type.element) type.element = std::make_shared<Type>(renamed(*type.element));
    return type;
  }

  Attributes renamed(Attributes attrs) {
    const std::vector<std::pair<std::string, Attr>> entries = attrs.entries();
    for (const auto& [name, attr] : entries) {
      if (const auto* dims = std::get_if<Shape>(&attr)) attrs.set(name, renamed(*dims));
      if (const auto* type = std::get_if<Type>(&attr)) attrs.set(name, renamed(*type));
      const auto* body = std::get_if<std::shared_ptr<Graph>>(&attr);
      if (body && *body) attrs.set(name, renamed(**body));
    }
    return attrs;
  }

  // A body keeps the symbols of its graph, which are those of the larger graph from here on.
  std::shared_ptr<Graph> renamed(const Graph& body) {
    auto copy = std::make_shared<Graph>(body.name, graph_.symbols());
    std::unordered_map<const Value*, Value*> copies{{nullptr, nullptr}};
    for (const Value* input : body.inputs()) {
      Value* made = copy->add_input(input->name, renamed(input->type));
      describe(*input, *made);
      copies[input] = made;
    }
    for (const auto& node : body.nodes()) append(*copy, *node, copies, "");
    for (const GraphOutput& output : body.outputs) copy->outputs.push_back({output.name, copies.at(output.value)});
    return copy;
  }

  void describe(const Value& original, Value& made) {
    made.type = renamed(original.type);
    if (original.contents) made.contents = renamed(*original.contents);
  }

  void append(const Node& node) { append(graph_, node, copies_, prefix_); }

  void append(Graph& graph, const Node& node, std::unordered_map<const Value*, Value*>& copies,
              const std::string& prefix) {
    std::vector<Value*> operands;
    for (const Value* operand : node.inputs()) operands.push_back(copies.at(operand));
    std::vector<std::string> names;
    for (const Value* output : node.outputs()) names.push_back(output ? prefix + output->name : std::string());
    Node* made = graph.add_node(node.op(), std::move(operands), renamed(node.attrs), names.size(), nullptr, names);
    made->name = node.name.empty() ? node.name : prefix + node.name;
    for (size_t i = 0; i < names.size(); ++i) {
      if (const Value* output = node.output(i)) {
        describe(*output, *made->output(i));
        copies[output] = made->output(i);
      } else {
        graph.drop_output(made, i);
      }
    }
  }

  Graph& graph_;
  const Graph& model_;
  const std::string& prefix_;
  std::map<std::string, Dim> symbols_;
  std::unordered_map<const Value*, Value*> copies_{{nullptr, nullptr}};
};

}  // namespace

Result<std::vector<Value*>> append_model(Graph& graph, const Graph& model, const ModelBindings& bindings,
                                         const std::string& prefix) {
  return Appender(graph, model, prefix).append(bindings);
}

}  // namespace gannet
