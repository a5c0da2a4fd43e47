#include "runtime/training/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "ir/base/file.h"
#include "runtime/data/utf8.h"
#include "runtime/core/crc32c.h"

namespace gannet {

namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kMaxHeaderBytes = int64_t{32} << 20;
constexpr int kMaxDepth = 3;  // numbers in lists of objects of an object
constexpr const char* kMetadata = "__metadata__";

struct TypeName {
  DType dtype;
  std::string_view name;
};

constexpr std::array<TypeName, 15> kTypes = {{{DType::kF64, "F64"},
                                              {DType::kF32, "F32"},
                                              {DType::kF16, "F16"},
                                              {DType::kBF16, "BF16"},
                                              {DType::kI64, "I64"},
                                              {DType::kI32, "I32"},
                                              {DType::kI16, "I16"},
                                              {DType::kI8, "I8"},
                                              {DType::kU64, "U64"},
                                              {DType::kU32, "U32"},
                                              {DType::kU16, "U16"},
                                              {DType::kU8, "U8"},
                                              {DType::kBool, "BOOL"},
                                              {DType::kF8E4M3FN, "F8_E4M3"},
                                              {DType::kF8E5M2, "F8_E5M2"}}};

struct Entry {
  std::string name;
  DType dtype = DType::kUndefined;
  std::vector<int64_t> extents;
  int64_t begin = 0, end = 0;
};

Error malformed(const std::string& path, const std::string& what) {
  return invalid_input(fmt::format("{}: {}", path, what));
}

// A list of integers of at least 0; nothing where it is anything else.
std::optional<std::vector<int64_t>> naturals(const Json& fields, const char* name) {
  const auto found = fields.find(name);
  if (found == fields.end() || !found->is_array()) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Json& number : *found) {
    if (!number.is_number_unsigned() || number.get<uint64_t>() > INT64_MAX) return std::nullopt;
    numbers.push_back(static_cast<int64_t>(number.get<uint64_t>()));
  }
  return numbers;
}

Result<Entry> parse_entry(const std::string& path, const std::string& name, const Json& fields,
                          const Limits& limits) {
  Entry entry{name, {}, {}, 0, 0};
  if (!fields.is_object()) return malformed(path, fmt::format("tensor '{}' has no description", name));
  const auto dtype = fields.find("dtype");
  if (dtype == fields.end() || !dtype->is_string())
    return malformed(path, fmt::format("tensor '{}' has no dtype", name));
  const auto& word = dtype->get_ref<const std::string&>();
  const auto* type = std::ranges::find(kTypes, word, &TypeName::name);
  if (type == kTypes.end())
    return unsupported(fmt::format("{}: tensor '{}' is {}, which is not known", path, name, word));
  entry.dtype = type->dtype;
  const auto shape = naturals(fields, "shape"), offsets = naturals(fields, "data_offsets");
  if (!shape) return malformed(path, fmt::format("tensor '{}' has no shape", name));
  if (!offsets || offsets->size() != 2)
    return malformed(path, fmt::format("tensor '{}' has no data_offsets", name));
  if (static_cast<int64_t>(shape->size()) > limits.rank) {
    return malformed(path, fmt::format("tensor '{}' has {} dimensions, the limit is {}", name, shape->size(),
                                       limits.rank));
  }
  entry.extents = *shape;
  entry.begin = (*offsets)[0];
  entry.end = (*offsets)[1];
  int64_t bytes = element_size(entry.dtype);
  for (const int64_t extent : entry.extents) {
    if (__builtin_mul_overflow(bytes, extent, &bytes))
      return malformed(path, fmt::format("tensor '{}' is too large", name));
  }
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    return malformed(path, fmt::format("tensor '{}' has bytes {} to {}, its shape and type need {}", name,
                                       entry.begin, entry.end, bytes));
  }
  return entry;
}

