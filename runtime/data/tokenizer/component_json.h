// The parts of a tokenizer from their objects in tokenizer.json. What is not known is an error that names it.
#pragma once

#include <memory>
#include <string>

#include "runtime/data/tokenizer/json_fields.h"
#include "runtime/data/tokenizer/model.h"
#include "runtime/data/tokenizer/normalizer.h"
#include "runtime/data/tokenizer/pattern.h"
#include "runtime/data/tokenizer/post_processor.h"
#include "runtime/data/tokenizer/pre_tokenizer.h"

namespace gannet::tokenization {

// Sequences inside each other.
constexpr int kDeepestSequence = 16;

Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonFields& fields, int depth = 0);
// The field "pattern".
Result<std::unique_ptr<Pattern>> read_pattern(const JsonFields& fields);
// `encodes_bytes` becomes true where a ByteLevel that comes last leaves it to the caller to make bytes
// characters, which the caller then does only for words that its cache does not know.
Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonFields& fields, bool& encodes_bytes,
                                                         bool last = true, int depth = 0);
Result<PostProcessor> read_post_processor(const JsonFields& fields, int depth = 0);

// "WordPiece", "BPE", "Unigram" or "WordLevel"; found by its fields where it is not said.
Result<std::string> model_type(const JsonFields& fields);
Result<Vocabulary> read_vocabulary(const JsonFields& fields, const std::string& type);
// The vocabulary must outlive the model.
Result<std::unique_ptr<Model>> read_model(const JsonFields& fields, const std::string& type,
                                          const Vocabulary& vocabulary);

}  // namespace gannet::tokenization
