#include "runtime/data/utf8.h"

#include <array>
#include <cstring>

namespace gannet {
namespace {

bool is_code_point(char32_t value) { return value < 0x110000 && (value < 0xd800 || value > 0xdfff); }

}  // namespace

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  for (size_t i = 0; i < text.size();) {
    if (text.size() - i >= 8) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + i, 8);
      if ((word & 0x8080808080808080u) == 0) {
        i += 8;
        continue;
      }
    }
    uint8_t lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    size_t length = utf8_length(text[i]);
    if (lead < 0xc0 || lead > 0xf7 || text.size() - i < length) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xc0) != 0x80) return i;
    }
    size_t next = i;
    char32_t value = next_character(text, next);
    if (value < kLeast[length] || !is_code_point(value)) return i;
    i = next;
  }
  return std::nullopt;
}

std::optional<std::u32string> decode_utf8(std::string_view text) {
  if (find_invalid_utf8(text)) return std::nullopt;
  std::u32string result;
  for (size_t i = 0; i < text.size();) result.push_back(next_character(text, i));
  return result;
}

std::optional<std::string> encode_utf8(std::u32string_view code_points) {
  std::string result;
  for (const char32_t value : code_points) {
    if (!is_code_point(value)) return std::nullopt;
    append_utf8(result, value);
  }
  return result;
}

void append_utf8(std::string& text, char32_t c) {
  auto tail = [&](int shift) { text.push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f))); };
  if (c < 0x80) {
    text.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    text.push_back(static_cast<char>(0xc0 | c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | c >> 12));
    tail(6), tail(0);
  } else {
    text.push_back(static_cast<char>(0xf0 | c >> 18));
    tail(12), tail(6), tail(0);
  }
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (char byte : text) count += (static_cast<uint8_t>(byte) & 0xc0) != 0x80;
  return count;
}

}  // namespace gannet
