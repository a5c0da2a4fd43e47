// Model-local functions are expanded where they are called.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/import_body.h"

namespace gannet {
namespace {

std::string chain_of(const std::vector<const Function*>& calls, const Function& next) {
  std::string text;
  for (const Function* call : calls) text += fmt::format("{} -> ", call->proto->name());
  return text + next.proto->name();
}

// What ref_attr_name finds inside: the call's attributes, then the function's defaults.
Result<AttrArguments> bind_arguments(const Function& function, const RawAttributes& attrs) {
  AttrArguments arguments = function.defaults;
  for (const NamedRawAttr& attr : attrs.entries()) {
    const auto& declared = function.proto->attribute();
    bool known = function.defaults.contains(attr.name) ||
                 std::find(declared.begin(), declared.end(), attr.name) != declared.end();
    if (!known) {
      return invalid_model(
          fmt::format("attribute '{}' is not one of function {}", attr.name, function.proto->name()));
    }
    if (std::holds_alternative<const onnx::GraphProto*>(attr.value)) {
      return unsupported(fmt::format("attribute '{}': a function cannot be given a graph", attr.name));
    }
    arguments[attr.name] = attr;
  }
  return arguments;
}

}  // namespace

std::string function_key(std::string_view domain, std::string_view name, std::string_view overload) {
  std::string key(canonical_domain(domain));
  for (std::string_view part : {name, overload}) {
    key += '\0';
    key += part;
  }
  return key;
}

void read_functions(ImportSession& session) {
  for (const onnx::FunctionProto& proto : session.file.proto.functions()) {
    Function function;
    function.proto = &proto;
    for (const auto& opset : proto.opset_import()) {
      function.opsets[std::string(canonical_domain(opset.domain()))] = opset.version();
    }
    for (const onnx::AttributeProto& attr : default_attributes(proto)) {
      Result<NamedRawAttr> value = read_attribute(attr, session.file.source, session.limits());
      bool is_graph = value.ok() && std::holds_alternative<const onnx::GraphProto*>(value->value);
      if (value.ok() && !is_graph)
        function.defaults[attr.name()] = std::move(*value);
      else
        session.problems.add(
            with_prefix(fmt::format("function {}: ", proto.name()),
                        is_graph ? unsupported("a default that is a graph") : value.error()));
    }
    std::string key = function_key(proto.domain(), proto.name(), overload_of(proto));
    if (!session.functions.emplace(std::move(key), std::move(function)).second) {
      session.problems.add(invalid_model(
          fmt::format("function {} of domain '{}' is defined more than once", proto.name(), proto.domain())));
    }
  }
}

Status BodyImporter::inline_function(NodeInProgress& node, const Function& function) {
  if (std::find(session_.calls.begin(), session_.calls.end(), &function) != session_.calls.end()) {
    return invalid_model("a function calls itself: " + chain_of(session_.calls, function));
  }
  if (depth_ >= session_.limits().nesting) {
    return invalid_model(fmt::format("calls and subgraphs are nested deeper than {} (limit nesting)",
                                     session_.limits().nesting));
  }
  const onnx::FunctionProto& proto = *function.proto;
  if (node.operands.size() > static_cast<size_t>(proto.input_size())) {
    return invalid_model(fmt::format("function {} takes {} inputs, got {}", proto.name(), proto.input_size(),
                                     node.operands.size()));
  }
  if (node.proto.output_size() > proto.output_size()) {
    return invalid_model(fmt::format("function {} gives {} outputs, {} are named", proto.name(),
                                     proto.output_size(), node.proto.output_size()));
  }
  AttrArguments arguments = TRY(bind_arguments(function, node.attrs));
  BodyImporter body(session_, graph_, function.opsets, depth_ + 1, node.name + "/", &arguments);
  for (int i = 0; i < proto.input_size(); ++i) {
    size_t index = static_cast<size_t>(i);
    body.bind(proto.input(i), {index < node.operands.size() ? node.operands[index] : nullptr, false});
  }
  int64_t problems_before = session_.problems.count();
  session_.calls.push_back(&function);
  body.read_nodes(proto.node());
  session_.calls.pop_back();
  for (int i = 0; i < node.proto.output_size(); ++i) {
    const std::string& name = node.proto.output(i);
    if (name.empty()) continue;
    Binding result = body.resolve(proto.output(i), node.prefix() + "output ");
    if (result.failed || result.value == nullptr) {
      node.suppressed = true;
      continue;
    }
    bool is_operand =
        std::find(node.operands.begin(), node.operands.end(), result.value) != node.operands.end();
    if (result.value->producer() && !is_operand) graph_.rename(result.value, scoped(name));
    bind(name, result);
  }
  if (node.suppressed && session_.problems.count() == problems_before) {
    return invalid_model(fmt::format("function {} leaves an output absent", proto.name()));
  }
  return {};
}

}  // namespace gannet
