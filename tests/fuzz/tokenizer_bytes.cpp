// Any bytes as a tokenizer.json, and after the first byte 0xff as a text: both end in a message or in ids.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ir/base/check.h"
#include "runtime/data/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  size_t end = std::min(bytes.find('\xff'), bytes.size());
  gannet::Result<gannet::Tokenizer> tokenizer =
      gannet::Tokenizer::from_json(bytes.substr(0, end), "fuzz.json");
  if (!tokenizer.ok()) return 0;
  std::string_view text = bytes.substr(std::min(end + 1, bytes.size()));
  gannet::Result<gannet::Encoding> encoding = tokenizer->encode(text);
  if (!encoding.ok()) return 0;
  for (int32_t id : encoding->ids) {
    // Ids of post-processors are the file's own; all others have a token.
    CHECK(id >= 0, "id {} of a vocabulary of {}", id, tokenizer->vocabulary_size());
  }
  return 0;
}
