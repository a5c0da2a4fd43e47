#include <algorithm>
#include <cstring>

#include "runtime/data/tokenizer/bytes_to_characters.h"
#include "runtime/data/tokenizer/normalizer.h"

namespace gannet::tokenization {
namespace {

bool all_ascii(std::string_view text) { return std::all_of(text.begin(), text.end(), is_ascii); }

class NormalFormNormalizer : public Normalizer {
 public:
  explicit NormalFormNormalizer(NormalForm form) : form_(form) {}

  Status normalize(std::string_view text, std::string& out, bool&) const override {
    if (all_ascii(text)) {
      out = text;
    } else {
      append_normal_form(out, text, form_);
    }
    return {};
  }

 private:
  NormalForm form_;
};

// What becomes of one character alone: appends it to `out`.
using CharacterMap = void (*)(std::string& out, char32_t c);

class CharacterNormalizer : public Normalizer {
 public:
  explicit CharacterNormalizer(CharacterMap map) : map_(map) {}

  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    for (size_t i = 0; i < text.size();) {
      bool first = i == 0;
      map_(out, next_character(text, i));
      if (first && out.empty()) at_beginning = false;
    }
    return {};
  }

 private:
  CharacterMap map_;
};

void map_lower_case(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
  } else {
    append_lower_case(out, c);
  }
}

void map_strip_accents(std::string& out, char32_t c) {
  if (!is_mark(c)) append_utf8(out, c);
}

void map_nmt(std::string& out, char32_t c) {
  bool dropped =
      (c >= 1 && c <= 8) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
  if (dropped) return;
  bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
               c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
  append_utf8(out, space ? U' ' : c);
}

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    size_t begin = 0, end = 0;
    bool leading = left_;
    for (size_t i = 0; i < text.size();) {
      bool space = is_white_space(next_character(text, i));
      leading = leading && space;
      if (leading) begin = i;
      if (!space || !right_) end = i;
    }
    if (begin > 0) at_beginning = false;
    out = text.substr(begin, std::max(begin, end) - begin);
    return {};
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  Status normalize(std::string_view text, std::string& out, bool&) const override {
    if (!text.empty()) out = prefix_;
    out += text;
    return {};
  }

 private:
  std::string prefix_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  Status normalize(std::string_view text, std::string& out, bool&) const override {
    append_byte_characters(out, text);
    return {};
  }
};

class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    std::vector<Match> matches;
    TRY(pattern_->find_all(text, matches));
    size_t done = 0;
    for (const Match& match : matches) {
      out += text.substr(done, match.begin - done);
      out += content_;
      if (match.begin == 0 && match.end > 0 && content_.empty()) at_beginning = false;
      done = match.end;
    }
    out += text.substr(done);
    return {};
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  std::string content_;
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}

  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    std::string before;
    for (size_t i = 0; i < steps_.size(); ++i) {
      out.swap(before);
      out.clear();
      TRY(steps_[i]->normalize(i == 0 ? text : before, out, at_beginning));
    }
    if (steps_.empty()) out = text;
    return {};
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

}  // namespace

std::unique_ptr<Normalizer> make_normal_form(NormalForm form) {
  return std::make_unique<NormalFormNormalizer>(form);
}
std::unique_ptr<Normalizer> make_lower_case() {
  return std::make_unique<CharacterNormalizer>(map_lower_case);
}
std::unique_ptr<Normalizer> make_strip_accents() {
  return std::make_unique<CharacterNormalizer>(map_strip_accents);
}
std::unique_ptr<Normalizer> make_nmt() { return std::make_unique<CharacterNormalizer>(map_nmt); }
std::unique_ptr<Normalizer> make_strip(bool left, bool right) { return std::make_unique<Strip>(left, right); }
std::unique_ptr<Normalizer> make_prepend(std::string text) {
  return std::make_unique<Prepend>(std::move(text));
}
std::unique_ptr<Normalizer> make_byte_level_normalizer() { return std::make_unique<ByteLevelNormalizer>(); }

std::unique_ptr<Normalizer> make_replace(std::unique_ptr<Pattern> pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

std::unique_ptr<Normalizer> make_normalizer_sequence(std::vector<std::unique_ptr<Normalizer>> steps) {
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

}  // namespace gannet::tokenization
