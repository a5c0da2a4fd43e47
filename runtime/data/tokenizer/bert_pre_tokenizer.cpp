#include <array>

#include "runtime/data/tokenizer/pre_tokenizer.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

enum class Kind : uint8_t { kSpace, kPunctuation, kOther };

Kind kind_of(char32_t c) {
  if (is_white_space(c)) return Kind::kSpace;
  return is_bert_punctuation(c) ? Kind::kPunctuation : Kind::kOther;
}

class BertPreTokenizer : public PreTokenizer {
 public:
  BertPreTokenizer() {
    for (size_t i = 0; i < ascii_.size(); ++i) ascii_[i] = kind_of(static_cast<char32_t>(i));
  }

  Status split(const Piece& piece, Pieces& words, TextArena&) const override {
    std::string_view text = piece.text;
    size_t start = 0;
    auto put = [&](size_t begin, size_t end) {
      if (end > begin)
        words.push_back({text.substr(begin, end - begin), Piece::kText, piece.at_beginning && begin == 0});
    };
    for (size_t i = 0; i < text.size();) {
      size_t next = i;
      Kind kind = is_ascii(text[i]) ? ascii_[static_cast<uint8_t>(text[next++])]
                                    : kind_of(next_character(text, next));
      if (kind != Kind::kOther) {
        put(start, i);
        if (kind == Kind::kPunctuation) put(i, next);
        start = next;
      }
      i = next;
    }
    put(start, text.size());
    return {};
  }

 private:
  std::array<Kind, 128> ascii_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer() { return std::make_unique<BertPreTokenizer>(); }

}  // namespace gannet::tokenization
