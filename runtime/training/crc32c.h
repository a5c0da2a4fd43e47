// CRC-32C (Castagnoli), the checksum of TFRecord files and of our checkpoints.
#pragma once

#include <cstdint>
#include <span>

namespace gannet {

// The checksum of `bytes`; `before` is that of the bytes in front of them, to go on with.
uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t before = 0);

}  // namespace gannet
