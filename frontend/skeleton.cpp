#include "frontend/skeleton.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

namespace gannet {
namespace {

// Offsets and raw tensor data are little endian in files, and views of them are used as they are.
static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kRuleFields = 32;
using RuleTable = std::array<std::array<FieldRule, kRuleFields>, kMessageCount>;

using M = Message;
using K = FieldRule::Kind;

struct Child {
  M parent;
  uint32_t field;
  M child;
  bool single;
};

constexpr Child kChildren[] = {
    {M::kModel, 7, M::kGraph, true},
    {M::kModel, 8, M::kOpset, false},
    {M::kModel, 14, M::kEntry, false},
    {M::kModel, 20, M::kTrainingInfo, false},
    {M::kModel, 25, M::kFunction, false},
    {M::kGraph, 1, M::kNode, false},
    {M::kGraph, 5, M::kTensor, false},
    {M::kGraph, 11, M::kValueInfo, false},
    {M::kGraph, 12, M::kValueInfo, false},
    {M::kGraph, 13, M::kValueInfo, false},
    {M::kGraph, 14, M::kAnnotation, false},
    {M::kGraph, 15, M::kSparseTensor, false},
    {M::kGraph, 16, M::kEntry, false},
    {M::kNode, 5, M::kAttribute, false},
    {M::kNode, 9, M::kEntry, false},
    {M::kAttribute, 5, M::kTensor, true},
    {M::kAttribute, 6, M::kGraph, true},
    {M::kAttribute, 10, M::kTensor, false},
    {M::kAttribute, 11, M::kGraph, false},
    {M::kAttribute, 14, M::kType, true},
    {M::kAttribute, 15, M::kType, false},
    {M::kAttribute, 22, M::kSparseTensor, true},
    {M::kAttribute, 23, M::kSparseTensor, false},
    {M::kTensor, 3, M::kSegment, true},
    {M::kTensor, 13, M::kEntry, false},
    {M::kTensor, 16, M::kEntry, false},
    {M::kSparseTensor, 1, M::kTensor, true},
    {M::kSparseTensor, 2, M::kTensor, true},
    {M::kFunction, 7, M::kNode, false},
    {M::kFunction, 9, M::kOpset, false},
    {M::kFunction, 11, M::kAttribute, false},
    {M::kFunction, 12, M::kValueInfo, false},
    {M::kFunction, 14, M::kEntry, false},
    {M::kTrainingInfo, 1, M::kGraph, true},
    {M::kTrainingInfo, 2, M::kGraph, true},
    {M::kTrainingInfo, 3, M::kEntry, false},
    {M::kTrainingInfo, 4, M::kEntry, false},
    {M::kValueInfo, 2, M::kType, true},
    {M::kValueInfo, 4, M::kEntry, false},
    {M::kType, 1, M::kTypeOfTensor, true},
    {M::kType, 4, M::kTypeOfElement, true},
    {M::kType, 5, M::kTypeOfMap, true},
    {M::kType, 8, M::kTypeOfTensor, true},
    {M::kType, 9, M::kTypeOfElement, true},
    {M::kTypeOfTensor, 2, M::kShape, true},
    {M::kTypeOfElement, 1, M::kType, true},
    {M::kTypeOfMap, 2, M::kType, true},
    {M::kShape, 1, M::kDimension, false},
    {M::kAnnotation, 2, M::kEntry, false},
    {M::kSequence, 3, M::kTensor, false},
    {M::kSequence, 4, M::kSparseTensor, false},
    {M::kSequence, 5, M::kSequence, false},
    {M::kSequence, 6, M::kMap, false},
    {M::kSequence, 7, M::kOptional, false},
    {M::kOptional, 3, M::kTensor, true},
    {M::kOptional, 4, M::kSparseTensor, true},
    {M::kOptional, 5, M::kSequence, true},
    {M::kOptional, 6, M::kMap, true},
    {M::kOptional, 7, M::kOptional, true},
    {M::kMap, 5, M::kSequence, true},
};

struct Leaf {
  M parent;
  uint32_t field;
  K kind;
};

constexpr Leaf kLeaves[] = {
    {M::kAttribute, 7, K::kPackedFixed32}, {M::kAttribute, 8, K::kPackedVarint},
    {M::kTensor, 1, K::kPackedVarint},     {M::kTensor, 4, K::kPackedFixed32},
    {M::kTensor, 5, K::kPackedVarint},     {M::kTensor, 7, K::kPackedVarint},
    {M::kTensor, 10, K::kPackedFixed64},   {M::kTensor, 11, K::kPackedVarint},
    {M::kTensor, 9, K::kRawData},          {M::kSparseTensor, 3, K::kPackedVarint},
    {M::kMap, 3, K::kPackedVarint},
};

constexpr RuleTable make_rules() {
  RuleTable table{};
  for (const Child& row : kChildren) {
    table[static_cast<size_t>(row.parent)][row.field] = {K::kMessage, row.child, row.single};
  }
  for (const Leaf& row : kLeaves) {
    table[static_cast<size_t>(row.parent)][row.field] = {row.kind, M::kModel, row.kind == K::kRawData};
  }
  return table;
}

constexpr RuleTable kRules = make_rules();
constexpr size_t kLengthBytes = 5;  // reserved for the length of each message, which is known only after it

class SkeletonWriter {
 public:
  SkeletonWriter(std::span<const std::byte> file, const Limits& limits) : file_(file), limits_(limits) {}

  Status message(Message kind, int64_t begin, int64_t end, int64_t depth, int64_t graphs);
  std::string take() { return std::move(out_); }

