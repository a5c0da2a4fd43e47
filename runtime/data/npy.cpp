#include "runtime/data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "ir/base/checked.h"
#include "ir/base/file.h"
#include "runtime/data/npy_header.h"
#include "runtime/data/utf8.h"

namespace gannet {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are stored as the machine holds them");

constexpr int64_t kMaxHeaderBytes = int64_t{1} << 20;
constexpr size_t kChunkBytes = size_t{1} << 20;

struct Preamble {
  NpyHeader header;
  int64_t payload_bytes = 0;
};

Result<Preamble> read_preamble(const ByteSource& source, int64_t total_bytes, const Limits& limits) {
  std::array<uint8_t, 12> start{};
  if (total_bytes < 10)
    return invalid_input(fmt::format("{} bytes are too few for a .npy array", total_bytes));
  TRY(source(std::span(start).first(8)));
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0)
    return invalid_input("not a .npy array (wrong first bytes)");
  int version = start[6];
  if (version < 1 || version > 3)
    return unsupported(fmt::format(".npy version {}; versions 1 to 3 are read", version));
  size_t length_bytes = version == 1 ? 2 : 4;
  int64_t text_at = 8 + static_cast<int64_t>(length_bytes);
  if (total_bytes < text_at) return invalid_input("the .npy header is cut off");
  TRY(source(std::span(start).subspan(8, length_bytes)));
  int64_t text_bytes = 0;
  for (size_t i = 0; i < length_bytes; ++i) text_bytes |= int64_t{start[8 + i]} << (8 * i);
  if (text_bytes > total_bytes - text_at) {
    return invalid_input(fmt::format("a .npy header of {} bytes in a file of {}", text_bytes, total_bytes));
  }
  if (text_bytes > kMaxHeaderBytes) return unsupported(fmt::format("a .npy header of {} bytes", text_bytes));
  std::string text(static_cast<size_t>(text_bytes), '\0');
  TRY(source({reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  Preamble preamble;
  preamble.header = TRY(parse_npy_header(text));
  const NpyHeader& header = preamble.header;
  if (static_cast<int64_t>(header.extents.size()) > limits.rank) {
    return invalid_input(
        fmt::format("an array of rank {}, the limit is {}", header.extents.size(), limits.rank));
  }
  std::optional<int64_t> elements = checked_product(header.extents);
  std::optional<int64_t> bytes = elements ? checked_mul(*elements, header.item_bytes) : std::nullopt;
  preamble.payload_bytes = total_bytes - text_at - text_bytes;
  if (!bytes || *bytes != preamble.payload_bytes) {
    return invalid_input(
        fmt::format("an array {} of {} bytes each does not fit the {} bytes after its header",
                    to_string(header.extents), header.item_bytes, preamble.payload_bytes));
  }
  return preamble;
}

void swap_bytes(std::span<uint8_t> bytes, size_t width) {
  for (size_t at = 0; at + width <= bytes.size(); at += width)
    std::reverse(bytes.begin() + at, bytes.begin() + at + width);
}

// The width in which bytes are swapped: a complex number is two, and text is characters.
size_t swap_width(const NpyHeader& header) {
  if (header.dtype == DType::kString) return header.unicode ? 4 : 1;
  return static_cast<size_t>(is_complex(header.dtype) ? header.item_bytes / 2 : header.item_bytes);
}

// Moves elements from column-major to row-major order.
template <class T>
void to_row_major(std::span<T> source, std::span<T> target, std::span<const int64_t> extents) {
  std::vector<int64_t> strides(extents.size()), index(extents.size(), 0);
  int64_t stride = 1;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    strides[axis] = stride;
    stride *= extents[axis];
  }
  int64_t at = 0;
  for (T& element : target) {
    element = std::move(source[static_cast<size_t>(at)]);
    for (size_t axis = extents.size(); axis-- > 0;) {
      at += strides[axis];
      if (++index[axis] < extents[axis]) break;
      at -= strides[axis] * extents[axis];
      index[axis] = 0;
    }
  }
}

struct Wide {
  std::array<uint64_t, 2> words;
};

template <class T>
void to_row_major_as(Tensor& source, Tensor& target) {
  size_t count = static_cast<size_t>(target.elements());
  to_row_major(std::span(static_cast<T*>(source.mutable_raw()), count),
               std::span(static_cast<T*>(target.mutable_raw()), count), target.extents());
}

Result<Tensor> row_major(Tensor source, const Limits& limits) {
  Tensor target = TRY(Tensor::allocate(source.dtype(), source.extents(), limits));
  if (source.elements() == 0) return target;
  if (source.dtype() == DType::kString) {
    to_row_major_as<std::string>(source, target);
    return target;
  }
  switch (element_size(source.dtype())) {
    case 1:
      to_row_major_as<uint8_t>(source, target);
      break;
    case 2:
      to_row_major_as<uint16_t>(source, target);
      break;
    case 4:
      to_row_major_as<uint32_t>(source, target);
      break;
    case 8:
      to_row_major_as<uint64_t>(source, target);
      break;
    default:
      to_row_major_as<Wide>(source, target);
      break;
  }
  return target;
}

Result<std::string> text_of(std::span<const uint8_t> item, bool unicode) {
  if (!unicode) {
    std::string text(reinterpret_cast<const char*>(item.data()), item.size());
    text.resize(text.find_last_not_of('\0') + 1);
    return text;
  }
  std::u32string code_points(item.size() / 4, U'\0');
  std::memcpy(code_points.data(), item.data(), item.size());
  code_points.resize(code_points.find_last_not_of(U'\0') + 1);
  std::optional<std::string> text = encode_utf8(code_points);
  if (!text) return invalid_input("a string holds a value that is not a Unicode character");
  return *std::move(text);
}

Result<Tensor> read_strings(const ByteSource& source, const NpyHeader& header, const Limits& limits) {
  int64_t elements = *checked_product(header.extents);
  // Each element takes memory even when it takes none in the file.
  if (header.item_bytes == 0 && elements > 0) return unsupported("an array of strings of width 0");
  if (elements > limits.tensor_bytes / static_cast<int64_t>(sizeof(std::string))) {
    return invalid_input(
        fmt::format("{} strings need more than the limit of {} bytes", elements, limits.tensor_bytes));
  }
  if (header.item_bytes * elements > limits.tensor_bytes) {
    return invalid_input(fmt::format("strings of {} bytes, the limit is {}", header.item_bytes * elements,
                                     limits.tensor_bytes));
  }
  Tensor tensor = TRY(Tensor::allocate(DType::kString, header.extents, limits));
  if (elements == 0) return tensor;
  std::vector<uint8_t> item(static_cast<size_t>(header.item_bytes));
  for (std::string& text : tensor.mutable_data<std::string>()) {
    TRY(source(item));
    if (header.big_endian) swap_bytes(item, swap_width(header));
    text = TRY(text_of(item, header.unicode));
  }
  return tensor;
}

Result<Tensor> read_numbers(const ByteSource& source, const NpyHeader& header, const Limits& limits) {
  Tensor tensor = TRY(Tensor::allocate(header.dtype, header.extents, limits));
  if (tensor.elements() == 0) return tensor;
  std::span<uint8_t> bytes(static_cast<uint8_t*>(tensor.mutable_raw()), static_cast<size_t>(tensor.bytes()));
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    TRY(source(bytes.subspan(at, std::min(kChunkBytes, bytes.size() - at))));
  }
  if (header.big_endian) swap_bytes(bytes, swap_width(header));
  if (header.dtype == DType::kBool) {
    for (uint8_t& byte : bytes) byte = byte != 0;  // any other value in a bool is undefined behaviour
  }
  return tensor;
}

// The type that stands for `dtype` in a file.
DType stored_type(DType dtype) {
  if (dtype == DType::kBF16 || is_small_float(dtype)) return DType::kF32;
  if (dtype == DType::kI4 || dtype == DType::kI2) return DType::kI8;
  if (dtype == DType::kU4 || dtype == DType::kU2) return DType::kU8;
  return dtype;
}

std::string descriptor_of(DType dtype) {
  int64_t bytes = element_size(dtype);
  if (dtype == DType::kBool) return "|b1";
  char kind = is_complex(dtype) ? 'c' : is_float(dtype) ? 'f' : is_signed_int(dtype) ? 'i' : 'u';
  return fmt::format("{}{}{}", bytes == 1 ? '|' : '<', kind, bytes);
}

Status sink_text(const ByteSink& sink, std::string_view text) {
  return sink({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Status serialize_strings(const Tensor& tensor, const ByteSink& sink) {
  size_t characters = 1, bytes = 1;
  bool unicode = true;
  for (const std::string& text : tensor.data<std::string>()) {
    std::optional<std::u32string> code_points = decode_utf8(text);
    unicode = unicode && code_points;
    if (code_points) characters = std::max(characters, code_points->size());
    bytes = std::max(bytes, text.size());
  }
  size_t item_bytes = unicode ? 4 * characters : bytes;
  if (!checked_mul(tensor.elements(), static_cast<int64_t>(item_bytes))) {
    return invalid_input(fmt::format("{} strings of {} bytes each", tensor.elements(), item_bytes));
  }
  std::string descriptor = unicode ? fmt::format("<U{}", characters) : fmt::format("|S{}", bytes);
  TRY(sink_text(sink, npy_preamble(descriptor, tensor.extents())));
  std::string buffer;
  for (const std::string& text : tensor.data<std::string>()) {
    size_t start = buffer.size();
    buffer.resize(start + item_bytes);
    if (unicode) {
      std::u32string code_points = *decode_utf8(text);
      std::memcpy(buffer.data() + start, code_points.data(), 4 * code_points.size());
    } else {
      std::copy(text.begin(), text.end(), buffer.begin() + static_cast<std::ptrdiff_t>(start));
    }
    if (buffer.size() < kChunkBytes) continue;
    TRY(sink_text(sink, buffer));
    buffer.clear();
  }
  return sink_text(sink, buffer);
}

}  // namespace

Result<Tensor> parse_npy(const ByteSource& source, int64_t total_bytes, const Limits& limits) {
  Preamble preamble = TRY(read_preamble(source, total_bytes, limits));
  const NpyHeader& header = preamble.header;
  Tensor tensor = TRY(header.dtype == DType::kString ? read_strings(source, header, limits)
                                                     : read_numbers(source, header, limits));
  if (header.fortran_order && tensor.rank() > 1) return row_major(std::move(tensor), limits);
  return tensor;
}

Status serialize_npy(const Tensor& tensor, const ByteSink& sink) {
  if (!tensor.defined()) return invalid_input("a tensor without a type cannot be written");
  if (tensor.dtype() == DType::kString) return serialize_strings(tensor, sink);
  DType dtype = stored_type(tensor.dtype());
  Tensor stored = dtype == tensor.dtype() ? tensor : TRY(convert(tensor, dtype));
  TRY(sink_text(sink, npy_preamble(descriptor_of(dtype), stored.extents())));
  if (stored.elements() == 0) return {};
  return sink({static_cast<const uint8_t*>(stored.raw()), static_cast<size_t>(stored.bytes())});
}

Result<Tensor> read_npy(const std::string& path, const Limits& limits) {
  ReadableFile file = TRY(ReadableFile::open(path));
  int64_t at = 0;
  ByteSource source = [&](std::span<uint8_t> out) -> Status {
    TRY(file.read_at(at, out));
    at += static_cast<int64_t>(out.size());
    return {};
  };
  Result<Tensor> tensor = parse_npy(source, file.size(), limits);
  if (tensor.ok() || tensor.error().message.starts_with(path))
    return tensor;  // the system's errors name the path
  return with_prefix(path + ": ", tensor.error());
}

Status write_npy(const std::string& path, const Tensor& tensor) {
  return write_file_atomically(path, [&tensor](AtomicFile& file) {
    return serialize_npy(tensor, [&file](std::span<const uint8_t> bytes) { return file.write(bytes); });
  });
}

}  // namespace gannet
