#include "frontend/tensor_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include "frontend/wire.h"
#include "ir/base/checked.h"

namespace gannet {
namespace {

constexpr int64_t kCopyBlock = int64_t{4} << 20;

std::string type_text(const TensorHeader& header) {
  return fmt::format("{}{}", name_of(header.dtype), to_string(header.extents));
}

Result<TensorHeader> check_header(DType dtype, std::vector<int64_t> extents, const Limits& limits) {
  TensorHeader header{dtype, std::move(extents), 0};
  if (static_cast<int64_t>(header.extents.size()) > limits.rank) {
    return invalid_model(
        fmt::format("{} dimensions, the limit rank is {}", header.extents.size(), limits.rank));
  }
  for (int64_t extent : header.extents) {
    if (extent < 0)
      return invalid_model(fmt::format("dimension {} of {} is negative", extent, type_text(header)));
  }
  std::optional<int64_t> elements = checked_product(header.extents);
  if (!elements)
    return invalid_model(fmt::format("{} has more than {} elements", type_text(header), INT64_MAX));
  header.elements = *elements;
  if (header.elements > limits.elements) {
    return invalid_model(fmt::format("{} has {} elements, the limit elements is {}", type_text(header),
                                     *elements, limits.elements));
  }
  int64_t size = dtype == DType::kString ? static_cast<int64_t>(sizeof(std::string)) : element_size(dtype);
  std::optional<int64_t> bytes = checked_mul(*elements, size);
  if (!bytes || *bytes > limits.tensor_bytes) {
    return invalid_model(fmt::format("{} takes {} elements of {} bytes, the limit tensor-bytes is {}",
                                     type_text(header), *elements, size, limits.tensor_bytes));
  }
  return header;
}

int64_t alignment_of(DType dtype) {
  return visit_dtype(dtype, []<class T>(Tag<T>) { return static_cast<int64_t>(alignof(T)); });
}

// Elements of 4 or 2 bits from their packed bytes, low bits first, into a byte each.
void unpack(DType dtype, const std::byte* packed, int64_t elements, uint8_t* out) {
  int bits = static_cast<int>(element_bits(dtype));
  int per_byte = 8 / bits;
  uint8_t mask = static_cast<uint8_t>((1 << bits) - 1);
  for (int64_t i = 0; i < elements; ++i) {
    uint8_t value = (static_cast<uint8_t>(packed[i / per_byte]) >> (i % per_byte * bits)) & mask;
    bool negative = is_signed_int(dtype) && (value >> (bits - 1)) != 0;
    out[i] = negative ? static_cast<uint8_t>(value | ~mask) : value;
  }
}

// Bytes of bool other than 0 and 1 have no meaning in C++.
bool is_clean(DType dtype, const std::byte* data, int64_t size) {
  return dtype != DType::kBool ||
         std::all_of(data, data + size, [](std::byte b) { return b <= std::byte{1}; });
}

// The tensor in file[offset, offset + length), which the caller knows to be inside of the file.
Result<Tensor> from_bytes(const TensorHeader& header, const FileBytes& file, int64_t offset, int64_t length,
                          const Limits& limits) {
  if (header.dtype == DType::kString) return invalid_model("strings cannot be raw or external data");
  int64_t needed = packed_bytes(header.dtype, header.elements);
  if (length != needed) {
    return invalid_model(
        fmt::format("{} bytes of raw data, but {} needs {}", length, type_text(header), needed));
  }
  if (header.elements == 0) return Tensor::zeros(header.dtype, header.extents);
  const std::byte* data = file.data + offset;
  bool aligned = reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(alignment_of(header.dtype)) == 0;
  bool whole_bytes = element_bits(header.dtype) >= 8;
  if (aligned && whole_bytes && is_clean(header.dtype, data, length)) {
    return Tensor::view(header.dtype, header.extents, data, file.owner);
  }
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  auto* out = static_cast<uint8_t*>(tensor.mutable_raw());
  if (!whole_bytes) {
    unpack(header.dtype, data, header.elements, out);
  } else if (header.dtype == DType::kBool) {
    std::transform(data, data + length, out,
                   [](std::byte b) { return b == std::byte{0} ? uint8_t{0} : uint8_t{1}; });
  } else {
    // Block by block, so that the file's pages and their copy are not in memory together.
    for (int64_t done = 0; done < length; done += kCopyBlock) {
      int64_t size = std::min(kCopyBlock, length - done);
      std::memcpy(out + done, data + done, static_cast<size_t>(size));
      file.release(offset + done, size);
    }
  }
  return tensor;
}

Status check_count(const TensorHeader& header, const char* field, int64_t values, int64_t needed) {
  if (values == needed) return {};
  return invalid_model(
      fmt::format("{} holds {} values, but {} needs {}", field, values, type_text(header), needed));
}

// The low bits of a value of int32_data; both readings of them, signed and unsigned, occur in files.
Result<uint32_t> low_bits(int32_t value, int bits, DType dtype) {
  if (bits < 32 && (value < -(int32_t{1} << (bits - 1)) || value >= int32_t{1} << bits)) {
    return invalid_model(
        fmt::format("int32_data holds {}, which is not a value of {}", value, name_of(dtype)));
  }
  return static_cast<uint32_t>(value);
}

Result<Tensor> from_int32_data(const onnx::TensorProto& proto, const TensorHeader& header,
                               const Limits& limits) {
  int bits = static_cast<int>(element_bits(header.dtype));
  int stored_bits = std::max(bits, 8);
  int64_t needed = bits < 8 ? packed_bytes(header.dtype, header.elements) : header.elements;
  TRY(check_count(header, "int32_data", proto.int32_data_size(), needed));
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  std::string packed;
  auto* out = static_cast<uint8_t*>(header.elements == 0 ? nullptr : tensor.mutable_raw());
  for (int64_t i = 0; i < needed; ++i) {
    int32_t value = proto.int32_data(static_cast<int>(i));
    if (header.dtype == DType::kBool) {
      out[i] = value != 0 ? 1 : 0;
      continue;
    }
    uint32_t low = TRY(low_bits(value, stored_bits, header.dtype));
    if (bits < 8)
      packed.push_back(static_cast<char>(low));
    else
      std::memcpy(out + i * (bits / 8), &low, static_cast<size_t>(bits / 8));
  }
  if (bits < 8) unpack(header.dtype, reinterpret_cast<const std::byte*>(packed.data()), header.elements, out);
  return tensor;
}

// Values of `field` that are bit for bit the elements (or, for complex, their parts).
template <class Field>
Result<Tensor> from_same_bits(const Field& field, const char* name, int64_t parts, const TensorHeader& header,
                              const Limits& limits) {
  TRY(check_count(header, name, field.size(), header.elements * parts));
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  if (header.elements > 0)
    std::memcpy(tensor.mutable_raw(), field.data(), static_cast<size_t>(tensor.bytes()));
  return tensor;
}

Result<Tensor> from_u32_values(const onnx::TensorProto& proto, const TensorHeader& header,
                               const Limits& limits) {
  TRY(check_count(header, "uint64_data", proto.uint64_data_size(), header.elements));
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  std::span<uint32_t> out = tensor.mutable_data<uint32_t>();
  for (int i = 0; i < proto.uint64_data_size(); ++i) {
    uint64_t value = proto.uint64_data(i);
    if (value > UINT32_MAX)
      return invalid_model(fmt::format("uint64_data holds {}, which is not a value of u32", value));
    out[static_cast<size_t>(i)] = static_cast<uint32_t>(value);
  }
  return tensor;
}

Result<Tensor> from_strings(const onnx::TensorProto& proto, const TensorHeader& header,
                            const Limits& limits) {
  TRY(check_count(header, "string_data", proto.string_data_size(), header.elements));
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  std::span<std::string> out = tensor.mutable_data<std::string>();
  for (int i = 0; i < proto.string_data_size(); ++i) out[static_cast<size_t>(i)] = proto.string_data(i);
  return tensor;
}

Result<Tensor> from_typed(const onnx::TensorProto& proto, const TensorHeader& header, const Limits& limits) {
  switch (header.dtype) {
    case DType::kF32:
      return from_same_bits(proto.float_data(), "float_data", 1, header, limits);
    case DType::kC64:
      return from_same_bits(proto.float_data(), "float_data", 2, header, limits);
    case DType::kF64:
      return from_same_bits(proto.double_data(), "double_data", 1, header, limits);
    case DType::kC128:
      return from_same_bits(proto.double_data(), "double_data", 2, header, limits);
    case DType::kI64:
      return from_same_bits(proto.int64_data(), "int64_data", 1, header, limits);
    case DType::kU64:
      return from_same_bits(proto.uint64_data(), "uint64_data", 1, header, limits);
    case DType::kU32:
      return from_u32_values(proto, header, limits);
    case DType::kString:
      return from_strings(proto, header, limits);
    default:
      return from_int32_data(proto, header, limits);
  }
}

bool has_typed_data(const onnx::TensorProto& proto) {
  return proto.float_data_size() > 0 || proto.int32_data_size() > 0 || proto.int64_data_size() > 0 ||
         proto.double_data_size() > 0 || proto.uint64_data_size() > 0 || proto.string_data_size() > 0;
}

Result<Tensor> from_external(const onnx::TensorProto& proto, const TensorHeader& header,
                             const TensorSource& source, const Limits& limits) {
  if (header.dtype == DType::kString) return invalid_model("strings cannot be raw or external data");
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& entry : proto.external_data()) entries.emplace_back(entry.key(), entry.value());
  ExternalLocation where = TRY(parse_external_location(entries));
  if (source.external == nullptr) return invalid_model("external data are not allowed here");
  int64_t needed = packed_bytes(header.dtype, header.elements);
  ExternalBytes bytes = TRY(source.external->bytes(where, needed, limits));
  return from_bytes(header, bytes.file, bytes.offset, bytes.length, limits);
}

Result<Tensor> read_unnamed(const onnx::TensorProto& proto, const TensorSource& source,
                            const Limits& limits) {
  TensorHeader header = TRY(read_tensor_header(proto, limits));
  if (proto.has_segment()) return unsupported("tensors in segments are not supported");
  std::optional<RawLocation> raw = raw_location_of(proto);
  int64_t raw_length = raw ? raw->length : static_cast<int64_t>(proto.raw_data().size());
  bool typed = has_typed_data(proto);
  if (raw_length > 0 && typed) {
    return invalid_model(fmt::format("both {} bytes of raw_data and typed data are there", raw_length));
  }
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
    if (raw_length > 0 || typed) return invalid_model("both external and inner data are there");
    return from_external(proto, header, source, limits);
  }
  if (typed || (raw_length == 0 && !raw && !proto.has_raw_data())) return from_typed(proto, header, limits);
  if (!raw) {
    return from_bytes(header, bytes_in_memory(proto.raw_data()), 0, raw_length, limits);
  }
  if (raw->offset < 0 || raw->length < 0 || raw->offset > source.file.size ||
      raw->length > source.file.size - raw->offset) {
    return invalid_model("the data lie outside of the file");
  }
  return from_bytes(header, source.file, raw->offset, raw->length, limits);
}

