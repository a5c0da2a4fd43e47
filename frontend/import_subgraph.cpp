// Bodies of If, Loop, Scan and SequenceMap. What a body takes from outside becomes the last operands of the
// node and the last inputs of each of its subgraphs; constants and dimensions are repeated inside instead,
// where inference needs to see them.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/import_body.h"
#include "frontend/import_types.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

constexpr int64_t kRepeatedInts = 1024;
constexpr int64_t kRepeatedFloats = 8;

struct BodyTypes {
  const UpgradeContext& context;
  const onnx::GraphProto& body;
  const Limits& limits;
  Symbols& symbols;

  const Value* operand(size_t i) const { return context.operand(i); }

  Type declared(int input) const {
    if (input >= body.input_size()) return {};
    Result<Type> type = read_type(body.input(input).type(), limits);
    if (!type.ok()) return {};
    return type->is_tensor() ? Type::tensor(type->dtype) : *type;
  }

  // The type of a value that is carried from trip to trip: extents may change, unless the body hands it on as
  // it is or says that they do not.
  Type carried(size_t operand_index, int input, int output) const {
    const Value* value = operand(operand_index);
    if (value == nullptr) return declared(input);
    bool handed_on = input < body.input_size() && output < body.output_size() &&
                     body.input(input).name() == body.output(output).name();
    if (handed_on) return value->type;
    if (!value->type.is_tensor()) return declared(input).is_tensor() ? Type{} : declared(input);
    Type type = Type::tensor(value->type.dtype);
    Result<Type> said =
        input < body.input_size() ? read_type(body.input(input).type(), limits) : Result<Type>(Type{});
    if (!said.ok() || !said->is_tensor() || !said->shape) return type;
    type.shape.emplace();
    for (size_t i = 0; i < said->shape->size(); ++i) {
      const Dim& dim = (*said->shape)[i];
      bool kept = dim.is_constant() && value->type.rank() == said->rank() && (*value->type.shape)[i] == dim;
      type.shape->push_back(kept ? dim : symbols.fresh("carried"));
    }
    return type;
  }

  std::vector<Type> of_loop() const {
    std::vector<Type> types = {Type::tensor(DType::kI64, Shape{}), Type::tensor(DType::kBool, Shape{})};
    for (size_t i = 2; i < context.operands.size(); ++i) {
      types.push_back(carried(i, static_cast<int>(i), static_cast<int>(i) - 1));
    }
    return types;
  }

  Type scanned(size_t operand_index, size_t scan_input) const {
    const Value* value = operand(operand_index);
    if (value == nullptr || !value->type.is_tensor()) return {};
    Type type = value->type;
    if (!type.shape) return type;
    const auto* axes = context.attrs.get<std::vector<int64_t>>("scan_input_axes");
    int64_t wanted = axes && scan_input < axes->size() ? (*axes)[scan_input] : 0;
    Result<int64_t> axis = normalize_axis(wanted, type.rank());
    if (axis.ok())
      type.shape->erase(type.shape->begin() + *axis);
    else
      type.shape.reset();
    return type;
  }

  std::vector<Type> of_scan() const {
    const int64_t* number = context.attrs.get<int64_t>("num_scan_inputs");
    int64_t operands = static_cast<int64_t>(context.operands.size());
    int64_t scanned_inputs = std::clamp<int64_t>(number ? *number : 0, 0, operands);
    std::vector<Type> types;
    for (int64_t i = 0; i < operands; ++i) {
      size_t index = static_cast<size_t>(i);
      int64_t scan_input = i - (operands - scanned_inputs);
      int position = static_cast<int>(i);
      types.push_back(scan_input < 0 ? carried(index, position, position)
                                     : scanned(index, static_cast<size_t>(scan_input)));
    }
    return types;
  }

  std::vector<Type> of_sequence_map() const {
    std::vector<Type> types;
    for (const Value* value : context.operands) {
      if (value == nullptr)
        types.emplace_back();
      else
        types.push_back(value->type.kind == Type::Kind::kSequence && value->type.element
                            ? *value->type.element
                            : value->type);
    }
    return types;
  }
};

using TypesFn = std::vector<Type> (BodyTypes::*)() const;
struct BodyRule {
  std::string_view op;
  TypesFn types;
};
constexpr BodyRule kBodyRules[] = {{"Loop", &BodyTypes::of_loop},
                                   {"Scan", &BodyTypes::of_scan},
                                   {"SequenceMap", &BodyTypes::of_sequence_map}};

std::vector<Type> body_input_types(const BodyTypes& types) {
  std::vector<Type> known;
  for (const BodyRule& rule : kBodyRules) {
    if (rule.op == types.context.op) known = (types.*rule.types)();
  }
  for (size_t i = 0; i < known.size(); ++i) {
    Type declared = types.declared(static_cast<int>(i));
    if (known[i].is_tensor() && known[i].dtype == DType::kUndefined) known[i] = declared;
  }
  for (size_t i = known.size(); i < static_cast<size_t>(types.body.input_size()); ++i) {
    known.push_back(types.declared(static_cast<int>(i)));
  }
  return known;
}

