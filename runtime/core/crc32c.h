// CRC-32C (Castagnoli), the checksum of compiled models, of TFRecord files and of our checkpoints.
#pragma once

#include <cstdint>
#include <span>

namespace gannet {

// The checksum of `bytes`; `before` is that of the bytes in front of them, to go on with.
uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t before = 0);
// The same without the processor's instruction for it.
uint32_t crc32c_by_tables(std::span<const uint8_t> bytes, uint32_t before = 0);

}  // namespace gannet
