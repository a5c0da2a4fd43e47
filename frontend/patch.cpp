#include "frontend/patch.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "frontend/skeleton.h"
#include "frontend/tensor_data.h"
#include "frontend/wire.h"
#include "ir/base/checked.h"
#include "ir/base/file.h"

namespace gannet {
namespace {

constexpr int64_t kProtobufLimit = INT32_MAX;
constexpr int64_t kWriteBlock = int64_t{16} << 20;

// Field numbers of TensorProto.
constexpr uint32_t kFloatData = 4, kInt32Data = 5, kInt64Data = 7, kRawData = 9, kDoubleData = 10,
                   kUint64Data = 11;
constexpr uint32_t kExternalData = 13, kDataLocation = 14;

// A part of the new file: bytes of the old one, bytes of our own, or the elements of a tensor in the dtype of
// the file.
struct Range {
  int64_t begin = 0, end = 0;
};
struct Elements {
  const Tensor* value = nullptr;
  DType dtype = DType::kUndefined;
};
using Piece = std::variant<Range, std::string, Elements>;

// A tensor of the model that is written anew.
struct Edit {
  int64_t begin = 0, end = 0;  // of its message in the old file
  TensorHeader header;
  const Tensor* value = nullptr;  // null where only the place of external data changes
  bool was_external = false;
  bool goes_external = false;
  bool typed = false;          // its data are in the typed field
  ExternalLocation old_place;  // where was_external
  int64_t new_offset = 0;      // in the new data file, where goes_external
};

// A stretch of the new data file.
struct DataBlock {
  int64_t offset = 0;
  Elements elements;  // or, without a value:
  ExternalBytes old;
};

bool is_convertible(DType from, DType to) { return from == to || (is_float(from) && is_float(to)); }

uint32_t typed_field(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kC64:
      return kFloatData;
    case DType::kF64:
    case DType::kC128:
      return kDoubleData;
    case DType::kI64:
      return kInt64Data;
    case DType::kU32:
    case DType::kU64:
      return kUint64Data;
    default:
      return kInt32Data;
  }
}

bool is_typed_field(uint32_t number) {
  return number == kFloatData || number == kInt32Data || number == kInt64Data || number == kDoubleData ||
         number == kUint64Data;
}

Result<Tensor> in_dtype(const Elements& elements) {
  return elements.value->dtype() == elements.dtype ? *elements.value
                                                   : TRY(convert(*elements.value, elements.dtype));
}

// The payload of a packed typed field whose numbers are varints.
std::string varint_payload(const Tensor& tensor) {
  std::string out;
  if (element_bits(tensor.dtype()) < 8) {
    for (char packed : packed_elements(tensor)) append_varint(out, static_cast<uint8_t>(packed));
    return out;
  }
  visit_dtype(tensor.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (std::is_integral_v<T>) {
      for (T value : tensor.data<T>()) append_varint(out, static_cast<uint64_t>(static_cast<int64_t>(value)));
    } else if constexpr (requires(T value) { value.bits; }) {
      for (const T& value : tensor.data<T>()) append_varint(out, value.bits);
    }
  });
  return out;
}

class Patcher {
 public:
  Patcher(const ModelFile& original, const std::string& output_path, const Limits& limits)
      : original_(original), output_path_(output_path), limits_(limits) {}

  Status plan(std::span<const TensorPatch> patches);
  Status write();

 private:
  Status find_edits(Message kind, int64_t begin, int64_t end);
  Status add_edit(int64_t begin, int64_t end);
  Status check_patch(const onnx::TensorProto& proto, const Edit& edit) const;
  Status place_external_data();
  bool has_edit(int64_t begin, int64_t end) const;

  Result<int64_t> rewrite_all();
  Result<int64_t> rewrite(Message kind, int64_t begin, int64_t end);
  Result<int64_t> rewrite_tensor(const Edit& edit);
  Result<int64_t> rewrite_child(const WireField& field, Message kind);
  Result<int64_t> new_payload(const Edit& edit, const WireField& field);
  Result<int64_t> replace_payload(const WireField& field, Piece payload, int64_t size);
  Result<int64_t> external_entries(const Edit& edit);
  int64_t keep(int64_t begin, int64_t end);
  int64_t add(std::string bytes);

  Status write_elements(AtomicFile& file, const Elements& elements) const;
  Status write_range(AtomicFile& file, const FileBytes& bytes, int64_t begin, int64_t end) const;
  Status write_data_file() const;
  std::string data_path() const { return data_path_of(output_path_); }
  std::string data_name() const { return data_path().substr(data_path().rfind('/') + 1); }
  std::span<const std::byte> bytes() const { return original_.source.file.span(); }

