// GPT-2's alphabet of bytes: each byte is one visible character, itself where it is one.
#pragma once

#include <string>
#include <string_view>

namespace gannet::tokenization {

// Appends the character of each byte of `bytes`.
void append_byte_characters(std::string& out, std::string_view bytes);

}  // namespace gannet::tokenization
