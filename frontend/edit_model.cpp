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
constexpr int64_t kProtobufLimit = INT32_MAX;

int64_t varint_bytes(uint64_t value) {
  int64_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

// Turns a skeleton back into a file: raw data return to their tensors.
class Restorer {
 public:
  Restorer(std::string_view skeleton, const FileBytes& source)
      : skeleton_(std::as_bytes(std::span(skeleton))), source_(source) {}

  Result<std::string> restore() {
    int64_t size = TRY(size_of(Message::kModel, 0, static_cast<int64_t>(skeleton_.size())));
    if (size > kProtobufLimit) {
      return unsupported(
          fmt::format("the edited model has {} bytes, a file can have {}; keep its weights as external data",
                      size, kProtobufLimit));
    }
    out_.reserve(static_cast<size_t>(size));
    TRY(write(Message::kModel, 0, static_cast<int64_t>(skeleton_.size())));
    return std::move(out_);
  }

 private:
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
        [&](int64_t, int64_t length) { total += 1 + with_length(length); },
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
          append_bytes_field(out_, kRawData, source_.text(offset, length));
        },
        [&](const WireField& field) { copy(field.begin, field.end); });
  }

  std::span<const std::byte> skeleton_;
  const FileBytes& source_;
  std::string out_;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> edit_model(const ModelFile& original,
                                                    const std::function<Status(onnx::ModelProto&)>& edit,
                                                    const Limits& limits) {
  onnx::ModelProto proto = original.proto;
  Status edited_proto = edit(proto);
  if (!edited_proto.ok()) return with_prefix(original.path + ": ", edited_proto.error());
  std::string skeleton;
  if (!proto.SerializeToString(&skeleton))
    return unsupported(original.path + ": the edited model is too large for protobuf");
  Result<std::string> bytes = Restorer(skeleton, original.source.file).restore();
  if (!bytes.ok()) return with_prefix(original.path + ": ", bytes.error());
  ModelFile edited = TRY(load_model_bytes(*std::move(bytes), original.path, limits));
  edited.source.external = original.source.external;
  return std::make_shared<const ModelFile>(std::move(edited));
}

void set_data(onnx::TensorProto& proto, const Tensor& tensor) {
  std::string name = proto.name(), doc = proto.doc_string();
  proto.Clear();
  CHECK(proto.ParseFromString(write_tensor(tensor, name)), "a tensor that protobuf cannot read");
  if (!doc.empty()) proto.set_doc_string(doc);
}

}  // namespace gannet
