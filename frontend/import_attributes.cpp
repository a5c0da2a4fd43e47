#include "frontend/import_attributes.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>

#include "frontend/import_types.h"
#include "frontend/model_file.h"
#include "frontend/tensor_data.h"

namespace gannet {
namespace {

using onnx::AttributeProto;

// Old exporters leave these behind; no op of any opset gives them a meaning.
constexpr std::string_view kHarmless[] = {
    "consumed_inputs", "_output_shapes",    "output_shapes",   "onnx_name", "__backend",
    "engine",          "exhaustive_search", "ws_nbytes_limit", "use_cudnn", "cudnn_exhaustive_search",
    "order",           "legacy_pad"};

template <class Repeated>
auto list_of(const Repeated& repeated) {
  using Element = std::remove_cvref_t<decltype(repeated.Get(0))>;
  return std::vector<Element>(repeated.begin(), repeated.end());
}

// Files of IR version 1 do not say the type; then it is that of the field which is there.
int type_of(const AttributeProto& proto) {
  if (proto.has_type() && proto.type() != AttributeProto::UNDEFINED) return proto.type();
  if (proto.has_i()) return AttributeProto::INT;
  if (proto.has_f()) return AttributeProto::FLOAT;
  if (proto.has_s()) return AttributeProto::STRING;
  if (proto.has_t()) return AttributeProto::TENSOR;
  if (proto.has_g()) return AttributeProto::GRAPH;
  if (proto.ints_size() > 0) return AttributeProto::INTS;
  if (proto.floats_size() > 0) return AttributeProto::FLOATS;
  if (proto.strings_size() > 0) return AttributeProto::STRINGS;
  if (proto.tensors_size() > 0) return AttributeProto::TENSORS;
  return AttributeProto::UNDEFINED;
}

Result<RawAttr> read_tensors(const AttributeProto& proto, const TensorSource& source, const Limits& limits) {
  std::vector<Tensor> tensors;
  for (const onnx::TensorProto& tensor : proto.tensors())
    tensors.push_back(TRY(read_tensor(tensor, source, limits)));
  return RawAttr(std::move(tensors));
}

Result<RawAttr> read_value(const AttributeProto& proto, const TensorSource& source, const Limits& limits) {
  switch (type_of(proto)) {
    case AttributeProto::INT:
      return RawAttr(int64_t{proto.i()});
    case AttributeProto::FLOAT:
      return RawAttr(proto.f());
    case AttributeProto::STRING:
      return RawAttr(proto.s());
    case AttributeProto::INTS:
      return RawAttr(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
    case AttributeProto::FLOATS:
      return RawAttr(list_of(proto.floats()));
    case AttributeProto::STRINGS:
      return RawAttr(list_of(proto.strings()));
    case AttributeProto::TENSOR:
      return RawAttr(TRY(read_tensor(proto.t(), source, limits)));
    case AttributeProto::TENSORS:
      return read_tensors(proto, source, limits);
    case AttributeProto::SPARSE_TENSOR:
      return RawAttr(TRY(read_sparse_tensor(proto.sparse_tensor(), source, limits)));
    case AttributeProto::GRAPH:
      return RawAttr(&proto.g());
    case AttributeProto::TYPE_PROTO:
      return RawAttr(TRY(read_type(proto.tp(), limits)));
    case AttributeProto::UNDEFINED:
      return RawAttr(std::monostate());
    default:
      return unsupported(fmt::format("an attribute of type {} is not supported", type_of(proto)));
  }
}

template <class T>
Result<Attr> expect(const RawAttr& value, std::string_view wanted) {
  if (const T* found = std::get_if<T>(&value)) return Attr(*found);
  return invalid_model(fmt::format("must be {}, not {}", wanted, kind_name(value)));
}

template <class T>
Result<Attr> expect_list(const RawAttr& value, std::string_view wanted) {
  if (std::holds_alternative<std::monostate>(value)) return Attr(T{});
  return expect<T>(value, wanted);
}

Result<Attr> expect_dtype(const RawAttr& value) {
  Attr number = TRY(expect<int64_t>(value, "an int"));
  int64_t dtype = std::get<int64_t>(number);
  if (!is_known_dtype(dtype)) return invalid_model(fmt::format("is {}, which is no element type", dtype));
  return Attr(static_cast<DType>(dtype));
}

Result<Attr> convert_attr(const RawAttr& value, AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return expect<int64_t>(value, "an int");
    case AttrKind::kFloat:
      return expect<float>(value, "a float");
    case AttrKind::kString:
      return expect<std::string>(value, "a string");
    case AttrKind::kInts:
      return expect_list<std::vector<int64_t>>(value, "ints");
    case AttrKind::kFloats:
      return expect_list<std::vector<float>>(value, "floats");
    case AttrKind::kStrings:
      return expect_list<std::vector<std::string>>(value, "strings");
    case AttrKind::kTensor:
      return expect<Tensor>(value, "a tensor");
    case AttrKind::kTensors:
      return expect_list<std::vector<Tensor>>(value, "tensors");
    case AttrKind::kType:
      return expect<Type>(value, "a type");
    case AttrKind::kDType:
      return expect_dtype(value);
    case AttrKind::kGraph:
    case AttrKind::kDims:
    case AttrKind::kScalar:
      break;
  }
  return invalid_model("cannot come from a file");
}

// ONNX writes "no type asked for" as 0, and old files leave absent numbers empty.
bool stands_for_absent(const RawAttr& value, const AttrDef& def) {
  if (def.required) return false;
  if (def.kind == AttrKind::kDType) {
    const int64_t* number = std::get_if<int64_t>(&value);
    if (number && *number == 0) return true;
  }
  bool is_list = def.kind == AttrKind::kInts || def.kind == AttrKind::kFloats ||
                 def.kind == AttrKind::kStrings || def.kind == AttrKind::kTensors;
  return std::holds_alternative<std::monostate>(value) && !is_list;
}

Status check_graph_attr(const RawAttr& value) {
  if (std::holds_alternative<const onnx::GraphProto*>(value)) return {};
  return invalid_model(fmt::format("must be a graph, not {}", kind_name(value)));
}

std::string attribute_prefix(std::string_view name) { return fmt::format("attribute '{}' ", name); }

}  // namespace

std::string_view kind_name(const RawAttr& value) {
  constexpr std::string_view kNames[] = {"empty",   "an int",   "a float", "a string", "ints",   "floats",
                                         "strings", "a tensor", "tensors", "a type",   "a graph"};
  static_assert(std::size(kNames) == std::variant_size_v<RawAttr>);
  return kNames[value.index()];
}

const NamedRawAttr* RawAttributes::find(std::string_view name) const {
  for (const NamedRawAttr& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

void RawAttributes::set(std::string_view name, RawAttr value) {
  erase(name);
  entries_.push_back({std::string(name), std::move(value), std::nullopt});
}

void RawAttributes::erase(std::string_view name) {
  std::erase_if(entries_, [&](const NamedRawAttr& entry) { return entry.name == name; });
}

void RawAttributes::rename(std::string_view from, std::string_view to) {
  for (NamedRawAttr& entry : entries_) {
    if (entry.name == from) entry.name = to;
  }
}

template <class T>
Result<std::optional<T>> RawAttributes::take(std::string_view name) {
  auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.name == name; });
  if (entry == entries_.end()) return std::optional<T>();
  RawAttr value = std::move(entry->value);
  entries_.erase(entry);
  if (std::holds_alternative<std::monostate>(value)) return std::optional<T>();
  if (T* found = std::get_if<T>(&value)) return std::optional<T>(std::move(*found));
  return invalid_model(
      fmt::format("{}must be {}, not {}", attribute_prefix(name), kind_name(RawAttr(T{})), kind_name(value)));
}

template Result<std::optional<int64_t>> RawAttributes::take(std::string_view);
template Result<std::optional<float>> RawAttributes::take(std::string_view);
template Result<std::optional<std::string>> RawAttributes::take(std::string_view);
template Result<std::optional<std::vector<int64_t>>> RawAttributes::take(std::string_view);
template Result<std::optional<std::vector<float>>> RawAttributes::take(std::string_view);
template Result<std::optional<std::vector<std::string>>> RawAttributes::take(std::string_view);
template Result<std::optional<Tensor>> RawAttributes::take(std::string_view);

Result<NamedRawAttr> read_attribute(const AttributeProto& proto, const TensorSource& source,
                                    const Limits& limits) {
  Result<RawAttr> value = read_value(proto, source, limits);
  if (!value.ok()) return with_prefix(fmt::format("attribute '{}': ", proto.name()), value.error());
  NamedRawAttr attr{proto.name(), std::move(*value), std::nullopt};
  if (proto.has_t() && std::holds_alternative<Tensor>(attr.value)) {
    if (std::optional<int64_t> offset = origin_of(proto.t())) attr.origin = Origin{proto.t().name(), *offset};
  }
  return attr;
}

Result<RawAttributes> read_attributes(const onnx::NodeProto& node, const TensorSource& source,
                                      const Limits& limits, const AttrArguments* arguments) {
  RawAttributes attributes;
  for (const AttributeProto& proto : node.attribute()) {
    if (attributes.has(proto.name())) return invalid_model(attribute_prefix(proto.name()) + "is given twice");
    if (proto.ref_attr_name().empty()) {
      attributes.add(TRY(read_attribute(proto, source, limits)));
      continue;
    }
    if (!arguments) {
      return invalid_model(fmt::format("attribute '{}' refers to '{}' outside of a function", proto.name(),
                                       proto.ref_attr_name()));
    }
    auto argument = arguments->find(proto.ref_attr_name());
    if (argument == arguments->end()) continue;  // the op's own default holds
    attributes.add({proto.name(), argument->second.value, argument->second.origin});
  }
  return attributes;
}

Result<Attributes> bind_attributes(const OpDef& op, const RawAttributes& raw,
                                   std::vector<std::string>& ignored) {
  Attributes bound;
  bound.bind(op.attrs);
  for (const NamedRawAttr& entry : raw.entries()) {
    auto def = std::find_if(op.attrs.begin(), op.attrs.end(),
                            [&](const AttrDef& d) { return d.name == entry.name; });
    if (def == op.attrs.end()) {
      bool harmless =
          std::find(std::begin(kHarmless), std::end(kHarmless), entry.name) != std::end(kHarmless);
      if (!harmless) return invalid_model(attribute_prefix(entry.name) + "is not known");
      ignored.push_back(entry.name);
      continue;
    }
    if (def->kind == AttrKind::kGraph) {
      if (Status status = check_graph_attr(entry.value); !status.ok()) {
        return with_prefix(attribute_prefix(entry.name), status.error());
      }
      continue;
    }
    if (stands_for_absent(entry.value, *def)) continue;
    Result<Attr> value = convert_attr(entry.value, def->kind);
    if (!value.ok()) return with_prefix(attribute_prefix(entry.name), value.error());
    bound.set(entry.name, std::move(*value));
  }
  for (const AttrDef& def : op.attrs) {
    if (def.required && !raw.has(def.name)) return invalid_model(attribute_prefix(def.name) + "is missing");
  }
  return bound;
}

}  // namespace gannet