 private:
  struct Raw {
    uint64_t offset = 0, length = 0;
  };
  Status count(Message kind, int64_t begin, int64_t depth, int64_t graphs);
  Status child(const WireField& field, Message kind, int64_t depth, int64_t graphs);
  Status copy(int64_t begin, int64_t end);
  void append_tensor_fields(int64_t origin, const std::optional<Raw>& raw);

  std::span<const std::byte> file_;
  const Limits& limits_;
  std::string out_;
  int64_t nodes_ = 0, messages_ = 0;
};

Status SkeletonWriter::copy(int64_t begin, int64_t end) {
  if (static_cast<int64_t>(out_.size()) + (end - begin) + int64_t{64} > INT32_MAX) {
    return unsupported(fmt::format("more than {} bytes besides raw tensor data", INT32_MAX));
  }
  out_.append(reinterpret_cast<const char*>(file_.data()) + begin, static_cast<size_t>(end - begin));
  return {};
}

// Messages of a few bytes in the file take hundreds in memory, so that their number is limited and not only
// the bytes.
Status SkeletonWriter::count(Message kind, int64_t begin, int64_t depth, int64_t graphs) {
  if (kind == Message::kNode && ++nodes_ > limits_.nodes) {
    return invalid_model(fmt::format("more than {} nodes (limit nodes)", limits_.nodes));
  }
  if (++messages_ / 64 > limits_.nodes) {
    return invalid_model(
        fmt::format("more than {} messages (64 for each node of limit nodes)", messages_ - 1));
  }
  if (graphs > limits_.nesting) {
    return invalid_model(fmt::format("the subgraph at byte {} is nested deeper than {} (limit nesting)",
                                     begin, limits_.nesting));
  }
  if (depth > message_depth_limit(limits_)) {
    return invalid_model(
        fmt::format("the message at byte {} is nested deeper than {}", begin, message_depth_limit(limits_)));
  }
  return {};
}

void SkeletonWriter::append_tensor_fields(int64_t origin, const std::optional<Raw>& raw) {
  append_varint_field(out_, kOriginField, static_cast<uint64_t>(origin));
  if (!raw) return;
  char location[16];
  std::memcpy(location, &raw->offset, 8);
  std::memcpy(location + 8, &raw->length, 8);
  append_bytes_field(out_, kRawLocationField, {location, sizeof(location)});
}

Status SkeletonWriter::child(const WireField& field, Message kind, int64_t depth, int64_t graphs) {
  TRY(copy(field.begin, field.length_begin));
  size_t length_at = out_.size();
  out_.append(kLengthBytes, '\0');
  TRY(message(kind, field.payload, field.end, depth, graphs));
  size_t length = out_.size() - length_at - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bool last = i + 1 == kLengthBytes;
    out_[length_at + i] = static_cast<char>(((length >> (7 * i)) & 0x7f) | (last ? 0 : 0x80));
  }
  return {};
}

Status SkeletonWriter::message(Message kind, int64_t begin, int64_t end, int64_t depth, int64_t graphs) {
  TRY(count(kind, begin, depth, graphs));
  WireReader reader(file_, begin, end);
  std::optional<Raw> raw;
  uint32_t seen = 0;
  while (!reader.at_end()) {
    WireField field = TRY(reader.next());
    FieldRule rule = field.type == WireType::kBytes ? field_rule(kind, field.number) : FieldRule{};
    if (rule.single) {
      if ((seen >> field.number & 1) != 0) {
        return invalid_model(
            fmt::format("field {} at byte {} is there twice in one message", field.number, field.begin));
      }
      seen |= uint32_t{1} << field.number;
    }
    switch (rule.kind) {
      case FieldRule::Kind::kMessage: {
        bool subgraph = kind == Message::kAttribute && rule.message == Message::kGraph;
        TRY(child(field, rule.message, depth + 1, graphs + (subgraph ? 1 : 0)));
        continue;
      }
      case FieldRule::Kind::kRawData:
        raw = Raw{static_cast<uint64_t>(field.payload), static_cast<uint64_t>(field.payload_size())};
        continue;
      case FieldRule::Kind::kPackedVarint:
        TRY(check_packed_varints(file_, field));
        break;
      case FieldRule::Kind::kPackedFixed32:
        TRY(check_packed_fixed(field, 4));
        break;
      case FieldRule::Kind::kPackedFixed64:
        TRY(check_packed_fixed(field, 8));
        break;
      case FieldRule::Kind::kPlain:
        break;
    }
    if (kind == Message::kTensor && (field.number == kOriginField || field.number == kRawLocationField))
      continue;
    TRY(copy(field.begin, field.end));
  }
  if (kind == Message::kTensor) append_tensor_fields(begin, raw);
  return {};
}

}  // namespace

FieldRule field_rule(Message parent, uint32_t number) {
  return number < kRuleFields ? kRules[static_cast<size_t>(parent)][number] : FieldRule{};
}

// A subgraph is three levels (graph, node, attribute); what is inside of a graph needs fewer than 32. Beyond
// 256 subgraphs the call stack of the parser would be the limit.
int64_t message_depth_limit(const Limits& limits) {
  return 3 * std::clamp<int64_t>(limits.nesting, 0, 256) + 32;
}

Result<std::string> make_skeleton(std::span<const std::byte> file, Message root, const Limits& limits) {
  SkeletonWriter writer(file, limits);
  TRY(writer.message(root, 0, static_cast<int64_t>(file.size()), 0, 0));
  return writer.take();
}

}  // namespace gannet