std::string subject(const onnx::TensorProto& proto) {
  return proto.name().empty() ? "tensor: " : fmt::format("tensor '{}': ", proto.name());
}

// The position of entry `index` of a sparse tensor in the dense one.
Result<int64_t> dense_position(const Tensor& indices, int64_t index, const TensorHeader& dense) {
  std::span<const int64_t> values = indices.data<int64_t>();
  if (indices.rank() == 1) {
    int64_t position = values[static_cast<size_t>(index)];
    if (position >= 0 && position < dense.elements) return position;
    return invalid_model(fmt::format("index {} lies outside of {} elements", position, dense.elements));
  }
  int64_t rank = static_cast<int64_t>(dense.extents.size()), position = 0;
  for (int64_t axis = 0; axis < rank; ++axis) {
    int64_t coordinate = values[static_cast<size_t>(index * rank + axis)];
    int64_t extent = dense.extents[static_cast<size_t>(axis)];
    if (coordinate < 0 || coordinate >= extent) {
      return invalid_model(
          fmt::format("index {} lies outside of dimension {} of extent {}", coordinate, axis, extent));
    }
    position = position * extent + coordinate;
  }
  return position;
}

Result<Tensor> densify(const Tensor& values, const Tensor& indices, const TensorHeader& dense,
                       const Limits& limits) {
  int64_t count = values.elements();
  int64_t rank = static_cast<int64_t>(dense.extents.size());
  if (values.rank() != 1)
    return invalid_model(fmt::format("values are {}, not of rank 1", type_string(values)));
  bool linear = indices.rank() == 1 && indices.extent(0) == count;
  bool coordinates = indices.rank() == 2 && indices.extent(0) == count && indices.extent(1) == rank;
  if (indices.dtype() != DType::kI64 || (!linear && !coordinates)) {
    return invalid_model(fmt::format("indices are {}, but {} values of rank {} need i64[{}] or i64[{}, {}]",
                                     type_string(indices), count, rank, count, count, rank));
  }
  Tensor result = TRY(Tensor::allocate(dense.dtype, dense.extents, limits));
  return visit_dtype(dense.dtype, [&]<class T>(Tag<T>) -> Result<Tensor> {
    std::span<T> out = result.mutable_data<T>();
    std::fill(out.begin(), out.end(), T());
    std::span<const T> in = values.data<T>();
    for (int64_t i = 0; i < count; ++i) {
      out[static_cast<size_t>(TRY(dense_position(indices, i, dense)))] = in[static_cast<size_t>(i)];
    }
    return result;
  });
}

}  // namespace

