// A table of texts as labelled rows: tokens in batches, and the target.
#pragma once

#include <memory>

#include "tools/driver/text_tokens.h"
#include "tools/driver/tune_task.h"

namespace gannet {

// How the texts of a table become batches.
struct TextReading {
  const Tokenizer& tokenizer;
  const TextInputs& inputs;
  TokenLayout layout;
  Padding padding = Padding::kBuckets;  // of a model of one length always to it
  int64_t longest = 512;
  int threads = 0;
};

// `target` has a row for each row of the table.
Result<std::unique_ptr<LabelledRows>> make_text_rows(const TextTable& table, Tensor target,
                                                     const TextReading& reading);

}  // namespace gannet
