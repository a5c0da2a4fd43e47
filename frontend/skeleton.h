// The skeleton of an ONNX file: the same protobuf message without its raw tensor bytes. Each TensorProto of
// it carries two fields of Gannet's own, which arrive as unknown fields: its origin (the byte offset of its
// content in the file, which is its identity) and where its raw_data lies. A model of many gigabytes thus
// parses into a small message and its weights are never copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "frontend/wire.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

// The messages of ONNX that files are made of.
enum class Message : uint8_t {
  kModel,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kSparseTensor,
  kFunction,
  kTrainingInfo,
  kValueInfo,
  kType,
  kTypeOfTensor,
  kTypeOfElement,
  kTypeOfMap,
  kShape,
  kDimension,
  kAnnotation,
  kEntry,
  kOpset,
  kSegment,
  kSequence,
  kOptional,
  kMap,
};
inline constexpr int kMessageCount = 22;

// What the payload of a bytes field is.
struct FieldRule {
  enum class Kind : uint8_t { kPlain, kMessage, kPackedVarint, kPackedFixed32, kPackedFixed64, kRawData };
  Kind kind = Kind::kPlain;
  Message message = Message::kModel;  // of kMessage
  bool single = false;                // a second one in the same message is refused
};

// The rule for field `number` of `parent`; kPlain for what is not known.
FieldRule field_rule(Message parent, uint32_t number);

// Field numbers of Gannet's own in TensorProto; the same numbers in a file are left out.
inline constexpr uint32_t kOriginField = 536'870'910;
inline constexpr uint32_t kRawLocationField =
    536'870'911;  // 16 bytes: offset, then length, each 64 bits little endian

// Levels of messages inside each other that a file may have.
int64_t message_depth_limit(const Limits& limits);

// The skeleton of `file`, a message of kind `root`. Errors name the byte: malformed fields, more nodes than
// limits.nodes, subgraphs deeper than limits.nesting, more than 2 GiB besides raw data.
Result<std::string> make_skeleton(std::span<const std::byte> file, Message root, const Limits& limits);

}  // namespace gannet
