#include "runtime/data/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>

#include "ir/base/file.h"
#include "runtime/data/image_codecs.h"

namespace gannet {
namespace {

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

using Decoder = Result<Image> (*)(std::span<const uint8_t>, const ImageDecodeOptions&);

// "BM" alone may begin any file: the sizes that follow say more.
bool looks_like_bmp(std::span<const uint8_t> bytes) {
  if (bytes.size() < kImageMagicBytes || !starts_with(bytes, "BM")) return false;
  const bool reserved = std::all_of(&bytes[6], &bytes[10], [](uint8_t byte) { return byte == 0; });
  const size_t header = bytes[14], planes = bytes[header == 12 ? 22 : 26];
  return reserved && header >= 12 && bytes[15] == 0 && bytes[16] == 0 && bytes[17] == 0 && planes == 1;
}

// By the first bytes; null when no decoder knows them.
Decoder decoder_of(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return decode_png;
  if (starts_with(bytes, "\xff\xd8\xff")) return decode_jpeg;
  if (starts_with(bytes, "RIFF") && bytes.size() >= 12 && starts_with(bytes.subspan(8), "WEBP")) return decode_webp;
  if (looks_like_bmp(bytes)) return decode_bmp;
  return nullptr;
}

// The extents to resize to, so that a center cut of `height` x `width` is possible.
struct Extents {
  int64_t height = 0, width = 0;
};

Extents extents_before_crop(const Image& image, int64_t height, int64_t width, int64_t shortest_edge) {
  int64_t shorter = std::min(image.height, image.width);
  Extents extents;
  if (shortest_edge > 0) {
    extents = {image.height * shortest_edge / shorter, image.width * shortest_edge / shorter};
  } else {
    double ratio = std::max(static_cast<double>(height) / static_cast<double>(image.height),
                            static_cast<double>(width) / static_cast<double>(image.width));
    extents = {std::max<int64_t>(std::llround(static_cast<double>(image.height) * ratio), height),
               std::max<int64_t>(std::llround(static_cast<double>(image.width) * ratio), width)};
  }
  return extents;
}

// resize with a bound on the result.
Result<Image> resize_within_limits(const Image& image, Extents extents, ResizeFilter filter) {
  if (extents.height > kMaxImagePixels / extents.width) {
    return invalid_input(fmt::format("a picture of {} x {} is too large to become {} x {}", image.height,
                                     image.width, extents.height, extents.width));
  }
  return resize(image, extents.height, extents.width, filter);
}

Result<Image> fitted(const Image& image, const ImageOptions& options) {
  int64_t height = options.height > 0 ? options.height : image.height;
  int64_t width = options.width > 0 ? options.width : image.width;
  if (options.fit == ImageFit::kStretch) {
    return resize_within_limits(image, {height, width}, options.filter);
  }
  if (options.shortest_edge > 0 && options.shortest_edge < std::min(height, width)) {
    return invalid_input(fmt::format("a shortest edge of {} is too short to cut {} x {} out of it",
                                     options.shortest_edge, height, width));
  }
  Extents extents = extents_before_crop(image, height, width, options.shortest_edge);
  return center_crop(TRY(resize_within_limits(image, extents, options.filter)), height, width);
}

Status check_statistics(std::string_view what, const std::vector<double>& values, int64_t channels) {
  for (double value : values) {
    if (!std::isfinite(value)) return invalid_input(fmt::format("{} {} is not finite", what, value));
  }
  if (values.size() <= 1 || static_cast<int64_t>(values.size()) == channels) return {};
  return invalid_input(fmt::format("{} has {} values for {} channels", what, values.size(), channels));
}

double statistic(const std::vector<double>& values, size_t channel, double otherwise) {
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values[0] : values[channel];
}

template <class T>
std::vector<std::array<T, 256>> value_tables(const ImageOptions& options, size_t channels) {
  std::vector<std::array<T, 256>> tables(channels);
  double scale = options.dtype == DType::kU8 ? 1.0 : options.scale.value_or(1.0 / 255);
  for (size_t c = 0; c < channels; ++c) {
    double mean = statistic(options.mean, c, 0), deviation = statistic(options.std, c, 1);
    for (size_t pixel = 0; pixel < 256; ++pixel) {
      double value = (static_cast<double>(pixel) * scale - mean) / deviation;
      if constexpr (std::is_same_v<T, BFloat16>)
        tables[c][pixel] = T(static_cast<float>(value));
      else
        tables[c][pixel] = static_cast<T>(value);
    }
  }
  return tables;
}

}  // namespace

Status check_image_options(const ImageOptions& options, int64_t channels) {
  if (options.height < 0 || options.width < 0 || options.shortest_edge < 0 ||
      std::max({options.height, options.width, options.shortest_edge}) > kMaxImageSide) {
    return invalid_input(fmt::format("picture size {} x {}, shortest edge {}: from 0 to {}", options.height,
                                     options.width, options.shortest_edge, kMaxImageSide));
  }
  if (options.height > 0 && options.width > kMaxImagePixels / options.height) {
    return invalid_input(fmt::format("picture size {} x {} is more than {} pixels", options.height,
                                     options.width, kMaxImagePixels));
  }
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    return invalid_input(fmt::format("a picture has 1 or 3 channels, not {}", options.channels));
  }
  if (options.scale && !std::isfinite(*options.scale)) return invalid_input(fmt::format("--scale {} is not finite", *options.scale));
  TRY(check_statistics("--mean", options.mean, channels));
  TRY(check_statistics("--std", options.std, channels));
  for (double value : options.std) {
    if (!(value > 0)) return invalid_input(fmt::format("--std {} is not above 0", value));
  }
  bool scaled = options.scale || !options.mean.empty() || !options.std.empty();
  if (options.dtype == DType::kU8 && scaled) {
    return invalid_input("a u8 input takes pixels as they are: --scale, --mean and --std do not apply");
  }
  if (options.dtype != DType::kU8 && !is_float(options.dtype)) {
    return unsupported(fmt::format("a picture cannot become a tensor of {}", name_of(options.dtype)));
  }
  return {};
}