  const ModelFile& original_;
  std::string output_path_;
  const Limits& limits_;
  std::map<int64_t, const Tensor*> values_;  // by origin
  std::vector<Edit> edits_;                  // in the order of the file
  std::vector<Piece> pieces_;
  std::vector<DataBlock> blocks_;
};

Status Patcher::check_patch(const onnx::TensorProto& proto, const Edit& edit) const {
  std::string name = fmt::format("tensor '{}': ", proto.name());
  if (edit.value->extents() != edit.header.extents) {
    return invalid_input(fmt::format("{}the new data are {}, the file's are {}{}", name,
                                     type_string(*edit.value), name_of(edit.header.dtype),
                                     to_string(edit.header.extents)));
  }
  if (edit.header.dtype == DType::kString || !is_convertible(edit.value->dtype(), edit.header.dtype)) {
    return invalid_input(fmt::format("{}{} cannot replace {}", name, name_of(edit.value->dtype()),
                                     name_of(edit.header.dtype)));
  }
  return {};
}

// Tensors that are replaced or external; the file as a whole was checked when it was loaded.
Status Patcher::add_edit(int64_t begin, int64_t end) {
  auto value = values_.find(begin);
  bool external = false;
  WireReader reader(bytes(), begin, end);
  while (!reader.at_end()) {
    WireField field = TRY(reader.next());
    if (field.number == kDataLocation && field.type == WireType::kVarint) external = field.varint == 1;
  }
  if (!external && value == values_.end()) return {};

  auto content = bytes().subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  std::string skeleton = TRY(make_skeleton(content, Message::kTensor, limits_));
  onnx::TensorProto proto;
  if (!proto.ParseFromString(skeleton))
    return invalid_model(fmt::format("the tensor at byte {} is malformed", begin));
  Edit edit{begin, end, TRY(read_tensor_header(proto, limits_)), nullptr, external, external, false, {}, 0};
  edit.typed = proto.float_data_size() + proto.int32_data_size() + proto.int64_data_size() +
                   proto.double_data_size() + proto.uint64_data_size() >
               0;
  if (external) {
    if (edit.header.dtype == DType::kString) {
      return invalid_model(fmt::format("tensor '{}': strings cannot be external data", proto.name()));
    }
    std::vector<std::pair<std::string, std::string>> entries;
    for (const auto& entry : proto.external_data()) entries.emplace_back(entry.key(), entry.value());
    edit.old_place = TRY(parse_external_location(entries));
  }
  if (value != values_.end()) {
    edit.value = value->second;
    TRY(check_patch(proto, edit));
    values_.erase(value);
  }
  edits_.push_back(std::move(edit));
  return {};
}

Status Patcher::find_edits(Message kind, int64_t begin, int64_t end) {
  if (kind == Message::kTensor) return add_edit(begin, end);
  WireReader reader(bytes(), begin, end);
  while (!reader.at_end()) {
    WireField field = TRY(reader.next());
    FieldRule rule = field.type == WireType::kBytes ? field_rule(kind, field.number) : FieldRule{};
    if (rule.kind == FieldRule::Kind::kMessage) TRY(find_edits(rule.message, field.payload, field.end));
  }
  return {};
}

bool Patcher::has_edit(int64_t begin, int64_t end) const {
  auto first = std::lower_bound(edits_.begin(), edits_.end(), begin,
                                [](const Edit& edit, int64_t position) { return edit.begin < position; });
  return first != edits_.end() && first->begin < end;
}

int64_t Patcher::keep(int64_t begin, int64_t end) {
  Range* last = pieces_.empty() ? nullptr : std::get_if<Range>(&pieces_.back());
  if (last != nullptr && last->end == begin)
    last->end = end;
  else if (begin < end)
    pieces_.push_back(Range{begin, end});
  return end - begin;
}

int64_t Patcher::add(std::string own) {
  int64_t size = static_cast<int64_t>(own.size());
  if (size > 0) pieces_.push_back(std::move(own));
  return size;
}

// The field with its tag as it was and another payload; an unchanged length keeps its bytes too.
Result<int64_t> Patcher::replace_payload(const WireField& field, Piece payload, int64_t size) {
  int64_t total = 0;
  if (size == field.payload_size() && field.type == WireType::kBytes) {
    total += keep(field.begin, field.payload);
  } else {
    std::string head;
    append_tag(head, field.number, WireType::kBytes);
    append_varint(head, static_cast<uint64_t>(size));
    total += add(std::move(head));
  }
  pieces_.push_back(std::move(payload));
  return total + size;
}

