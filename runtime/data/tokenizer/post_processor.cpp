#include "runtime/data/tokenizer/post_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace gannet::tokenization {
namespace {

using Kind = TemplatePart::Kind;

void cut(std::vector<int32_t>& ids, int64_t length, TextSide side) {
  if (static_cast<int64_t>(ids.size()) <= length) return;
  if (side == TextSide::kLeft) ids.erase(ids.begin(), ids.end() - length);
  ids.resize(static_cast<size_t>(length));
}

// The lengths of both texts when the longer one is cut first.
std::pair<int64_t, int64_t> longest_first(int64_t first, int64_t second, int64_t room) {
  int64_t shorter = std::min({first, second, room / 2});
  int64_t longer = room - shorter;
  return first > second ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

}  // namespace

PostProcessor bert_post_processor(int32_t first, int32_t separator) {
  TemplatePart cls{Kind::kSpecial, 0, {first}}, sep{Kind::kSpecial, 0, {separator}},
      last{Kind::kSpecial, 1, {separator}};
  PostProcessor processor;
  processor.single = {cls, {}, sep};
  processor.pair = {cls, {}, sep, {Kind::kSecond, 1, {}}, last};
  return processor;
}

PostProcessor roberta_post_processor(int32_t first, int32_t separator) {
  TemplatePart cls{Kind::kSpecial, 0, {first}}, sep{Kind::kSpecial, 0, {separator}};
  PostProcessor processor;
  processor.single = {cls, {}, sep};
  processor.pair = {cls, {}, sep, sep, {Kind::kSecond, 0, {}}, sep};
  return processor;
}

int64_t special_count(std::span<const TemplatePart> parts) {
  int64_t count = 0;
  for (const TemplatePart& part : parts) count += static_cast<int64_t>(part.ids.size());
  return count;
}

Status truncate(std::vector<int32_t>& first, std::vector<int32_t>* second, const EncodeOptions& options,
                int64_t special) {
  if (options.max_length <= 0) return {};
  int64_t added = options.add_special ? special : 0;
  int64_t room = options.max_length - added;
  if (room < 0) {
    return invalid_input(
        fmt::format("the longest length is {}, special tokens alone are {}", options.max_length, added));
  }
  int64_t a = static_cast<int64_t>(first.size()), b = second ? static_cast<int64_t>(second->size()) : 0;
  if (a + b <= room) return {};
  switch (options.strategy) {
    case TruncationStrategy::kLongestFirst:
      std::tie(a, b) = second ? longest_first(a, b, room) : std::pair(room, int64_t{0});
      break;
    case TruncationStrategy::kOnlyFirst:
      a = room - b;
      break;
    case TruncationStrategy::kOnlySecond:
      if (!second) return invalid_input("only the second text may be cut, but there is only one");
      b = room - a;
      break;
  }
  if (a < 0 || b < 0) {
    return invalid_input(fmt::format(
        "the text that may not be cut has {} tokens, the longest length is {} with {} special tokens",
        a < 0 ? b : a, options.max_length, added));
  }
  cut(first, a, options.truncated_side);
  if (second) cut(*second, b, options.truncated_side);
  return {};
}

Encoding assemble(std::span<const TemplatePart> parts, std::span<const int32_t> first,
                  std::span<const int32_t> second, bool add_special) {
  Encoding encoding;
  size_t size = 0;
  for (const TemplatePart& part : parts) {
    if (part.kind == Kind::kSpecial) {
      size += add_special ? part.ids.size() : 0;
    } else {
      size += part.kind == Kind::kFirst ? first.size() : second.size();
    }
  }
  encoding.ids.reserve(size);
  encoding.type_ids.reserve(size);
  encoding.special_mask.reserve(size);
  encoding.attention_mask.assign(size, 1);
  for (const TemplatePart& part : parts) {
    bool special = part.kind == Kind::kSpecial;
    if (special && !add_special) continue;
    std::span<const int32_t> ids = special ? std::span(part.ids) : part.kind == Kind::kFirst ? first : second;
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    encoding.type_ids.insert(encoding.type_ids.end(), ids.size(), part.type_id);
    encoding.special_mask.insert(encoding.special_mask.end(), ids.size(), special ? 1 : 0);
  }
  return encoding;
}

}  // namespace gannet::tokenization
