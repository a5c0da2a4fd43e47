#include "runtime/data/utf8.h"

#include <array>

namespace gannet {
namespace {

bool is_code_point(uint32_t value) { return value < 0x110000 && (value < 0xd800 || value > 0xdfff); }

}  // namespace

std::optional<std::u32string> decode_utf8(std::string_view text) {
  constexpr std::array<uint32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};
  std::u32string result;
  for (size_t i = 0; i < text.size();) {
    uint8_t lead = static_cast<uint8_t>(text[i]);
    size_t more = lead < 0x80 ? 0 : (lead >> 5) == 6 ? 1 : (lead >> 4) == 14 ? 2 : (lead >> 3) == 30 ? 3 : 4;
    if (more == 4 || text.size() - i <= more) return std::nullopt;
    uint32_t value = more == 0 ? lead : lead & (0x3fu >> more);
    for (size_t k = 1; k <= more; ++k) {
      uint8_t next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80) return std::nullopt;
      value = value << 6 | (next & 0x3fu);
    }
    if (value < kLeast[more] || !is_code_point(value)) return std::nullopt;
    result.push_back(value);
    i += more + 1;
  }
  return result;
}

std::optional<std::string> encode_utf8(std::u32string_view code_points) {
  std::string result;
  for (uint32_t value : code_points) {
    if (!is_code_point(value)) return std::nullopt;
    int more = value < 0x80 ? 0 : value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    constexpr std::array<uint32_t, 4> kLead = {0, 0xc0, 0xe0, 0xf0};
    result.push_back(static_cast<char>(kLead[static_cast<size_t>(more)] | value >> (6 * more)));
    for (int k = more - 1; k >= 0; --k)
      result.push_back(static_cast<char>(0x80 | ((value >> (6 * k)) & 0x3f)));
  }
  return result;
}

}  // namespace gannet
