// Texts with and without labels as the rows of weakly supervised batches.
#pragma once

#include <memory>
#include <string>

#include "runtime/data/augment/word_noise.h"
#include "runtime/training/weak_batches.h"
#include "tools/driver/text_rows.h"

namespace gannet {

struct TextViewOptions {
  uint64_t seed = 0;
  WordNoise weak, strong;  // labelled texts stay as they are
};

// The token that stands for a hidden word, as BERT's and RoBERTa's vocabularies call it; empty where there is
// none.
std::string mask_word(const Tokenizer& tokenizer);

// Rows are those of the tables, which are copied; the tokenizer and the inputs of `reading` outlive the
// views. All rows of a batch are padded to one length. An error names a text that cannot be tokenized, or
// masking without a mask token.
Result<std::unique_ptr<ViewSource>> make_text_views(const TextTable& labelled, const TextTable& others,
                                                    const TextReading& reading,
                                                    const TextViewOptions& options);

}  // namespace gannet