Result<Json> parse_header(const std::string& path, const ReadableFile& file, int64_t& data_begin) {
  uint64_t length = 0;
  if (file.size() < kLengthBytes)
    return malformed(path, fmt::format("is {} bytes long, not a safetensors file", file.size()));
  TRY(file.read_at(0, {reinterpret_cast<uint8_t*>(&length), sizeof length}));
  if (length > static_cast<uint64_t>(std::min(kMaxHeaderBytes, file.size() - kLengthBytes))) {
    return malformed(path,
                     fmt::format("a header of {} bytes does not fit, the file has {}", length, file.size()));
  }
  std::string text(length, '\0');
  TRY(file.read_at(kLengthBytes, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  data_begin = kLengthBytes + static_cast<int64_t>(length);
  bool deep = false;
  const auto shallow = [&deep](int depth, Json::parse_event_t, Json&) {
    deep |= depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  Json header = text.starts_with('{') ? Json::parse(text, shallow, /*allow_exceptions=*/false) : Json();
  if (!header.is_object() || deep) return malformed(path, "its header is not a safetensors header");
  return header;
}

Result<std::vector<Entry>> parse_entries(const std::string& path, const Json& header, int64_t data_bytes,
                                         const Limits& limits) {
  std::vector<Entry> entries;
  for (const auto& [name, fields] : header.items()) {
    if (name != kMetadata) entries.push_back(TRY(parse_entry(path, name, fields, limits)));
  }
  std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  int64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      return malformed(path, fmt::format("tensor '{}' begins at byte {} of the data, {} is expected",
                                         entry.name, entry.begin, end));
    }
    end = entry.end;
  }
  if (end != data_bytes)
    return malformed(path, fmt::format("its tensors take {} bytes, the file has {}", end, data_bytes));
  return entries;
}

Result<Tensor> read_tensor(const ReadableFile& file, const Entry& entry, int64_t data_begin,
                           const Limits& limits) {
  Tensor tensor = TRY(Tensor::allocate(entry.dtype, entry.extents, limits));
  if (tensor.bytes() == 0) return tensor;
  std::span<uint8_t> bytes(static_cast<uint8_t*>(tensor.mutable_raw()), static_cast<size_t>(tensor.bytes()));
  TRY(file.read_at(data_begin + entry.begin, bytes));
  if (entry.dtype == DType::kBool && std::ranges::any_of(bytes, [](uint8_t byte) { return byte > 1; })) {
    std::ranges::fill(bytes, uint8_t{0});
    return invalid_input(fmt::format("tensor '{}' is BOOL and holds other bytes than 0 and 1", entry.name));
  }
  return tensor;
}

// Header text and the order of the bytes behind it.
struct Layout {
  std::string header;
  std::vector<const Tensor*> tensors;
};

Result<Layout> lay_out(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater(),
                           [&](size_t i) { return element_size(tensors[i].second.dtype()); });
  Layout layout;
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::set<std::string_view> names = {kMetadata};
  int64_t begin = 0;
  for (const size_t i : order) {
    const auto& [name, tensor] = tensors[i];
    if (!names.insert(name).second)
      return invalid_input(fmt::format("{}: the name '{}' cannot be given twice", path, name));
    if (find_invalid_utf8(name))
      return invalid_input(fmt::format("{}: the name of tensor {} is not UTF-8", path, i));
    const auto* type = std::ranges::find(kTypes, tensor.dtype(), &TypeName::dtype);
    if (type == kTypes.end()) {
      return unsupported(
          fmt::format("{}: tensor '{}' is {}, which the format lacks", path, name, type_string(tensor)));
    }
    header[name] = {{"dtype", type->name},
                    {"shape", tensor.extents()},
                    {"data_offsets", {begin, begin + tensor.bytes()}}};
    begin += tensor.bytes();
    layout.tensors.push_back(&tensor);
  }
  layout.header = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  layout.header.resize((layout.header.size() + 7) / 8 * 8, ' ');
  return layout;
}

}  // namespace

Result<Safetensors> read_safetensors(const std::string& path, const Limits& limits) {
  const ReadableFile file = TRY(ReadableFile::open(path));
  int64_t data_begin = 0;
  const Json header = TRY(parse_header(path, file, data_begin));
  Safetensors result;
  if (const auto metadata = header.find(kMetadata); metadata != header.end()) {
    if (!metadata->is_object()) return malformed(path, "its metadata are not texts by name");
    for (const auto& [name, value] : metadata->items()) {
      if (!value.is_string()) return malformed(path, fmt::format("its metadata '{}' is not a text", name));
      result.metadata[name] = value.get<std::string>();
    }
  }
  for (const Entry& entry : TRY(parse_entries(path, header, file.size() - data_begin, limits))) {
    Result<Tensor> tensor = read_tensor(file, entry, data_begin, limits);
    if (!tensor.ok())
      return with_prefix(tensor.error().message.starts_with(path) ? "" : path + ": ", tensor.error());
    result.tensors.emplace_back(entry.name, *std::move(tensor));
  }
  return result;
}

Status write_safetensors(const std::string& path, const NamedTensors& tensors,
                         const std::map<std::string, std::string>& metadata, uint32_t* checksum) {
  const Layout layout = TRY(lay_out(path, tensors, metadata));
  return write_file_atomically(path, [&](AtomicFile& file) -> Status {
    uint32_t crc = 0;
    auto write = [&](std::span<const uint8_t> bytes) {
      if (checksum) crc = crc32c(bytes, crc);
      return file.write(bytes);
    };
    const uint64_t length = layout.header.size();
    TRY(write({reinterpret_cast<const uint8_t*>(&length), sizeof length}));
    TRY(write({reinterpret_cast<const uint8_t*>(layout.header.data()), layout.header.size()}));
    for (const Tensor* tensor : layout.tensors) {
      TRY(write({static_cast<const uint8_t*>(tensor->raw()), static_cast<size_t>(tensor->bytes())}));
    }
    if (checksum) *checksum = crc;
    return {};
  });
}

}  // namespace gannet
