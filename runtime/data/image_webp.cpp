#include <fmt/format.h>
#include <webp/decode.h>

#include "runtime/data/image_codecs.h"

namespace gannet {

Result<Image> decode_webp(std::span<const uint8_t> bytes, const ImageDecodeOptions& options) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK)
    return invalid_input("WebP: the header is damaged or cut off");
  if (features.has_animation != 0) return unsupported("WebP: an animation is not a picture");
  TRY(check_extents(features.height, features.width, options));
  Image image{features.height, features.width, 3, {}};
  const auto row_bytes = static_cast<size_t>(image.width) * 3;
  image.pixels.resize(row_bytes * static_cast<size_t>(image.height));
  if (WebPDecodeRGBInto(bytes.data(), bytes.size(), image.pixels.data(), image.pixels.size(),
                        static_cast<int>(row_bytes)) == nullptr) {
    return invalid_input("WebP: the data is damaged or truncated");
  }
  return image;
}

}  // namespace gannet