Result<TensorHeader> read_tensor_header(const onnx::TensorProto& proto, const Limits& limits) {
  if (!is_known_dtype(proto.data_type())) {
    return invalid_model(
        fmt::format("element type {} is not one of ONNX's 1 to {}", proto.data_type(), kDTypeCount - 1));
  }
  return check_header(static_cast<DType>(proto.data_type()), {proto.dims().begin(), proto.dims().end()},
                      limits);
}

Result<Tensor> read_tensor(const onnx::TensorProto& proto, const TensorSource& source, const Limits& limits) {
  Result<Tensor> result = read_unnamed(proto, source, limits);
  if (!result.ok()) return with_prefix(subject(proto), result.error());
  return result;
}

Result<Tensor> read_sparse_tensor(const onnx::SparseTensorProto& proto, const TensorSource& source,
                                  const Limits& limits) {
  auto read = [&]() -> Result<Tensor> {
    Tensor values = TRY(read_unnamed(proto.values(), source, limits));
    Tensor indices = TRY(read_unnamed(proto.indices(), source, limits));
    TensorHeader dense =
        TRY(check_header(values.dtype(), {proto.dims().begin(), proto.dims().end()}, limits));
    return densify(values, indices, dense, limits);
  };
  Result<Tensor> result = read();
  if (!result.ok()) return with_prefix("sparse " + subject(proto.values()), result.error());
  return result;
}

