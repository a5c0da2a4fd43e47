// What tokenizers need to know of Unicode. The only header of the folder behind which ICU stands, apart from
// patterns. Texts are valid UTF-8 everywhere but at the entrance, where find_invalid_utf8 looks at them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gannet::tokenization {

// The offset of the first byte that is not part of valid UTF-8: no surrogates, no overlong forms, nothing
// above U+10FFFF.
std::optional<size_t> find_invalid_utf8(std::string_view text);

inline bool is_ascii(char byte) { return static_cast<uint8_t>(byte) < 0x80; }
// Bytes of the character that starts with `lead`.
inline size_t utf8_length(char lead) {
  uint8_t byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}
// The character at `position`, which moves behind it.
inline char32_t next_character(std::string_view text, size_t& position) {
  auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<uint8_t>(text[position + i])); };
  char32_t lead = byte(0);
  if (lead < 0x80) return position += 1, lead;
  char32_t value = 0;
  if (lead < 0xe0) {
    value = (lead & 0x1f) << 6 | (byte(1) & 0x3f);
  } else if (lead < 0xf0) {
    value = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  } else {
    value = (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
  }
  position += utf8_length(text[position]);
  return value;
}
inline char32_t first_character(std::string_view text) {
  size_t position = 0;
  return next_character(text, position);
}
void append_utf8(std::string& text, char32_t character);
size_t count_characters(std::string_view text);

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
