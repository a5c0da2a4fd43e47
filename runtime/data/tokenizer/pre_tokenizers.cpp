#include <algorithm>
#include <array>

#include "runtime/data/tokenizer/bytes_to_characters.h"
#include "runtime/data/tokenizer/pre_tokenizer.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

// A part of `piece`.
Piece part(const Piece& piece, size_t begin, size_t end) {
  return {piece.text.substr(begin, end - begin), Piece::kText, piece.at_beginning && begin == 0};
}

// One character's property, with those of ASCII in a table.
class CharacterKinds {
 public:
  using Kind = uint8_t (*)(char32_t);
  explicit CharacterKinds(Kind kind) : kind_(kind) {
    for (size_t i = 0; i < ascii_.size(); ++i) ascii_[i] = kind(static_cast<char32_t>(i));
  }
  // Of the character at `position`, which moves behind it.
  uint8_t next(std::string_view text, size_t& position) const {
    if (is_ascii(text[position])) return ascii_[static_cast<uint8_t>(text[position++])];
    return kind_(next_character(text, position));
  }

 private:
  Kind kind_;
  std::array<uint8_t, 128> ascii_;
};

enum : uint8_t { kOther, kSpace, kAlone };

uint8_t bert_kind(char32_t c) {
  if (is_white_space(c)) return kSpace;
  return is_bert_punctuation(c) ? kAlone : kOther;
}

class BertPreTokenizer : public PreTokenizer {
 public:
  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    std::string_view text = piece.text;
    size_t start = 0;
    for (size_t i = 0; i < text.size();) {
      size_t next = i;
      uint8_t kind = kinds_.next(text, next);
      if (kind != kOther) {
        if (start < i) words.push_back(part(piece, start, i));
        if (kind == kAlone) words.push_back(part(piece, i, next));
        start = next;
      }
      i = next;
    }
    if (start < text.size()) words.push_back(part(piece, start, text.size()));
    return {};
  }

 private:
  CharacterKinds kinds_{bert_kind};
};

enum : uint8_t { kWord = kAlone + 1 };

uint8_t whitespace_kind(char32_t c) {
  if (is_word_character(c)) return kWord;
  return is_white_space(c) ? kSpace : kOther;
}

class WhitespacePreTokenizer : public PreTokenizer {
 public:
  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    std::string_view text = piece.text;
    size_t start = 0;
    uint8_t before = kSpace;
    for (size_t i = 0; i < text.size();) {
      size_t next = i;
      uint8_t kind = kinds_.next(text, next);
      if (kind != before) {
        if (before != kSpace) words.push_back(part(piece, start, i));
        start = i;
        before = kind;
      }
      i = next;
    }
    if (before != kSpace) words.push_back(part(piece, start, text.size()));
    return {};
  }

 private:
  CharacterKinds kinds_{whitespace_kind};
};

class ScriptSplit : public PreTokenizer {
 public:
  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    std::string_view text = piece.text;
    size_t start = std::string_view::npos;  // spaces before the first script are dropped
    int last = kAnyScript;
    for (size_t i = 0; i < text.size();) {
      size_t next = i;
      int script = script_of(next_character(text, next));
      if (script != kAnyScript && script != last) {
        if (start != std::string_view::npos) words.push_back(part(piece, start, i));
        start = i;
        last = script;
      }
      i = next;
    }
    if (start != std::string_view::npos) words.push_back(part(piece, start, text.size()));
    return {};
  }
};

class FixedLengthSplit : public PreTokenizer {
 public:
  explicit FixedLengthSplit(int64_t length) : length_(length) {}

  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    for (size_t i = 0; i < piece.text.size();) {
      size_t start = i;
      for (int64_t k = 0; k < length_ && i < piece.text.size(); ++k) i += utf8_length(piece.text[i]);
      words.push_back(part(piece, start, i));
    }
    return {};
  }

 private:
  int64_t length_;
};

class ByteLevel : public PreTokenizer {
 public:
  explicit ByteLevel(const ByteLevelOptions& options) : options_(options) {}

  Status split(const Piece& piece, Pieces& words, TextArena& arena) const override {
    Piece spaced = piece;
    if (options_.add_prefix_space && !piece.text.starts_with(' ')) {
      std::string& text = arena.fresh();
      text.push_back(' ');
      text += piece.text;
      spaced.text = text;
    }
    size_t before = words.size();
    if (options_.use_regex) {
      std::vector<Match> matches;
      matches.reserve(spaced.text.size() / 4 + 1);
      TRY(pattern_->find_all(spaced.text, matches));
      for (const Match& match : matches) words.push_back(part(spaced, match.begin, match.end));
    } else {
      words.push_back(spaced);
    }
    if (!options_.encode) return {};
    for (size_t i = before; i < words.size(); ++i) {
      std::string& text = arena.fresh();
      append_byte_characters(text, words[i].text);
      words[i].text = text;
    }
    return {};
  }

 private:
  ByteLevelOptions options_;
  std::unique_ptr<Pattern> pattern_ = make_known_pattern(kGpt2Expression);
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  Status split(const Piece& piece, Pieces& words, TextArena& arena) const override {
    std::string& text = arena.fresh();
    bool prepends =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.at_beginning);
    if (prepends && !piece.text.starts_with(' ') && !piece.text.starts_with(replacement_))
      text += replacement_;
    for (size_t i = 0; i < piece.text.size();) {
      size_t end = std::min(piece.text.find(' ', i), piece.text.size());
      text += piece.text.substr(i, end - i);
      if (end < piece.text.size()) text += replacement_;
      i = end + 1;
    }
    Piece whole{text, Piece::kText, piece.at_beginning};
    for (size_t start = 0; split_ && start < text.size();) {
      size_t end = std::min(text.find(replacement_, start + 1), text.size());
      words.push_back(part(whole, start, end));
      start = end;
    }
    if (!split_) words.push_back(whole);
    return {};
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps)
      : steps_(std::move(steps)) {}

  Status split(const Piece& piece, Pieces& words, TextArena& arena) const override {
    Pieces* pieces = &arena.fresh_pieces();
    Pieces* next = &arena.fresh_pieces();
    pieces->push_back(piece);
    for (const std::unique_ptr<PreTokenizer>& step : steps_) {
      next->clear();
      for (const Piece& each : *pieces) {
        if (!each.text.empty()) TRY(step->split(each, *next, arena));
      }
      std::swap(pieces, next);
    }
    words.insert(words.end(), pieces->begin(), pieces->end());
    return {};
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer() { return std::make_unique<BertPreTokenizer>(); }
std::unique_ptr<PreTokenizer> make_whitespace_pre_tokenizer() {
  return std::make_unique<WhitespacePreTokenizer>();
}
std::unique_ptr<PreTokenizer> make_script_split() { return std::make_unique<ScriptSplit>(); }
std::unique_ptr<PreTokenizer> make_fixed_length_split(int64_t length) {
  return std::make_unique<FixedLengthSplit>(length);
}
std::unique_ptr<PreTokenizer> make_byte_level(const ByteLevelOptions& options) {
  return std::make_unique<ByteLevel>(options);
}

std::unique_ptr<PreTokenizer> make_metaspace(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

std::unique_ptr<PreTokenizer> make_pre_tokenizer_sequence(std::vector<std::unique_ptr<PreTokenizer>> steps) {
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

}  // namespace gannet::tokenization
