// UTF-8 to code points and back, strictly: no surrogates, no overlong forms, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gannet {

// The offset of the first byte that is not part of valid UTF-8.
std::optional<size_t> find_invalid_utf8(std::string_view text);
// Nothing when `text` is not valid UTF-8.
std::optional<std::u32string> decode_utf8(std::string_view text);
// Nothing when one of the values is not a code point.
std::optional<std::string> encode_utf8(std::u32string_view code_points);

// Of valid UTF-8:
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
// `character` is a code point.
void append_utf8(std::string& text, char32_t character);
size_t count_characters(std::string_view text);

}  // namespace gannet
