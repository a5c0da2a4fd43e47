#include <array>

#include "runtime/data/tokenizer/normalizer.h"

namespace gannet::tokenization {
namespace {

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options)
      : options_(options), strip_accents_(options.strip_accents.value_or(options.lower_case)) {
    for (size_t i = 0; i < ascii_.size(); ++i) {
      char32_t c = static_cast<char32_t>(i);
      if (options.clean_text && (c == '\t' || c == '\n' || c == '\r')) c = ' ';
      if (options.clean_text && is_control(c)) c = kDropped;
      if (options.lower_case && c >= 'A' && c <= 'Z') c += 'a' - 'A';
      ascii_[i] = static_cast<uint8_t>(c);
    }
  }

  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    out.resize(text.size());
    char* end = out.data();
    size_t i = 0;
    for (; i < text.size() && is_ascii(text[i]); ++i) end = put_ascii(end, text[i]);
    out.resize(static_cast<size_t>(end - out.data()));
    if (i > 0 && ascii_[static_cast<uint8_t>(text[0])] == kDropped) at_beginning = false;
    while (i < text.size()) {
      size_t start = i;
      if (is_ascii(text[i])) {
        for (; i < text.size() && is_ascii(text[i]); ++i) {
          if (uint8_t c = ascii_[static_cast<uint8_t>(text[i])]; c != kDropped)
            out.push_back(static_cast<char>(c));
        }
      } else {
        while (i < text.size() && !is_ascii(text[i])) ++i;
        normalize_run(text.substr(start, i - start), out);
        if (start == 0 && cleaned(first_character(text)) == kNothing) at_beginning = false;
      }
    }
    return {};
  }

 private:
  static constexpr uint8_t kDropped = 0xff;
  static constexpr char32_t kNothing = 0xffffffff;

  char* put_ascii(char* end, char byte) const {
    uint8_t c = ascii_[static_cast<uint8_t>(byte)];
    *end = static_cast<char>(c);
    return end + (c != kDropped);
  }

  char32_t cleaned(char32_t c) const {
    if (!options_.clean_text) return c;
    if (c == 0xfffd || is_control(c)) return kNothing;
    return is_white_space(c) ? U' ' : c;
  }

  // Characters other than ASCII. Canonical decomposition never looks beyond them: ASCII has no combining
  // marks.
  void normalize_run(std::string_view run, std::string& out) const {
    std::string clean;
    for (size_t i = 0; i < run.size();) {
      char32_t c = cleaned(next_character(run, i));
      if (c == kNothing) continue;
      bool alone = options_.split_cjk && is_cjk_ideograph(c);
      if (alone) clean.push_back(' ');
      append_utf8(clean, c);
      if (alone) clean.push_back(' ');
    }
    if (!strip_accents_ && !options_.lower_case) {
      out += clean;
      return;
    }
    std::string decomposed;
    if (strip_accents_) append_normal_form(decomposed, clean, NormalForm::kNfd);
    const std::string& source = strip_accents_ ? decomposed : clean;
    for (size_t i = 0; i < source.size();) {
      char32_t c = next_character(source, i);
      if (strip_accents_ && is_nonspacing_mark(c)) continue;
      if (options_.lower_case) {
        append_lower_case(out, c);
      } else {
        append_utf8(out, c);
      }
    }
  }

  BertNormalizerOptions options_;
  bool strip_accents_;
  std::array<uint8_t, 128> ascii_;
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options) {
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace gannet::tokenization
