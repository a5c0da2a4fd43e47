#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "runtime/data/image_codecs.h"

namespace gannet {
namespace {

constexpr size_t kFileHeader = 14;
constexpr uint32_t kCoreHeader = 12;  // of OS/2: 16-bit extents, palettes of three bytes

enum Compression : uint32_t { kPlain = 0, kRunsOf8 = 1, kRunsOf4 = 2, kMasks = 3, kMasksWithAlpha = 6 };

uint32_t number(std::span<const uint8_t> bytes, size_t at, size_t width) {
  uint32_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

struct Header {
  int64_t height = 0, width = 0;
  bool top_down = false;
  uint32_t bits = 0, compression = kPlain;
  size_t pixels_at = 0;
  std::vector<std::array<uint8_t, 3>> palette;  // red, green, blue
  std::array<uint32_t, 3> masks{};              // of red, green, blue in a pixel of 16 or 32 bits
};

Error truncated() { return invalid_input("BMP: the data is truncated"); }

Status read_palette(std::span<const uint8_t> bytes, size_t at, size_t entry_bytes, uint32_t wanted,
                    Header& header) {
  if (header.bits > 8) return {};
  const uint32_t most = uint32_t{1} << header.bits;
  const size_t count = wanted == 0 || wanted > most ? most : wanted;
  if (at > bytes.size() || (bytes.size() - at) / entry_bytes < count) return truncated();
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = at + i * entry_bytes;
    header.palette.push_back({bytes[entry + 2], bytes[entry + 1], bytes[entry]});
  }
  return {};
}

Status read_masks(std::span<const uint8_t> bytes, Header& header) {
  if (header.compression == kPlain) {
    if (header.bits == 16) header.masks = {0x7C00, 0x03E0, 0x001F};
    if (header.bits == 32) header.masks = {0xFF0000, 0x00FF00, 0x0000FF};
    return {};
  }
  if (header.compression != kMasks && header.compression != kMasksWithAlpha) return {};
  constexpr size_t kAt = kFileHeader + 40;
  if (bytes.size() < kAt + 12) return truncated();
  for (size_t i = 0; i < 3; ++i) header.masks[i] = number(bytes, kAt + 4 * i, 4);
  return {};
}

bool is_known(const Header& header) {
  const uint32_t bits = header.bits;
  switch (header.compression) {
    case kPlain:
      return bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
    case kMasks:
    case kMasksWithAlpha:
      return bits == 16 || bits == 32;
    case kRunsOf8:
      return bits == 8 && !header.top_down;
    case kRunsOf4:
      return bits == 4 && !header.top_down;
    default:
      return false;
  }
}

Result<Header> read_header(std::span<const uint8_t> bytes) {
  if (bytes.size() < kFileHeader + kCoreHeader) return truncated();
  Header header;
  header.pixels_at = number(bytes, 10, 4);
  const uint32_t size = number(bytes, kFileHeader, 4);
  const bool core = size == kCoreHeader;
  if (!core && size < 40) return unsupported(fmt::format("BMP: a header of {} bytes", size));
  if (bytes.size() < kFileHeader + size) return truncated();
  uint32_t colors = 0;
  if (core) {
    header.width = number(bytes, 18, 2);
    header.height = number(bytes, 20, 2);
    header.bits = number(bytes, 24, 2);
  } else {
    header.width = std::bit_cast<int32_t>(number(bytes, 18, 4));
    header.height = std::bit_cast<int32_t>(number(bytes, 22, 4));
    header.bits = number(bytes, 28, 2);
    header.compression = number(bytes, 30, 4);
    colors = number(bytes, 46, 4);
    header.top_down = header.height < 0;
    if (header.top_down) header.height = -header.height;
  }
  if (!is_known(header))
    return unsupported(fmt::format("BMP: {} bits a pixel, compression {}", header.bits, header.compression));
  TRY(read_masks(bytes, header));
  size_t palette_at = kFileHeader + size;
  if (size == 40 && header.compression == kMasks) palette_at += 12;
  TRY(read_palette(bytes, palette_at, core ? 3 : 4, colors, header));
  return header;
}

// What a pixel holds of the channel with this mask, in 0 to 255.
uint8_t masked(uint32_t pixel, uint32_t mask) {
  if (mask == 0) return 0;
  const int shift = std::countr_zero(mask);
  const uint64_t most = mask >> shift;
  return static_cast<uint8_t>(((pixel & mask) >> shift) * uint64_t{255} / most);
}

size_t row_bytes_of(const Header& header) { return (static_cast<size_t>(header.width) * header.bits + 31) / 32 * 4; }

// Indices into the palette that plain rows hold, or the pixels themselves.
Status read_plain(std::span<const uint8_t> bytes, const Header& header, Image& image,
                  std::vector<uint8_t>& indices) {
  const size_t row_bytes = row_bytes_of(header);
  for (int64_t y = 0; y < header.height; ++y) {
    const int64_t line = header.top_down ? y : header.height - 1 - y;
    const std::span<const uint8_t> row =
        bytes.subspan(header.pixels_at + static_cast<size_t>(line) * row_bytes, row_bytes);
    for (int64_t x = 0; x < header.width; ++x) {
      const auto column = static_cast<size_t>(x);
      if (header.bits <= 8) {
        const size_t bit = column * header.bits;
        const uint32_t index = row[bit / 8] >> (8 - header.bits - bit % 8) & ((1u << header.bits) - 1);
        indices[static_cast<size_t>(y * header.width + x)] = static_cast<uint8_t>(index);
      } else if (header.bits == 24) {
        for (int64_t c = 0; c < 3; ++c) image.at(y, x, c) = row[column * 3 + 2 - static_cast<size_t>(c)];
      } else {
        const uint32_t pixel = number(row, column * header.bits / 8, header.bits / 8);
        for (int64_t c = 0; c < 3; ++c)
          image.at(y, x, c) = masked(pixel, header.masks[static_cast<size_t>(c)]);
      }
    }
  }
  return {};
}

// Runs of equal indices, and stretches of different ones, from the bottom row up.
class RunReader {
 public:
  RunReader(std::span<const uint8_t> bytes, const Header& header, std::vector<uint8_t>& indices)
      : header_(header), bytes_(bytes), at_(header.pixels_at), indices_(indices) {}

