// Where special tokens go: the last step, after truncation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/data/tokenizer/tokenizer.h"

namespace gannet::tokenization {

struct TemplatePart {
  enum class Kind { kFirst, kSecond, kSpecial };

  Kind kind = Kind::kFirst;
  int32_t type_id = 0;
  std::vector<int32_t> ids;  // of a special part
};

struct PostProcessor {
  std::vector<TemplatePart> single = {{}};
  std::vector<TemplatePart> pair = {{}, {TemplatePart::Kind::kSecond, 1, {}}};
};

// [CLS] A [SEP], and [CLS] A [SEP] B [SEP] with type 1 for B and what follows it.
PostProcessor bert_post_processor(int32_t first, int32_t separator);
// <s> A </s>, and <s> A </s></s> B </s>, all of type 0.
PostProcessor roberta_post_processor(int32_t first, int32_t separator);

int64_t special_count(std::span<const TemplatePart> parts);
// Cuts `first`, and `second` where it is not null, to what `options` allow beside the special tokens. An
// error where the strategy leaves nothing to cut.
Status truncate(std::vector<int32_t>& first, std::vector<int32_t>* second, const EncodeOptions& options,
                int64_t special);
Encoding assemble(std::span<const TemplatePart> parts, std::span<const int32_t> first,
                  std::span<const int32_t> second, bool add_special);

}  // namespace gannet::tokenization