Result<int64_t> Patcher::new_payload(const Edit& edit, const WireField& field) {
  Elements elements{edit.value, edit.header.dtype};
  uint32_t typed = typed_field(edit.header.dtype);
  if (field.number == kRawData || typed == kFloatData || typed == kDoubleData) {
    return replace_payload(field, elements, packed_bytes(edit.header.dtype, edit.header.elements));
  }
  std::string payload = varint_payload(TRY(in_dtype(elements)));
  int64_t size = static_cast<int64_t>(payload.size());
  return replace_payload(field, std::move(payload), size);
}

Result<int64_t> Patcher::external_entries(const Edit& edit) {
  std::string out;
  auto entry = [&](const char* key, const std::string& value) {
    std::string content;
    append_bytes_field(content, 1, key);
    append_bytes_field(content, 2, value);
    append_bytes_field(out, kExternalData, content);
  };
  entry("location", data_name());
  entry("offset", std::to_string(edit.new_offset));
  entry("length", std::to_string(packed_bytes(edit.header.dtype, edit.header.elements)));
  return add(std::move(out));
}

Result<int64_t> Patcher::rewrite_tensor(const Edit& edit) {
  int64_t total = 0;
  bool written = false;
  WireReader reader(bytes(), edit.begin, edit.end);
  while (!reader.at_end()) {
    WireField field = TRY(reader.next());
    bool data_field = field.number == (edit.typed ? typed_field(edit.header.dtype) : kRawData);
    bool place_field = field.number == kExternalData || field.number == kDataLocation;
    if (edit.goes_external && (place_field || field.number == kRawData || is_typed_field(field.number)))
      continue;
    if (!edit.goes_external && data_field && edit.header.elements > 0) {
      if (!written) total += TRY(new_payload(edit, field));
      written = true;
      continue;
    }
    total += keep(field.begin, field.end);
  }
  if (edit.goes_external) {
    total += TRY(external_entries(edit));
    std::string location;
    append_varint_field(location, kDataLocation, 1);
    total += add(std::move(location));
  } else if (!written && edit.header.elements > 0) {
    return invalid_model(fmt::format("the tensor at byte {} has no data to replace", edit.begin));
  }
  return total;
}

Result<int64_t> Patcher::rewrite_child(const WireField& field, Message kind) {
  keep(field.begin, field.length_begin);
  size_t length_at = pieces_.size();
  pieces_.push_back(std::string());
  int64_t size = TRY(rewrite(kind, field.payload, field.end));
  if (size == field.payload_size()) {
    pieces_[length_at] = Range{field.length_begin, field.payload};
    return size + field.payload - field.begin;
  }
  std::string length;
  append_varint(length, static_cast<uint64_t>(size));
  int64_t total = field.length_begin - field.begin + static_cast<int64_t>(length.size()) + size;
  pieces_[length_at] = std::move(length);
  return total;
}

Result<int64_t> Patcher::rewrite(Message kind, int64_t begin, int64_t end) {
  if (!has_edit(begin, end)) return keep(begin, end);
  if (kind == Message::kTensor) {
    auto edit = std::lower_bound(edits_.begin(), edits_.end(), begin,
                                 [](const Edit& e, int64_t position) { return e.begin < position; });
    return rewrite_tensor(*edit);
  }
  int64_t total = 0;
  WireReader reader(bytes(), begin, end);
  while (!reader.at_end()) {
    WireField field = TRY(reader.next());
    FieldRule rule = field.type == WireType::kBytes ? field_rule(kind, field.number) : FieldRule{};
    bool inside = rule.kind == FieldRule::Kind::kMessage && has_edit(field.payload, field.end);
    total += inside ? TRY(rewrite_child(field, rule.message)) : keep(field.begin, field.end);
  }
  return total;
}

Result<int64_t> Patcher::rewrite_all() {
  pieces_.clear();
  return rewrite(Message::kModel, 0, original_.source.file.size);
}

