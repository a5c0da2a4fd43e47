// Which input of a model takes what of a tokenized text, and how many tokens it takes.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "runtime/training/text_batches.h"
#include "tools/deploy/model_inputs.h"
#include "tools/driver/text_arguments.h"

namespace gannet {

struct TextInputs {
  std::vector<TokenInput> inputs;            // in the model's order
  std::optional<int64_t> vocabulary;         // rows of the table that the token numbers select from
  std::optional<int64_t> types;              // the same for the kinds of tokens
  std::optional<int64_t> fixed_length = {};  // of a model that takes no other
  std::optional<int64_t> positions = {};     // most tokens that a model takes, where it says so
};

// Roles by the flags, then by what names say (mask; type, segment; position; ids, token, input), then by the
// size of the table that an input selects from. Errors: an input that is no matrix, that nothing is known to
// fill, or without an input of token numbers.
Result<TextInputs> find_text_inputs(std::span<const InputSpec> specs, const TextArguments& arguments);
// Columns of the tables that inputs select rows of: the width of an encoder.
std::set<int64_t> embedding_widths(const Graph& model);
// How many positions the table of position embeddings has, which stands beside the one of tokens: the same
// width, but selected from by no input.
std::optional<int64_t> position_count(const Graph& model);

}  // namespace gannet
