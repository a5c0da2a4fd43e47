// What tokenizers need to know of Unicode. The only header of the folder behind which ICU stands, apart from
// patterns. Texts are valid UTF-8 everywhere but at the entrance, where find_invalid_utf8 looks at them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/data/utf8.h"

namespace gannet::tokenization {

// Properties, for any character. Where Hugging Face's libraries know an older Unicode than ICU, theirs
// counts.
bool is_white_space(char32_t c);
bool is_control(char32_t c);           // general categories Cc, Cf and Co
bool is_bert_punctuation(char32_t c);  // P*, and all of ASCII's symbols
bool is_nonspacing_mark(char32_t c);   // Mn
bool is_mark(char32_t c);              // M*
bool is_letter(char32_t c);            // L*
bool is_number(char32_t c);            // N*
bool is_word_character(char32_t c);  // what \w means
bool is_cjk_ideograph(char32_t c);   // as BERT has it: neither kana nor hangul
// A number for each script; kana count as han, as SentencePiece has it, and spaces go with any script.
constexpr int kAnyScript = -1;
int script_of(char32_t c);

// The lower case of one character: two for U+0130, else one.
void append_lower_case(std::string& text, char32_t c);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// Appends the normal form of `text` to `out`.
void append_normal_form(std::string& out, std::string_view text, NormalForm form);

// The end of the extended grapheme cluster that starts at `position` (UAX #29; rule GB9c aside).
size_t grapheme_end(std::string_view text, size_t position);

}  // namespace gannet::tokenization
