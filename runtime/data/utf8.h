// UTF-8 to code points and back, strictly: no surrogates, no overlong forms, nothing above U+10FFFF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gannet {

// Nothing when `text` is not valid UTF-8.
std::optional<std::u32string> decode_utf8(std::string_view text);
// Nothing when one of the values is not a code point.
std::optional<std::string> encode_utf8(std::u32string_view code_points);

}  // namespace gannet