bool is_repeated_inside(const Value& value) {
  if (value.producer() && value.producer()->op().name == "Dims") return true;
  const Tensor* constant = value.constant();
  if (constant == nullptr) return false;
  return constant->elements() <= (is_float(constant->dtype()) ? kRepeatedFloats : kRepeatedInts);
}

Value* repeat_inside(Graph& graph, const Value& outer) {
  Value* inner = nullptr;
  if (const Tensor* constant = outer.constant()) {
    inner = graph.add_constant(*constant, outer.name);
  } else {
    const Node& dims = *outer.producer();
    std::string names[] = {outer.name};
    inner = graph.add_node(dims.op(), {}, dims.attrs, 1, nullptr, names)->output();
    inner->type = outer.type;
    inner->contents = outer.contents;
  }
  inner->origin = outer.origin;
  return inner;
}

// Captures that no subgraph uses after all are no operands.
void drop_unused(std::vector<std::shared_ptr<Graph>>& graphs, std::vector<Value*>& captured) {
  for (size_t i = captured.size(); i-- > 0;) {
    auto position = [&](const Graph& graph) { return graph.inputs().size() - captured.size() + i; };
    bool used = std::any_of(graphs.begin(), graphs.end(), [&](const auto& graph) {
      const Value* input = graph->inputs()[position(*graph)];
      return !input->uses().empty() || graph->is_result(input);
    });
    if (used) continue;
    for (const auto& graph : graphs) graph->erase_input(position(*graph));
    captured.erase(captured.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace

std::shared_ptr<Graph> BodyImporter::import_subgraph(const std::string& attribute, const onnx::GraphProto& proto,
                                                     std::span<const Type> input_types,
                                                     const Captures& captures) {
  auto graph = std::make_shared<Graph>(proto.name().empty() ? "body" : proto.name(), graph_.symbols());
  BodyImporter body(session_, *graph, opsets_, depth_ + 1, prefix_, arguments_);
  graph->new_sources = graph_.new_sources;
  body.attribute_ = attribute;
  if (!graph_.new_sources.empty()) body.parent_ = graph_.new_sources.front();
  for (int i = 0; i < proto.input_size(); ++i) {
    Value* input = graph->add_input(scoped(proto.input(i).name()), input_types[static_cast<size_t>(i)]);
    body.bind(proto.input(i).name(), {input, false});
  }
  std::unordered_map<const Value*, Value*> inside;
  for (Value* outer : captures.operands) inside[outer] = graph->add_input(outer->name, outer->type);
  for (const auto& [name, binding] : captures.names) {
    if (body.is_bound(name)) continue;
    if (binding.failed || binding.value == nullptr) {
      body.bind(name, binding);
      continue;
    }
    Value*& inner = inside[binding.value];
    if (inner == nullptr) inner = repeat_inside(*graph, *binding.value);
    body.bind(name, {inner, false});
  }
  body.read_initializers(proto);
  body.declare_types(proto.value_info());
  body.read_nodes(proto.node());
  body.read_outputs(proto, false);
  return graph;
}

Status BodyImporter::import_subgraphs(NodeInProgress& node, const OpDef& op, UpgradeContext& context,
                                      Attributes& attrs) {
  std::vector<std::pair<std::string, const onnx::GraphProto*>> protos;
  for (const NamedRawAttr& attr : context.attrs.entries()) {
    const auto* proto = std::get_if<const onnx::GraphProto*>(&attr.value);
    if (proto) protos.emplace_back(attr.name, *proto);
  }
  if (protos.empty()) return {};
  if (depth_ >= session_.limits().nesting) {
    return invalid_model(fmt::format("calls and subgraphs are nested deeper than {} (limit nesting)",
                                     session_.limits().nesting));
  }
  Captures captures;
  for (const auto& [attr, proto] : protos) {
    for (std::string_view name : free_names(*proto)) {
      auto found = names_.find(name);
      if (found == names_.end()) continue;
      captures.names.emplace_back(name, found->second);
      Value* value = found->second.value;
      bool passed = value && !found->second.failed && !is_repeated_inside(*value);
      bool is_new =
          std::find(captures.operands.begin(), captures.operands.end(), value) == captures.operands.end();
      if (passed && is_new) captures.operands.push_back(value);
    }
  }
  int64_t problems_before = session_.problems.count();
  std::vector<std::shared_ptr<Graph>> graphs;
  for (const auto& [attr, proto] : protos) {
    BodyTypes types{context, *proto, session_.limits(), *graph_.symbols()};
    graphs.push_back(import_subgraph(attr, *proto, body_input_types(types), captures));
    attrs.set(attr, graphs.back());
  }
  node.suppressed = session_.problems.count() != problems_before;
  if (node.suppressed) return {};
  drop_unused(graphs, captures.operands);
  if (captures.operands.empty()) return {};
  bool takes_captures = std::any_of(op.attrs.begin(), op.attrs.end(),
                                    [](const AttrDef& def) { return def.name == "captures"; });
  if (!takes_captures) return unsupported("its subgraph uses values from outside");
  attrs.set("captures", static_cast<int64_t>(captures.operands.size()));
  context.operands.insert(context.operands.end(), captures.operands.begin(), captures.operands.end());
  return {};
}

}  // namespace gannet