int64_t packed_bytes(DType dtype, int64_t elements) {
  int64_t bits = element_bits(dtype);
  if (bits >= 8) return elements * (bits / 8);
  int64_t per_byte = 8 / bits;
  return elements / per_byte + (elements % per_byte != 0 ? 1 : 0);
}

std::string packed_elements(const Tensor& tensor) {
  CHECK(tensor.dtype() != DType::kString, "strings have no raw data");
  if (tensor.elements() == 0) return {};
  const auto* data = static_cast<const char*>(tensor.raw());
  int bits = static_cast<int>(element_bits(tensor.dtype()));
  if (bits >= 8) return {data, static_cast<size_t>(tensor.bytes())};
  std::string packed(static_cast<size_t>(packed_bytes(tensor.dtype(), tensor.elements())), '\0');
  int64_t per_byte = 8 / bits;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    int low = data[i] & ((1 << bits) - 1);
    char& target = packed[static_cast<size_t>(i / per_byte)];
    target = static_cast<char>(target | low << (i % per_byte * bits));
  }
  return packed;
}

std::string write_tensor(const Tensor& tensor, const std::string& name) {
  std::string out;
  for (int64_t extent : tensor.extents()) append_varint_field(out, 1, static_cast<uint64_t>(extent));
  append_varint_field(out, 2, static_cast<uint64_t>(tensor.dtype()));
  if (tensor.dtype() == DType::kString) {
    for (const std::string& text : tensor.data<std::string>()) append_bytes_field(out, 6, text);
  }
  if (!name.empty()) append_bytes_field(out, 8, name);
  if (tensor.dtype() != DType::kString) append_bytes_field(out, 9, packed_elements(tensor));
  return out;
}

}  // namespace gannet
