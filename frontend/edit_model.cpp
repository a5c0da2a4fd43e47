#include "frontend/edit_model.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "frontend/skeleton.h"
#include "frontend/tensor_data.h"
#include "frontend/wire.h"

namespace gannet {
namespace {

constexpr uint32_t kRawData = 9;
constexpr uint32_t kExternalData = 13, kDataLocation = 14;
constexpr int64_t kSmall = 1024;  // data that stay in the message

int64_t varint_bytes(uint64_t value) {
  int64_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

// Turns a skeleton back into a file: raw data return to their tensors, or with a `location` are found there.
class Restorer {
 public:
  Restorer(std::string_view skeleton, const FileBytes& source, std::string location)
      : skeleton_(std::as_bytes(std::span(skeleton))), source_(source), location_(std::move(location)) {}

  Result<int64_t> size() { return size_of(Message::kModel, 0, static_cast<int64_t>(skeleton_.size())); }

  Result<std::string> restore() {
    out_.reserve(static_cast<size_t>(TRY(size())));
    TRY(write(Message::kModel, 0, static_cast<int64_t>(skeleton_.size())));
    return std::move(out_);
  }

 private:
  bool goes_outside(int64_t length) const { return !location_.empty() && length >= kSmall; }

  // The fields that say where the data are.
  std::string place(int64_t offset, int64_t length) const {
    std::string out;
    for (const auto& [key, value] : {std::pair("location", location_), {"offset", std::to_string(offset)},
                                     {"length", std::to_string(length)}}) {
      std::string entry;
      append_bytes_field(entry, 1, key);
      append_bytes_field(entry, 2, value);
      append_bytes_field(out, kExternalData, entry);
    }
    append_varint_field(out, kDataLocation, 1);
    return out;
  }

  static bool is_own(Message kind, const WireField& field) {
    return kind == Message::kTensor && (field.number == kOriginField || field.number == kRawLocationField);
  }

  // Calls child(field, kind), raw(offset, length) or plain(field) for each field.
  template <class ChildFn, class RawFn, class PlainFn>
  Status walk(Message kind, int64_t begin, int64_t end, ChildFn child, RawFn raw, PlainFn plain) {
    WireReader reader(skeleton_, begin, end);
    while (!reader.at_end()) {
      WireField field = TRY(reader.next());
      FieldRule rule = field.type == WireType::kBytes ? field_rule(kind, field.number) : FieldRule{};
      if (rule.kind == FieldRule::Kind::kMessage) {
        TRY(child(field, rule.message));
      } else if (!is_own(kind, field)) {
        plain(field);
      } else if (field.number == kRawLocationField) {
        int64_t place[2];
        CHECK(field.payload_size() == sizeof(place), "a raw location of {} bytes", field.payload_size());
        std::memcpy(place, skeleton_.data() + field.payload, sizeof(place));
        raw(place[0], place[1]);
      }
    }
    return {};
  }

  Result<int64_t> size_of(Message kind, int64_t begin, int64_t end) {
    int64_t total = 0;
    auto with_length = [](int64_t size) { return varint_bytes(static_cast<uint64_t>(size)) + size; };
    TRY(walk(
        kind, begin, end,
        [&](const WireField& field, Message inner) -> Status {
          total +=
              field.length_begin - field.begin + with_length(TRY(size_of(inner, field.payload, field.end)));
          return {};
        },
        [&](int64_t offset, int64_t length) {
          total += goes_outside(length) ? static_cast<int64_t>(place(offset, length).size()) : 1 + with_length(length);
        },
        [&](const WireField& field) { total += field.end - field.begin; }));
    return total;
  }

  void copy(int64_t begin, int64_t end) {
    out_.append(reinterpret_cast<const char*>(skeleton_.data()) + begin, static_cast<size_t>(end - begin));
  }

  Status write(Message kind, int64_t begin, int64_t end) {
    return walk(
        kind, begin, end,
        [&](const WireField& field, Message inner) -> Status {
          copy(field.begin, field.length_begin);
          append_varint(out_, static_cast<uint64_t>(TRY(size_of(inner, field.payload, field.end))));
          return write(inner, field.payload, field.end);
        },
        [&](int64_t offset, int64_t length) {
          if (goes_outside(length))
            out_ += place(offset, length);
          else
            append_bytes_field(out_, kRawData, source_.text(offset, length));
        },
        [&](const WireField& field) { copy(field.begin, field.end); });
  }

  std::span<const std::byte> skeleton_;
  const FileBytes& source_;
  const std::string location_;
  std::string out_;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> edit_model(const ModelFile& original,
                                                    const std::function<Status(onnx::ModelProto&)>& edit,
                                                    const Limits& limits, int64_t largest) {
  onnx::ModelProto proto = original.proto;
  Status edited_proto = edit(proto);
  if (!edited_proto.ok()) return with_prefix(original.path + ": ", edited_proto.error());
  std::string skeleton;
  if (!proto.SerializeToString(&skeleton))
    return unsupported(original.path + ": the edited model is too large for protobuf");
  std::string location;
  if (TRY(Restorer(skeleton, original.source.file, location).size()) > largest)
    location = original.path.substr(original.path.rfind('/') + 1);
  Restorer restorer(skeleton, original.source.file, location);
  if (const int64_t size = TRY(restorer.size()); size > largest) {
    return unsupported(fmt::format("{}: the edited model has {} bytes beside its weights, a file can have {}",
                                   original.path, size, largest));
  }
  ModelFile edited = TRY(load_model_bytes(TRY(restorer.restore()), original.path, limits));
  edited.source.external = original.source.external;
  if (!location.empty() && edited.source.external)
    edited.source.external->provide(location, original.source.file);
  return std::make_shared<const ModelFile>(std::move(edited));
}

void set_data(onnx::TensorProto& proto, const Tensor& tensor) {
  std::string name = proto.name(), doc = proto.doc_string();
  proto.Clear();
  CHECK(proto.ParseFromString(write_tensor(tensor, name)), "a tensor that protobuf cannot read");
  if (!doc.empty()) proto.set_doc_string(doc);
}

}  // namespace gannet
