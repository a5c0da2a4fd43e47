// Pictures: PNG, JPEG, WebP and BMP to 8-bit pixels and back to PNG, resizing, and the tensors that image models take.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"

namespace gannet {

// Row-major, the channels of a pixel beside each other: grey (1) or red, green, blue (3).
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;

  uint8_t& at(int64_t y, int64_t x, int64_t channel) {
    return pixels[static_cast<size_t>((y * width + x) * channels + channel)];
  }
  uint8_t at(int64_t y, int64_t x, int64_t channel) const {
    return pixels[static_cast<size_t>((y * width + x) * channels + channel)];
  }
};

inline constexpr int64_t kMaxImageSide = 65'535;
inline constexpr int64_t kMaxImagePixels = int64_t{1} << 28;

struct ImageDecodeOptions {
  int64_t max_file_bytes = int64_t{1} << 30;
  int64_t max_side = kMaxImageSide;
  int64_t max_pixels = kMaxImagePixels;
  bool apply_orientation = true;  // turn a JPEG the way its EXIF tag says
};

// How many bytes of a file looks_like_image wants to see.
inline constexpr size_t kImageMagicBytes = 28;
// True when the bytes begin as a file does that decode_image reads.
bool looks_like_image(std::span<const uint8_t> bytes);
// True for the names of such files, in any case: .png, .jpg, .jpeg, .jpe, .webp, .bmp, .dib.
bool is_image_name(std::string_view path);

// Decodes by content. Grey files give one channel, all others three; palettes and 16-bit samples become
// 8-bit, CMYK becomes RGB, alpha is dropped. An animated WebP is refused. Damaged and truncated data are errors with the library's own
// reason.
Result<Image> decode_image(std::span<const uint8_t> bytes, const ImageDecodeOptions& options = {});
// decode_image of a file; errors name the path.
Result<Image> read_image(const std::string& path, const ImageDecodeOptions& options = {});
// A PNG file of a grey or RGB image; equal images give equal bytes.
Result<std::string> encode_png(const Image& image);
Status write_png(const std::string& path, const Image& image);

enum class ResizeFilter {
  kNearest,
  // A triangle that reaches one output pixel to either side when shrinking (so every input pixel counts), and
  // linear interpolation when enlarging; one axis after the other, each rounded to 8 bits. Equal to Pillow's
  // BILINEAR, or one level off where a version of Pillow takes the axes in the other order.
  kBilinear,
  kBicubic,  // the same with a cubic that reaches two pixels; Pillow's BICUBIC
};

// Both extents must be positive.
Image resize(const Image& image, int64_t height, int64_t width, ResizeFilter filter);
// The middle of an image; an error when it is smaller than what is asked for.
Result<Image> center_crop(const Image& image, int64_t height, int64_t width);
// One channel (ITU-R 601 luma, as Pillow's "L") or three (the grey value in each).
Image with_channels(const Image& image, int64_t channels);

enum class ImageLayout { kNchw, kNhwc };
enum class ImageFit {
  kStretch,     // resize to exactly the size, whatever the proportions
  kCenterCrop,  // keep the proportions: resize by the shorter edge, then cut out the middle
};
enum class ChannelOrder { kRgb, kBgr };

// How a picture becomes the input of a model: fit, then value = (pixel * scale - mean) / std for each
// channel.
struct ImageOptions {
  int64_t height = 0;  // 0 keeps what the picture has
  int64_t width = 0;
  ImageFit fit = ImageFit::kStretch;
  int64_t shortest_edge =
      0;  // of kCenterCrop: its length before the cut (256 for 224); 0 is the least that covers
  ResizeFilter filter = ResizeFilter::kBilinear;
  std::optional<ImageLayout> layout;  // kNchw when not given
  int64_t channels = 0;               // 1 or 3; 0 keeps what the picture has
  ChannelOrder order = ChannelOrder::kRgb;
  std::optional<double> scale;  // 1/255 when not given
  std::vector<double> mean;     // none, one for all, or one for each channel of the tensor in its order
  std::vector<double> std;
  DType dtype =
      DType::kF32;  // f32, f64, f16, bf16, or u8, which takes the pixels as they are (no scale, mean, std)
};

// Whether pictures of `channels` channels can be made into such input; an error names the option that does not fit.
Status check_image_options(const ImageOptions& options, int64_t channels);
// A tensor of rank 4 with a batch of 1. Errors name the option that does not fit.
Result<Tensor> image_to_tensor(const Image& image, const ImageOptions& options);

// The two halves of image_to_tensor, for many pictures. First: size, fit and channels; errors as above.
Result<Image> fit_image(const Image& image, const ImageOptions& options);

// Second: values of pixels, their order and layout.
class PixelWriter {
 public:
  // For pictures of `channels` channels.
  static Result<PixelWriter> make(const ImageOptions& options, int64_t channels);
  // Writes every pixel of `image` as elements of options.dtype, from `target` on.
  void write(const Image& image, void* target) const;

 private:
  template <class T>
  using Tables = std::vector<std::array<T, 256>>;  // the element for each value, by channel of the tensor
  std::variant<Tables<float>, Tables<double>, Tables<Half>, Tables<BFloat16>, Tables<uint8_t>> tables_;
  bool planar_ = true, reversed_ = false;
};

}  // namespace gannet
