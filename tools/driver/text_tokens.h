// The tokenizer that flags name, and texts as the tokens of batches.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "runtime/data/tokenizer/tokenizer.h"
#include "runtime/training/text_batches.h"
#include "tools/driver/text_inputs.h"
#include "tools/driver/text_table.h"

namespace gannet {

// The tokenizer of --vocab (with --cased or --uncased) or --tokenizer.
Result<Tokenizer> read_tokenizer(const TextArguments& arguments);
// The same for a model: it must not have more tokens than the model's table has rows.
Result<Tokenizer> load_tokenizer(const TextArguments& arguments, const TextInputs& inputs);
// How many tokens of a text are used: --max-length where given, else what the model or the tokenizer says,
// else 512. An error where the model cannot take so many.
Result<int64_t> longest_text(const TextArguments& arguments, const TextInputs& inputs,
                             const Tokenizer& tokenizer);
// Where rows stand in a batch. A model of one length is always padded to it.
TokenLayout layout_of(const TextInputs& inputs, const Tokenizer& tokenizer, int64_t longest);

// Tokens of all texts (with `pairs`, of text i and pair i), cut to `longest`, on `threads` threads.
Result<std::shared_ptr<const TokenRows>> tokenize(const Tokenizer& tokenizer,
                                                  std::span<const std::string> texts,
                                                  std::span<const std::string> pairs,
                                                  const TextInputs& inputs, int64_t longest, int threads);

}  // namespace gannet
