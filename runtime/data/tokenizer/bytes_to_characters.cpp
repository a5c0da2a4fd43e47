#include "runtime/data/tokenizer/bytes_to_characters.h"

#include <array>
#include <cstdint>

#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

constexpr std::array<char16_t, 256> byte_characters() {
  std::array<char16_t, 256> characters{};
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    characters[byte] = static_cast<char16_t>(stands_for_itself(byte) ? byte : next++);
  }
  return characters;
}

constexpr std::array<char16_t, 256> kCharacters = byte_characters();

}  // namespace

void append_byte_characters(std::string& out, std::string_view bytes) {
  for (char byte : bytes) append_utf8(out, kCharacters[static_cast<uint8_t>(byte)]);
}

}  // namespace gannet::tokenization
