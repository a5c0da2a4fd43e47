// Messages of ONNX built field by field for tests, so that malformed ones can be built as well.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/wire.h"

namespace gannet {

class WireMessage {
 public:
  WireMessage& number(uint32_t field, int64_t value) {
    append_varint_field(bytes_, field, static_cast<uint64_t>(value));
    return *this;
  }
  WireMessage& text(uint32_t field, std::string_view value) {
    append_bytes_field(bytes_, field, value);
    return *this;
  }
  WireMessage& child(uint32_t field, const WireMessage& message) { return text(field, message.bytes_); }
  WireMessage& packed(uint32_t field, std::initializer_list<int64_t> values) {
    std::string payload;
    for (int64_t value : values) append_varint(payload, static_cast<uint64_t>(value));
    return text(field, payload);
  }
  template <class T>
  WireMessage& fixed(uint32_t field, std::initializer_list<T> values) {
    return text(field, {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)});
  }
  WireMessage& entry(uint32_t field, const std::string& key, const std::string& value) {
    return child(field, WireMessage().text(1, key).text(2, value));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// The first fields of a TensorProto.
inline WireMessage tensor_message(const std::string& name, int64_t data_type,
                                  std::initializer_list<int64_t> dims) {
  WireMessage message;
  for (int64_t dim : dims) message.number(1, dim);
  return message.number(2, data_type).text(8, name);
}

// A ModelProto of opset 17 with these initializers.
inline WireMessage model_message(const std::vector<WireMessage>& initializers) {
  WireMessage graph;
  graph.child(1, WireMessage().text(1, "x").text(2, "y").text(3, "node").text(4, "Identity"));
  graph.text(2, "graph");
  for (const WireMessage& tensor : initializers) graph.child(5, tensor);
  WireMessage type = WireMessage().child(1, WireMessage().number(1, 1));
  graph.child(11, WireMessage().text(1, "x").child(2, type))
      .child(12, WireMessage().text(1, "y").child(2, type));
  return WireMessage().number(1, 8).child(7, graph).child(8, WireMessage().text(1, "").number(2, 17));
}

}  // namespace gannet
