// Normalizers: from the text, as it is given, to the text that is split into words.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/tokenizer/pattern.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Appends what `text` becomes to `out`, which is empty. `at_beginning` becomes false where the first
  // character of the text leaves nothing behind.
  virtual Status normalize(std::string_view text, std::string& out, bool& at_beginning) const = 0;
};

struct BertNormalizerOptions {
  bool clean_text = true;
  bool split_cjk = true;
  std::optional<bool> strip_accents;  // as lower_case where not given
  bool lower_case = true;
};

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options);
std::unique_ptr<Normalizer> make_normal_form(NormalForm form);
std::unique_ptr<Normalizer> make_lower_case();
std::unique_ptr<Normalizer> make_strip_accents();
// Drops white space at the ends.
std::unique_ptr<Normalizer> make_strip(bool left, bool right);
// Puts `text` before what is not empty.
std::unique_ptr<Normalizer> make_prepend(std::string text);
// The rules of SentencePiece's "nmt" for control characters and spaces.
std::unique_ptr<Normalizer> make_nmt();
// Bytes become characters of GPT-2's alphabet.
std::unique_ptr<Normalizer> make_byte_level_normalizer();
// Each match becomes `content`.
std::unique_ptr<Normalizer> make_replace(std::unique_ptr<Pattern> pattern, std::string content);
// SentencePiece's table of replacements: the length of a double array of 32-bit units, the array, and the
// texts that its values point to, each ended by a zero. An error where it is malformed.
Result<std::unique_ptr<Normalizer>> make_precompiled(std::string_view table);
std::unique_ptr<Normalizer> make_normalizer_sequence(std::vector<std::unique_ptr<Normalizer>> steps);

}  // namespace gannet::tokenization
