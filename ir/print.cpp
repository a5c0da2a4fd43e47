#include "ir/print.h"

#include <cctype>
#include <cmath>

#include "ir/op.h"

namespace gannet {

namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') result += '\\', result += c;
    else if (byte < 32 || byte == 127) result += fmt::format("\\x{:02x}", byte);
    else result += c;
  }
  return result + '"';
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.back() == ':') return false;
  for (char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '/' && c != ':' && c != '-') return false;
  }
  return true;
}

std::string value_name(const Value* value) {
  if (value == nullptr) return "%_";
  return is_plain_name(value->name) && value->name != "_" ? "%" + value->name : "%" + quoted(value->name);
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{}", value);
}

template <class T>
std::string element_text(const T& element) {
  if constexpr (std::is_same_v<T, std::string>) return quoted(element);
  else if constexpr (std::is_same_v<T, bool>) return element ? "true" : "false";
  else if constexpr (std::is_same_v<T, float>) {
    return std::isfinite(element) ? fmt::format("{}", element) : real_text(element);
  } else if constexpr (std::is_same_v<T, double>) return real_text(element);
  else if constexpr (std::is_integral_v<T>) return fmt::format("{}", element);
  else if constexpr (requires { element.real(); }) {
    return fmt::format("({}, {})", element_text(element.real()), element_text(element.imag()));
  } else if constexpr (requires { element.bits; }) {
    return element_text(static_cast<float>(element));
  } else return fmt::format("{}", static_cast<int>(element));
}

// 64-bit FNV-1a over the bytes, to tell large tensors apart in dumps.
uint64_t digest(const Tensor& tensor) {
  uint64_t hash = 0xcbf29ce484222325u;
  if (tensor.dtype() == DType::kString) return hash;
  const unsigned char* bytes = static_cast<const unsigned char*>(tensor.raw());
  for (int64_t i = 0; i < tensor.bytes(); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

std::string indented(const std::string& text, int depth) {
  std::string result;
  for (char c : text) {
    result += c;
    if (c == '\n') result.append(static_cast<size_t>(depth) * 2, ' ');
  }
  return result;
}

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + element_text(values[i]);
  return text + "]";
}

std::string attr_text(const Attr& attr, const PrintOptions& options) {
  struct Printer {
    const PrintOptions& options;
    std::string operator()(int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(float value) const { return element_text(value); }
    std::string operator()(const std::string& value) const { return quoted(value); }
    std::string operator()(const std::vector<int64_t>& values) const { return list_text(values); }
    std::string operator()(const std::vector<float>& values) const { return list_text(values); }
    std::string operator()(const std::vector<std::string>& values) const { return list_text(values); }
    std::string operator()(const Tensor& value) const { return print_tensor(value, options); }
    std::string operator()(DType value) const { return std::string(name_of(value)); }
    std::string operator()(const std::shared_ptr<Graph>& value) const { return indented(print_graph(*value, options), 2); }
    std::string operator()(const Shape& value) const { return to_string(std::span<const Dim>(value)); }
    std::string operator()(const Type& value) const { return to_string(value); }
    std::string operator()(const ScalarExpr& value) const { return quoted(to_string(value)); }
    std::string operator()(const std::vector<Tensor>& values) const {
      std::string text = "(";
      for (size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + print_tensor(values[i], options);
      return text + ")";
    }
  };
  return std::visit(Printer{options}, attr);
}

}  // namespace

std::string print_tensor(const Tensor& tensor, const PrintOptions& options) {
  std::string text = type_string(tensor);
  if (tensor.elements() > options.max_elements) return text + fmt::format(" #{:016x}", digest(tensor));
  text += " {";
  visit_dtype(tensor.dtype(), [&]<class T>(Tag<T>) {
    bool first = true;
    for (const T& element : tensor.data<T>()) {
      if (!first) text += ", ";
      first = false;
      text += element_text(element);
    }
  });
  return text + "}";
}

std::string print_node(const Node& node, const PrintOptions& options) {
  std::string text;
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    const Value* output = node.output(i);
    text += (i ? ", " : "") + value_name(output);
    if (output) text += ": " + to_string(output->type);
  }
  text += fmt::format(" = {}(", node.op().name);
  for (size_t i = 0; i < node.inputs().size(); ++i) text += (i ? ", " : "") + value_name(node.input(i));
  text += ")";
  if (!node.attrs.entries().empty()) {
    text += " {";
    bool first = true;
    for (const auto& [name, attr] : node.attrs.entries()) {
      text += fmt::format("{}{} = {}", first ? "" : ", ", name, attr_text(attr, options));
      first = false;
    }
    text += "}";
  }
  if (!node.name.empty()) text += " " + quoted(node.name);
  return text;
}

std::string print_graph(const Graph& graph, const PrintOptions& options) {
  std::string text = "graph " + quoted(graph.name) + "(";
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Value* input = graph.inputs()[i];
    text += fmt::format("{}{}: {}", i ? ", " : "", value_name(input), to_string(input->type));
  }
  text += ") {\n";
  for (const State& state : graph.states) {
    text += fmt::format("  state {}: {}", value_name(state.in), to_string(state.in->type));
    if (state.out) text += " -> " + value_name(state.out);
    text += fmt::format(" = {} {}\n", print_tensor(state.initial, options), quoted(state.name));
  }
  for (const auto& node : graph.nodes()) text += "  " + print_node(*node, options) + "\n";
  text += "  return";
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const GraphOutput& output = graph.outputs[i];
    text += fmt::format("{} {} as {}", i ? "," : "", value_name(output.value), quoted(output.name));
  }
  return text + "\n}";
}

}  // namespace gannet
