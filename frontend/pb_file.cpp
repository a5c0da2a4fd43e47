#include "frontend/pb_file.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx-data_pb.h>

#include <memory>
#include <vector>

#include "frontend/skeleton.h"
#include "frontend/tensor_data.h"
#include "frontend/wire.h"
#include "ir/base/file.h"

namespace gannet {
namespace {

// Numbers of SequenceProto.DataType and OptionalProto.DataType.
enum ElementKind { kNothing = 0, kTensor = 1, kSparseTensor = 2, kSequence = 3, kMap = 4, kOptional = 5 };

class Reader {
 public:
  Reader(FileBytes file, const Limits& limits) : source_{std::move(file), nullptr}, limits_(limits) {}

  Result<Datum> read(const Type* expected);

 private:
  template <class Proto>
  Result<Proto> parse(Message kind);
  Result<Datum> tensor(const onnx::TensorProto& proto) {
    return Datum(TRY(read_tensor(proto, source_, limits_)));
  }
  Result<Datum> sparse(const onnx::SparseTensorProto& proto) {
    return Datum(TRY(read_sparse_tensor(proto, source_, limits_)));
  }
  Result<Datum> sequence(const onnx::SequenceProto& proto, const Type* expected);
  Result<Datum> optional(const onnx::OptionalProto& proto, const Type* expected);

  TensorSource source_;
  const Limits& limits_;
};

// The type of an element that is not there.
Type type_of_absent(int kind, const Type* expected) {
  if (expected != nullptr && expected->element != nullptr) return *expected->element;
  Type tensor = Type::tensor(DType::kUndefined);
  if (kind == kSequence) return Type::sequence(tensor);
  if (kind == kOptional) return Type::optional(tensor);
  return tensor;
}

template <class Proto>
Result<Proto> Reader::parse(Message kind) {
  std::string skeleton = TRY(make_skeleton(source_.file.span(), kind, limits_));
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(skeleton.data()),
                                                static_cast<int>(skeleton.size()));
  stream.SetTotalBytesLimit(INT32_MAX);
  stream.SetRecursionLimit(static_cast<int>(message_depth_limit(limits_)) + 8);
  Proto proto;
  if (!proto.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return invalid_input("protobuf cannot read it");
  }
  return proto;
}

Result<Datum> Reader::sequence(const onnx::SequenceProto& proto, const Type* expected) {
  const Type* element = expected != nullptr ? expected->element.get() : nullptr;
  std::vector<Datum> elements;
  switch (static_cast<int>(proto.elem_type())) {
    case kNothing:
    case kTensor:
      for (const auto& value : proto.tensor_values()) elements.push_back(TRY(tensor(value)));
      break;
    case kSparseTensor:
      for (const auto& value : proto.sparse_tensor_values()) elements.push_back(TRY(sparse(value)));
      break;
    case kSequence:
      for (const auto& value : proto.sequence_values()) elements.push_back(TRY(sequence(value, element)));
      break;
    case kOptional:
      for (const auto& value : proto.optional_values()) elements.push_back(TRY(optional(value, element)));
      break;
    default:
      return unsupported("sequences of maps are not supported");
  }
  Type type = elements.empty() ? type_of_absent(proto.elem_type(), expected) : elements[0].type();
  // The elements of a sequence may differ in shape but not in kind or dtype.
  for (const Datum& value : elements) {
    Type other = value.type();
    if (other.kind != type.kind || other.dtype != type.dtype) {
      return invalid_input(fmt::format("a sequence holds both {} and {}", to_string(type), to_string(other)));
    }
  }
  if (type.is_tensor() && elements.size() > 1) type.shape.reset();
  return Datum::sequence(std::move(elements), std::move(type));
}

Result<Datum> Reader::optional(const onnx::OptionalProto& proto, const Type* expected) {
  const Type* element = expected != nullptr ? expected->element.get() : nullptr;
  if (proto.has_tensor_value()) return Datum::optional(TRY(tensor(proto.tensor_value())));
  if (proto.has_sparse_tensor_value()) return Datum::optional(TRY(sparse(proto.sparse_tensor_value())));
  if (proto.has_sequence_value()) return Datum::optional(TRY(sequence(proto.sequence_value(), element)));
  if (proto.has_optional_value()) return Datum::optional(TRY(optional(proto.optional_value(), element)));
  if (proto.has_map_value()) return unsupported("optional maps are not supported");
  return Datum::empty_optional(type_of_absent(proto.elem_type(), expected));
}

Result<Datum> Reader::read(const Type* expected) {
  if (expected == nullptr || expected->is_tensor())
    return tensor(TRY(parse<onnx::TensorProto>(Message::kTensor)));
  if (expected->kind == Type::Kind::kSequence) {
    return sequence(TRY(parse<onnx::SequenceProto>(Message::kSequence)), expected);
  }
  return optional(TRY(parse<onnx::OptionalProto>(Message::kOptional)), expected);
}

int element_kind(const Datum& datum) {
  switch (datum.kind()) {
    case Datum::Kind::kTensor:
      return kTensor;
    case Datum::Kind::kSequence:
      return kSequence;
    case Datum::Kind::kOptional:
      return kOptional;
    case Datum::Kind::kAbsent:
      break;
  }
  return kNothing;
}

int element_kind(const Type& type) {
  switch (type.kind) {
    case Type::Kind::kTensor:
      return kTensor;
    case Type::Kind::kSequence:
      return kSequence;
    case Type::Kind::kOptional:
      break;
  }
  return kOptional;
}

// Field numbers of SequenceProto and OptionalProto agree: 3 tensor, 5 sequence, 7 optional.
uint32_t value_field(int kind) { return kind == kTensor ? 3 : kind == kSequence ? 5 : 7; }

std::string serialize(const Datum& datum, const std::string& name) {
  if (datum.is_tensor()) return write_tensor(datum.tensor(), name);
  std::string out;
  if (!name.empty()) append_bytes_field(out, 1, name);
  int kind = kNothing;
  if (datum.kind() == Datum::Kind::kSequence) {
    const std::vector<Datum>& elements = datum.elements();
    kind = elements.empty() ? element_kind(*datum.type().element) : element_kind(elements[0]);
    append_varint_field(out, 2, static_cast<uint64_t>(kind));
    for (const Datum& element : elements) append_bytes_field(out, value_field(kind), serialize(element, ""));
  } else if (datum.kind() == Datum::Kind::kOptional) {
    if (!datum.has_element())
      kind = element_kind(*datum.type().element);
    else
      kind = element_kind(datum.element());
    append_varint_field(out, 2, static_cast<uint64_t>(kind));
    if (datum.has_element()) append_bytes_field(out, value_field(kind), serialize(datum.element(), ""));
  }
  return out;
}

}  // namespace