  Status read() {
    while (y_ < header_.height) {
      if (at_ > bytes_.size() || bytes_.size() - at_ < 2) return truncated();
      const uint8_t count = bytes_[at_], value = bytes_[at_ + 1];
      at_ += 2;
      if (count > 0) {
        for (int64_t i = 0; i < count; ++i) put(half_of(value, i));
        continue;
      }
      if (value == 1) return {};
      TRY(escape(value));
    }
    return {};
  }

 private:
  uint8_t half_of(uint8_t byte, int64_t i) const {
    if (header_.bits == 8) return byte;
    return i % 2 == 0 ? byte >> 4 : byte & 15;
  }
  void put(uint8_t index) {
    if (x_ < header_.width)
      indices_[static_cast<size_t>((header_.height - 1 - y_) * header_.width + x_)] = index;
    ++x_;
  }
  Status escape(uint8_t value) {
    if (value == 0) {
      x_ = 0;
      ++y_;
      return {};
    }
    if (value == 2) {
      if (bytes_.size() - at_ < 2) return truncated();
      x_ += bytes_[at_];
      y_ += bytes_[at_ + 1];
      at_ += 2;
      return {};
    }
    const size_t length = header_.bits == 8 ? value : (value + size_t{1}) / 2;
    if (bytes_.size() - at_ < length) return truncated();
    for (int64_t i = 0; i < value; ++i)
      put(half_of(bytes_[at_ + static_cast<size_t>(header_.bits == 8 ? i : i / 2)], i));
    at_ += length + length % 2;
    return {};
  }

  const Header& header_;
  std::span<const uint8_t> bytes_;
  size_t at_;
  std::vector<uint8_t>& indices_;
  int64_t x_ = 0, y_ = 0;
};

Status look_up(const Header& header, const std::vector<uint8_t>& indices, Image& image) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= header.palette.size())
      return invalid_input(
          fmt::format("BMP: colour {} of a palette of {}", indices[i], header.palette.size()));
    const auto& color = header.palette[indices[i]];
    std::copy_n(color.begin(), image.channels, &image.pixels[i * static_cast<size_t>(image.channels)]);
  }
  return {};
}

}  // namespace

Result<Image> decode_bmp(std::span<const uint8_t> bytes, const ImageDecodeOptions& options) {
  const Header header = TRY(read_header(bytes));
  TRY(check_extents(header.height, header.width, options));
  const bool indexed = header.bits <= 8;
  const bool grey = indexed && std::ranges::all_of(header.palette, [](const auto& color) {
                      return color[0] == color[1] && color[1] == color[2];
                    });
  const bool runs = header.compression == kRunsOf8 || header.compression == kRunsOf4;
  if (!runs && (header.pixels_at > bytes.size() || (bytes.size() - header.pixels_at) / row_bytes_of(header) <
                                                       static_cast<size_t>(header.height))) {
    return truncated();
  }
  Image image{header.height, header.width, grey ? 1 : 3, {}};
  const auto area = static_cast<size_t>(image.height * image.width);
  image.pixels.resize(area * static_cast<size_t>(image.channels));
  std::vector<uint8_t> indices(indexed ? area : 0);
  if (runs)
    TRY(RunReader(bytes, header, indices).read());
  else
    TRY(read_plain(bytes, header, image, indices));
  TRY(look_up(header, indices, image));
  return image;
}

}  // namespace gannet
