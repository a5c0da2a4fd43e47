// The decoders behind decode_image, one for each format. None throws, and no library type leaves its
// source file.
#pragma once

#include <cstdint>
#include <span>

#include "ir/base/error.h"
#include "runtime/data/image.h"

namespace gannet {

Result<Image> decode_png(std::span<const uint8_t> bytes, const ImageDecodeOptions& options);
Result<Image> decode_jpeg(std::span<const uint8_t> bytes, const ImageDecodeOptions& options);
Result<Image> decode_webp(std::span<const uint8_t> bytes, const ImageDecodeOptions& options);
// Windows' and OS/2's bitmaps: 1 to 32 bits a pixel, plain, run-length coded or by masks.
Result<Image> decode_bmp(std::span<const uint8_t> bytes, const ImageDecodeOptions& options);
// An error when a picture of these extents is empty or beyond the limits.
Status check_extents(int64_t height, int64_t width, const ImageDecodeOptions& options);
// The number 1 to 8 of the EXIF orientation tag in an APP1 segment ("Exif\0\0" and a TIFF directory); 1 when
// absent.
int exif_orientation(std::span<const uint8_t> segment);
// The picture turned and mirrored as orientation 1 to 8 asks.
Image oriented(Image image, int orientation);

}  // namespace gannet
