// FNV-1a: tells texts apart that nobody has made to be alike.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace gannet {

inline constexpr uint64_t kFnv1aStart = 0xcbf29ce484222325u;

// Another `start` gives an unrelated hash.
inline uint64_t fnv1a(std::string_view bytes, uint64_t start = kFnv1aStart) {
  uint64_t hash = start;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  return hash;
}

// 128 bits of two such hashes, as 32 digits.
inline std::string digest_of(std::string_view bytes) {
  return fmt::format("{:016x}{:016x}", fnv1a(bytes), fnv1a(bytes, 0x9ae16a3b2f90404fu));
}

}  // namespace gannet