Result<Datum> read_pb(const std::string& path, const Type* expected, const Limits& limits) {
  // Protobuf's form of a message without any field, such as an empty optional, is no bytes at all.
  FileBytes file = TRY(map_file(path, limits, true));
  Result<Datum> datum = Reader(std::move(file), limits).read(expected);
  if (!datum.ok()) return with_prefix(path + ": ", datum.error());
  return datum;
}

Result<Datum> read_pb_bytes(std::string bytes, const Type* expected, const Limits& limits) {
  return Reader(bytes_in_memory(std::move(bytes)), limits).read(expected);
}

Result<std::string> write_pb_bytes(const Datum& datum, const std::string& name) {
  if (!datum.present()) return invalid_input(fmt::format("'{}' is absent and cannot be written", name));
  if (datum.bytes() > INT32_MAX) {
    return unsupported(
        fmt::format("'{}' has {} bytes, a .pb file holds at most {}", name, datum.bytes(), INT32_MAX));
  }
  std::string bytes = serialize(datum, name);
  if (bytes.size() > INT32_MAX) {
    return unsupported(
        fmt::format("'{}' takes {} bytes, a .pb file holds at most {}", name, bytes.size(), INT32_MAX));
  }
  return bytes;
}

Status write_pb(const std::string& path, const Datum& datum, const std::string& name) {
  std::string bytes = TRY(write_pb_bytes(datum, name));
  return write_file_atomically(path, bytes);
}

}  // namespace gannet
