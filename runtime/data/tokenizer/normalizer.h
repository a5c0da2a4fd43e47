// Normalizers: from the text, as it is given, to the text that is split into words.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"
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

}  // namespace gannet::tokenization
