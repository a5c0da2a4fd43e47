#include "frontend/import_types.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet {
namespace {

constexpr std::string_view kAnonymous = "?";
// What exporters write where they mean "not known".
constexpr std::string_view kNoNames[] = {"", "?", "*", "None", "none", "-1", "unk"};

Dim read_dim(const onnx::TensorShapeProto::Dimension& proto) {
  if (proto.has_dim_value() && proto.dim_value() > 0) return Dim(int64_t{proto.dim_value()});
  if (proto.has_dim_param()) {
    const std::string& name = proto.dim_param();
    if (std::find(std::begin(kNoNames), std::end(kNoNames), name) == std::end(kNoNames))
      return Dim::symbol(name);
  }
  return Dim::symbol(std::string(kAnonymous));
}

Result<Type> read_tensor_type(const onnx::TypeProto::Tensor& proto, const Limits& limits) {
  int64_t dtype = proto.elem_type();
  if (!is_known_dtype(dtype)) return invalid_model(fmt::format("element type {} is not known", dtype));
  if (!proto.has_shape()) return Type::tensor(static_cast<DType>(dtype));
  if (proto.shape().dim_size() > limits.rank) {
    return invalid_model(
        fmt::format("{} dimensions, more than the limit of {}", proto.shape().dim_size(), limits.rank));
  }
  Shape shape;
  for (const auto& dim : proto.shape().dim()) shape.push_back(read_dim(dim));
  return Type::tensor(static_cast<DType>(dtype), std::move(shape));
}

Result<Type> read_nested(const onnx::TypeProto& proto, const Limits& limits, int64_t depth) {
  if (depth > limits.nesting)
    return invalid_model(fmt::format("a type nested more than {} deep", limits.nesting));
  switch (proto.value_case()) {
    case onnx::TypeProto::kTensorType:
      return read_tensor_type(proto.tensor_type(), limits);
    case onnx::TypeProto::kSequenceType:
      return Type::sequence(TRY(read_nested(proto.sequence_type().elem_type(), limits, depth + 1)));
    case onnx::TypeProto::kOptionalType:
      return Type::optional(TRY(read_nested(proto.optional_type().elem_type(), limits, depth + 1)));
    case onnx::TypeProto::kMapType:
      return unsupported("a map, which is not supported");
    case onnx::TypeProto::kSparseTensorType:
      return unsupported("a sparse tensor, which is not supported");
    case onnx::TypeProto::VALUE_NOT_SET:
      return invalid_model("no type given");
    default:
      return unsupported("a type that is not supported");
  }
}

}  // namespace

Result<Type> read_type(const onnx::TypeProto& proto, const Limits& limits) {
  return read_nested(proto, limits, 0);
}

bool is_anonymous(const Dim& dim) { return dim.symbol_name() == kAnonymous; }

}  // namespace gannet