// Large blocks begin at pages, so that readers can map them. Tensors that shared their bytes and are not
// replaced go on sharing them.
Status Patcher::place_external_data() {
  blocks_.clear();
  std::map<std::tuple<std::string, int64_t, int64_t>, int64_t> placed;
  int64_t position = 0;
  for (Edit& edit : edits_) {
    if (!edit.goes_external) continue;
    int64_t size = packed_bytes(edit.header.dtype, edit.header.elements);
    std::tuple key(edit.old_place.location, edit.old_place.offset, size);
    if (auto known = placed.find(key); edit.value == nullptr && known != placed.end()) {
      edit.new_offset = known->second;
      continue;
    }
    int64_t alignment = size >= 4096 ? 4096 : 64;
    std::optional<int64_t> end = checked_add(position, size + alignment);
    if (!end) return unsupported(fmt::format("more than {} bytes of external data", INT64_MAX));
    edit.new_offset = (position + alignment - 1) / alignment * alignment;
    position = edit.new_offset + size;
    DataBlock block{edit.new_offset, {edit.value, edit.header.dtype}, {}};
    if (edit.value == nullptr) {
      if (original_.source.external == nullptr)
        return invalid_model("the model's external data are not at hand");
      block.old = TRY(original_.source.external->bytes(edit.old_place, size, limits_));
      placed.emplace(std::move(key), edit.new_offset);
    }
    blocks_.push_back(std::move(block));
  }
  return {};
}

Status Patcher::plan(std::span<const TensorPatch> patches) {
  for (const TensorPatch& patch : patches) {
    if (!values_.emplace(patch.origin, &patch.value).second) {
      return invalid_input(fmt::format("the tensor at byte {} is replaced twice", patch.origin));
    }
  }
  TRY(find_edits(Message::kModel, 0, original_.source.file.size));
  if (!values_.empty())
    return invalid_input(fmt::format("no tensor begins at byte {}", values_.begin()->first));
  TRY(place_external_data());
  int64_t size = TRY(rewrite_all());
  if (size <= kProtobufLimit) return {};
  for (Edit& edit : edits_) edit.goes_external = true;
  TRY(place_external_data());
  TRY(rewrite_all());
  return {};
}

Status Patcher::write_elements(AtomicFile& file, const Elements& elements) const {
  Tensor tensor = TRY(in_dtype(elements));
  if (element_bits(tensor.dtype()) < 8) return file.write(packed_elements(tensor));
  return file.write({static_cast<const uint8_t*>(tensor.raw()), static_cast<size_t>(tensor.bytes())});
}

Status Patcher::write_range(AtomicFile& file, const FileBytes& bytes, int64_t begin, int64_t end) const {
  for (int64_t position = begin; position < end; position += kWriteBlock) {
    int64_t size = std::min(kWriteBlock, end - position);
    TRY(file.write(bytes.text(position, size)));
    bytes.release(position, size);
  }
  return {};
}

Status Patcher::write_data_file() const {
  return write_file_atomically(data_path(), [this](AtomicFile& file) -> Status {
    for (const DataBlock& block : blocks_) {
      CHECK(block.offset >= file.size(), "block at {} after {} bytes", block.offset, file.size());
      TRY(file.write(std::string(static_cast<size_t>(block.offset - file.size()), '\0')));
      if (block.elements.value != nullptr)
        TRY(write_elements(file, block.elements));
      else
        TRY(write_range(file, block.old.file, block.old.offset, block.old.offset + block.old.length));
    }
    return {};
  });
}

Status Patcher::write() {
  if (!blocks_.empty()) TRY(write_data_file());
  return write_file_atomically(output_path_, [this](AtomicFile& file) -> Status {
    for (const Piece& piece : pieces_) {
      if (const auto* range = std::get_if<Range>(&piece)) {
        TRY(write_range(file, original_.source.file, range->begin, range->end));
      } else if (const auto* own = std::get_if<std::string>(&piece)) {
        TRY(file.write(*own));
      } else {
        TRY(write_elements(file, std::get<Elements>(piece)));
      }
    }
    return {};
  });
}

}  // namespace

std::string data_path_of(const std::string& output_path) { return output_path + ".data"; }

Status write_patched_model(const ModelFile& original, std::span<const TensorPatch> patches,
                           const std::string& output_path, const Limits& limits) {
  if (original.identity) {
    Result<FileIdentity> now = identify_file(original.path);
    // A file that was replaced by another one is still mapped as it was; one that was written to is not.
    bool same_file =
        now.ok() && now->device == original.identity->device && now->inode == original.identity->inode;
    if (same_file && !(*now == *original.identity)) {
      return io_error(fmt::format("{}: was changed by another program since it was read", original.path));
    }
  }
  Patcher patcher(original, output_path, limits);
  Status planned = patcher.plan(patches);
  if (!planned.ok()) return with_prefix(original.path + ": ", planned.error());
  return patcher.write();
}

}  // namespace gannet
