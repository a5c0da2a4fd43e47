// Random changes of texts, word by word, said by one line such as "delete=0.1,swap=0.1,mask=0.15": words are
// left out, change places with the next one, or become the tokenizer's mask (the noise of Wei and Zou, "EDA"
// (2019), and of masked language models). Words are what stands between white space.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/base/random.h"

namespace gannet {

struct WordNoise {
  double deleted = 0, swapped = 0, masked = 0;  // chances of a word, below 1

  // "" and "none" change nothing. An error names the part that is not understood, and what there is.
  static Result<WordNoise> parse(std::string_view text);

  bool empty() const { return deleted == 0 && swapped == 0 && masked == 0; }
  // Equal lines do equal things.
  std::string text() const;
  // The text with its words changed; at least one of them is left. `mask` is the word in place of masked
  // ones.
  std::string apply(std::string_view text, std::string_view mask, Random& random) const;
};

}  // namespace gannet
