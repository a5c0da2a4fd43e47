// A small synthetic task on texts: one-sentence opinions, "positive" or "negative", each equally often, and
// the WordPiece vocabulary of their words. Easy on purpose; the same seed gives the same bytes everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gannet {

struct TextSamples {
  std::string table;                    // TSV with the columns label and text
  std::vector<std::string> vocabulary;  // [PAD], [UNK], [CLS], [SEP], [MASK], then words and letters
};

TextSamples opinion_samples(int64_t samples, uint64_t seed);

}  // namespace gannet
