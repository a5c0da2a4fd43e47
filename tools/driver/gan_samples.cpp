#include "tools/driver/gan_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "ir/base/file.h"
#include "runtime/data/image_gif.h"
#include "runtime/data/image_grid.h"

namespace gannet {

namespace {

std::string file_name(int64_t round) { return fmt::format("round-{:06}.png", round); }

}  // namespace

std::vector<Image> images_of(const Tensor& pictures, const ImageOptions& options) {
  const bool planar = options.layout == ImageLayout::kNchw, reversed = options.order == ChannelOrder::kBgr;
  const int64_t rows = pictures.extent(0), channels = pictures.extent(planar ? 1 : 3);
  const Image empty{pictures.extent(planar ? 2 : 1), pictures.extent(planar ? 3 : 2), channels, {}};
  const int64_t area = empty.height * empty.width;
  const auto of_channel = [&](const std::vector<double>& values, int64_t channel, double otherwise) {
    return values.empty() ? otherwise : values[values.size() == 1 ? 0 : static_cast<size_t>(channel)];
  };
  std::vector<Image> images;
  for (int64_t row = 0; row < rows; ++row) {
    Image image = empty;
    image.pixels.resize(static_cast<size_t>(area * channels));
    for (int64_t channel = 0; channel < channels; ++channel) {
      const double scale = options.scale.value_or(1.0 / 255), mean = of_channel(options.mean, channel, 0),
                   deviation = of_channel(options.std, channel, 1);
      for (int64_t i = 0; i < area; ++i) {
        const int64_t from = (row * channels + (planar ? channel : 0)) * area + (planar ? i : i * channels + channel);
        const double pixel = (pictures.double_at(from) * deviation + mean) / scale;
        const int64_t to = i * channels + (reversed ? channels - 1 - channel : channel);
        image.pixels[static_cast<size_t>(to)] = static_cast<uint8_t>(std::isfinite(pixel) ? std::clamp(std::round(pixel), 0.0, 255.0) : 0.0);
      }
    }
    images.push_back(std::move(image));
  }
  return images;
}

Status write_samples(const Tensor& pictures, const ImageOptions& options, const std::string& folder, int64_t round, EventFile* events) {
  const std::vector<Image> images = images_of(pictures, options);
  const Image grid = image_grid(images, square_columns(static_cast<int64_t>(images.size())));
  const std::string png = TRY(encode_png(grid));
  TRY(write_file_atomically(folder + "/" + file_name(round), png));
  return events ? events->image("samples", round, png, grid.height, grid.width, grid.channels) : Status();
}

Status write_animation(const std::string& folder, int64_t round, const std::string& path) {
  constexpr size_t kMostFrames = 120;
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("round-") && name.ends_with(".png") && name <= file_name(round)) files.push_back(it->path().string());
  }
  if (error) return io_error(fmt::format("{}: {}", folder, error.message()));
  std::ranges::sort(files);
  std::vector<Image> frames;
  const size_t count = std::min(files.size(), kMostFrames);
  for (size_t i = 0; i < count; ++i)
    frames.push_back(TRY(read_image(files[count == 1 ? 0 : i * (files.size() - 1) / (count - 1)])));
  if (frames.empty()) return {};
  // Grids of another run in the folder may have another size.
  const Image last = frames.back();
  std::erase_if(frames, [&](const Image& frame) { return frame.height != last.height || frame.width != last.width; });
  return write_gif(path, frames, {.delay_ms = 200});
}

}  // namespace gannet