Result<Image> fit_image(const Image& image, const ImageOptions& options) {
  const int64_t channels = options.channels > 0 ? options.channels : image.channels;
  TRY(check_image_options(options, channels));
  return with_channels(TRY(fitted(image, options)), channels);
}

Result<PixelWriter> PixelWriter::make(const ImageOptions& options, int64_t channels) {
  TRY(check_image_options(options, channels));
  PixelWriter writer;
  writer.planar_ = options.layout.value_or(ImageLayout::kNchw) == ImageLayout::kNchw;
  writer.reversed_ = options.order == ChannelOrder::kBgr;
  const auto count = static_cast<size_t>(channels);
  switch (options.dtype) {
    case DType::kF32:
      writer.tables_ = value_tables<float>(options, count);
      break;
    case DType::kF64:
      writer.tables_ = value_tables<double>(options, count);
      break;
    case DType::kF16:
      writer.tables_ = value_tables<Half>(options, count);
      break;
    case DType::kBF16:
      writer.tables_ = value_tables<BFloat16>(options, count);
      break;
    default:
      writer.tables_ = value_tables<uint8_t>(options, count);
      break;
  }
  return writer;
}

void PixelWriter::write(const Image& image, void* target) const {
  std::visit(
      [&]<class T>(const Tables<T>& tables) {
        const auto channels = static_cast<size_t>(image.channels);
        CHECK(tables.size() == channels, "tables of {} channels for a picture of {}", tables.size(), channels);
        const size_t area = image.pixels.size() / channels;
        T* out = static_cast<T*>(target);
        const size_t step = planar_ ? 1 : channels;
        for (size_t c = 0; c < channels; ++c) {
          const uint8_t* from = image.pixels.data() + (reversed_ ? channels - 1 - c : c);
          T* to = planar_ ? out + c * area : out + c;
          for (size_t i = 0; i < area; ++i) to[i * step] = tables[c][from[i * channels]];
        }
      },
      tables_);
}

bool looks_like_image(std::span<const uint8_t> bytes) { return decoder_of(bytes) != nullptr; }

bool is_image_name(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string extension(path.substr(dot + 1));
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  constexpr std::array<std::string_view, 7> kNames = {"png", "jpg", "jpeg", "jpe", "webp", "bmp", "dib"};
  return std::ranges::find(kNames, extension) != kNames.end();
}

Status check_extents(int64_t height, int64_t width, const ImageDecodeOptions& options) {
  if (height < 1 || width < 1)
    return invalid_input(fmt::format("an empty picture of {} x {}", height, width));
  if (height > options.max_side || width > options.max_side || height * width > options.max_pixels) {
    return invalid_input(fmt::format("a picture of {} x {}; the limits are {} for a side and {} pixels",
                                     height, width, options.max_side, options.max_pixels));
  }
  return {};
}

Image oriented(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  bool transposed = orientation >= 5;
  Image result{
      transposed ? image.width : image.height, transposed ? image.height : image.width, image.channels, {}};
  result.pixels.resize(image.pixels.size());
  bool flip_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  bool flip_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x) {
      int64_t row = transposed ? x : y, column = transposed ? y : x;
      if (flip_rows) row = image.height - 1 - row;
      if (flip_columns) column = image.width - 1 - column;
      for (int64_t c = 0; c < image.channels; ++c) result.at(y, x, c) = image.at(row, column, c);
    }
  }
  return result;
}

Result<Image> decode_image(std::span<const uint8_t> bytes, const ImageDecodeOptions& options) {
  try {
    if (const Decoder decode = decoder_of(bytes)) return decode(bytes, options);
  } catch (const std::bad_alloc&) {
    return io_error("no memory for the picture");
  }
  if (bytes.empty()) return invalid_input("the file is empty");
  return unsupported("not a PNG, JPEG, WebP or BMP picture");
}

Result<Image> read_image(const std::string& path, const ImageDecodeOptions& options) {
  std::string contents = TRY(read_file(path, options.max_file_bytes));
  Result<Image> image =
      decode_image({reinterpret_cast<const uint8_t*>(contents.data()), contents.size()}, options);
  if (!image.ok()) return with_prefix(path + ": ", image.error());
  return image;
}

Status write_png(const std::string& path, const Image& image) {
  Result<std::string> encoded = encode_png(image);
  if (!encoded.ok()) return with_prefix(path + ": ", encoded.error());
  return write_file_atomically(path, *encoded);
}

Result<Tensor> image_to_tensor(const Image& image, const ImageOptions& options) {
  try {
    const Image ready = TRY(fit_image(image, options));
    const PixelWriter writer = TRY(PixelWriter::make(options, ready.channels));
    std::vector<int64_t> extents = {1, ready.channels, ready.height, ready.width};
    if (options.layout == ImageLayout::kNhwc) extents = {1, ready.height, ready.width, ready.channels};
    Tensor tensor = TRY(Tensor::allocate(options.dtype, extents));
    writer.write(ready, tensor.mutable_raw());
    return tensor;
  } catch (const std::bad_alloc&) {
    return io_error("no memory for the resized picture");
  }
}

}  // namespace gannet
