#include "runtime/data/tokenizer/pre_tokenizer.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

// A stretch of a text that a pattern matches, or one between matches.
struct Stretch {
  size_t begin = 0, end = 0;
  bool is_match = false;
};

// Matches and what stands between them, covering the text.
std::vector<Stretch> stretches_of(const std::vector<Match>& matches, size_t size, bool invert) {
  std::vector<Stretch> stretches;
  stretches.reserve(2 * matches.size() + 1);
  size_t done = 0;
  for (const Match& match : matches) {
    if (done != match.begin) stretches.push_back({done, match.begin, invert});
    stretches.push_back({match.begin, match.end, !invert});
    done = match.end;
  }
  if (done != size) stretches.push_back({done, size, invert});
  return stretches;
}

// Joins stretches as Hugging Face's `split` does, whose rule for several matches in a row this is.
void join(std::vector<Stretch>& stretches, SplitBehavior behavior) {
  size_t count = 0;
  bool previous = false;
  if (behavior == SplitBehavior::kMergedWithNext) {
    std::vector<Stretch> joined;
    for (size_t i = stretches.size(); i-- > 0;) {
      bool merges = stretches[i].is_match && !previous && !joined.empty();
      previous = stretches[i].is_match;
      if (merges) {
        joined.back().begin = stretches[i].begin;
      } else {
        joined.push_back(stretches[i]);
      }
    }
    stretches.assign(joined.rbegin(), joined.rend());
    return;
  }
  for (const Stretch stretch : stretches) {
    bool merges =
        behavior == SplitBehavior::kContiguous ? stretch.is_match == previous : stretch.is_match && !previous;
    previous = stretch.is_match;
    if (merges && count > 0) {
      stretches[count - 1].end = stretch.end;
    } else {
      stretches[count++] = stretch;
    }
  }
  stretches.resize(count);
}

void put_words(const Piece& piece, const std::vector<Match>& matches, SplitBehavior behavior, bool invert,
               Pieces& words) {
  std::vector<Stretch> stretches = stretches_of(matches, piece.text.size(), invert);
  bool joins = behavior != SplitBehavior::kRemoved && behavior != SplitBehavior::kIsolated;
  if (joins) join(stretches, behavior);
  for (const Stretch& stretch : stretches) {
    if (behavior == SplitBehavior::kRemoved && stretch.is_match) continue;
    if (stretch.begin == stretch.end) continue;
    words.push_back({piece.text.substr(stretch.begin, stretch.end - stretch.begin), Piece::kText,
                     piece.at_beginning && stretch.begin == 0});
  }
}

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    std::vector<Match> matches;
    matches.reserve(piece.text.size() / 4 + 1);
    TRY(pattern_->find_all(piece.text, matches));
    put_words(piece, matches, behavior_, invert_, words);
    return {};
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class CharacterPattern : public Pattern {
 public:
  explicit CharacterPattern(CharacterTest test) : test_(test) {}

  Status find_all(std::string_view text, std::vector<Match>& matches) const override {
    for (size_t i = 0; i < text.size();) {
      size_t begin = i;
      if (test_(next_character(text, i))) matches.push_back({begin, i});
    }
    return {};
  }

 private:
  CharacterTest test_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_pattern_split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior,
                                                 bool invert) {
  return std::make_unique<PatternSplit>(std::move(pattern), behavior, invert);
}

std::unique_ptr<PreTokenizer> make_character_split(CharacterTest test, SplitBehavior behavior) {
  return make_pattern_split(std::make_unique<CharacterPattern>(test), behavior, false);
}

}  // namespace gannet::tokenization
