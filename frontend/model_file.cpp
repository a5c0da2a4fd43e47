#include "frontend/model_file.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "frontend/import.h"
#include "frontend/skeleton.h"
#include "frontend/wire.h"

namespace gannet {
namespace {

// Above message_depth_limit of any limits: what make_skeleton let pass is not refused here.
constexpr int kMaxRecursion = 1000;

// Calls visitor(varint, bytes) for each unknown field `number`. What protobuf's full and lite classes keep
// differs: a set of fields or their serialized bytes.
template <class Unknown, class Visitor>
void visit_unknown(const Unknown& unknown, uint32_t number, Visitor&& visitor) {
  if constexpr (std::is_same_v<Unknown, std::string>) {
    WireReader reader(std::as_bytes(std::span(unknown)));
    while (!reader.at_end()) {
      Result<WireField> field = reader.next();
      if (!field.ok()) return;
      if (field->number != number) continue;
      size_t begin = static_cast<size_t>(field->payload), size = static_cast<size_t>(field->payload_size());
      visitor(field->varint, std::string_view(unknown).substr(begin, size));
    }
  } else {
    for (int i = 0; i < unknown.field_count(); ++i) {
      const auto& field = unknown.field(i);
      if (field.number() != static_cast<int>(number)) continue;
      using Field = std::remove_cvref_t<decltype(field)>;
      if (field.type() == Field::TYPE_VARINT) visitor(field.varint(), std::string_view());
      if (field.type() == Field::TYPE_LENGTH_DELIMITED) {
        visitor(uint64_t{0}, std::string_view(field.length_delimited()));
      }
    }
  }
}

template <class Proto>
std::string unknown_text(const Proto& proto, uint32_t number) {
  std::string result;
  visit_unknown(proto.unknown_fields(), number, [&](uint64_t, std::string_view bytes) { result = bytes; });
  return result;
}

template <class Child, class Proto>
std::vector<Child> unknown_messages(const Proto& proto, uint32_t number) {
  std::vector<Child> result;
  visit_unknown(proto.unknown_fields(), number, [&](uint64_t, std::string_view bytes) {
    google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                  static_cast<int>(bytes.size()));
    stream.SetRecursionLimit(kMaxRecursion);
    Child child;
    if (child.ParseFromCodedStream(&stream)) result.push_back(std::move(child));
  });
  return result;
}

// The newer classes have these members, the older ones unknown fields.
template <class Proto>
std::string overload_field(const Proto& proto, uint32_t number) {
  if constexpr (requires { proto.overload(); })
    return proto.overload();
  else
    return unknown_text(proto, number);
}

template <class Proto>
std::vector<onnx::AttributeProto> attribute_protos(const Proto& proto) {
  if constexpr (requires { proto.attribute_proto(); }) {
    return {proto.attribute_proto().begin(), proto.attribute_proto().end()};
  } else {
    return unknown_messages<onnx::AttributeProto>(proto, 11);
  }
}

template <class Proto>
std::vector<onnx::ValueInfoProto> value_info_protos(const Proto& proto) {
  if constexpr (requires { proto.value_info(); })
    return {proto.value_info().begin(), proto.value_info().end()};
  else
    return unknown_messages<onnx::ValueInfoProto>(proto, 12);
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<ModelFile> parse(ModelFile model, const Limits& limits) {
  std::string prefix = model.path + ": not an ONNX model: ";
  if (model.source.file.text(0, std::min<int64_t>(model.source.file.size, 19)) == "version https://git") {
    return invalid_model(prefix + "it is a Git LFS pointer, fetch the file itself with `git lfs pull`");
  }
  Result<std::string> skeleton = make_skeleton(model.source.file.span(), Message::kModel, limits);
  if (!skeleton.ok()) return with_prefix(prefix, skeleton.error());
  const auto* bytes = reinterpret_cast<const uint8_t*>(skeleton->data());
  google::protobuf::io::CodedInputStream stream(bytes, static_cast<int>(skeleton->size()));
  stream.SetTotalBytesLimit(INT32_MAX);
  stream.SetRecursionLimit(kMaxRecursion);
  if (!model.proto.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return invalid_model(prefix + "protobuf cannot read it");
  }
  if (!model.proto.has_graph()) return invalid_model(prefix + "there is no graph in it");
  return model;
}

}  // namespace

Result<ModelFile> load_model(const std::string& path, const Limits& limits) {
  ModelFile model;
  model.path = path;
  FileIdentity identity;
  model.source.file = TRY(map_file(path, limits, false, &identity));
  model.source.external = std::make_shared<ExternalData>(folder_of(path));
  model.identity = identity;
  return parse(std::move(model), limits);
}

Result<ModelFile> load_model_bytes(std::string bytes, const std::string& name, const Limits& limits,
                                   const std::string& folder) {
  if (bytes.empty()) return invalid_input(name + ": the file is empty");
  if (static_cast<int64_t>(bytes.size()) > limits.file_bytes) {
    return invalid_input(
        fmt::format("{}: has {} bytes, the limit file-bytes is {}", name, bytes.size(), limits.file_bytes));
  }
  ModelFile model;
  model.path = name;
  model.source.file = bytes_in_memory(std::move(bytes));
  model.source.external = std::make_shared<ExternalData>(folder);
  return parse(std::move(model), limits);
}

std::optional<int64_t> origin_of(const onnx::TensorProto& tensor) {
  std::optional<int64_t> origin;
  visit_unknown(tensor.unknown_fields(), kOriginField,
                [&](uint64_t value, std::string_view) { origin = static_cast<int64_t>(value); });
  return origin;
}

std::optional<RawLocation> raw_location_of(const onnx::TensorProto& tensor) {
  std::optional<RawLocation> location;
  visit_unknown(tensor.unknown_fields(), kRawLocationField, [&](uint64_t, std::string_view bytes) {
    if (bytes.size() != 16) return;
    location.emplace();
    std::memcpy(&location->offset, bytes.data(), 8);
    std::memcpy(&location->length, bytes.data() + 8, 8);
  });
  return location;
}

std::string overload_of(const onnx::NodeProto& node) { return overload_field(node, 8); }
std::string overload_of(const onnx::FunctionProto& function) { return overload_field(function, 13); }
std::vector<onnx::AttributeProto> default_attributes(const onnx::FunctionProto& function) {
  return attribute_protos(function);
}
std::vector<onnx::ValueInfoProto> value_infos(const onnx::FunctionProto& function) {
  return value_info_protos(function);
}

bool is_mapped(const ModelFile& file, const void* data) {
  return file.source.file.maps(data) || (file.source.external && file.source.external->maps(data));
}

std::vector<std::string> data_files(const ModelFile& file) {
  return file.source.external ? file.source.external->paths() : std::vector<std::string>();
}

void release_pages(const ModelFile& file) {
  file.source.file.release(0, file.source.file.size);
  if (file.source.external) file.source.external->release();
}

}  // namespace gannet
