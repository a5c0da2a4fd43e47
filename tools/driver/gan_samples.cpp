#include "tools/driver/gan_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>

#include "ir/base/file.h"
#include "runtime/data/image_gif.h"
#include "runtime/data/tensor_image.h"

namespace gannet {

namespace {

std::string file_name(int64_t round) { return fmt::format("round-{:06}.png", round); }

// The way back from what `options` make of pixels: numbers of 0 to 255.
Tensor pixels_of(const Tensor& pictures, const ImageOptions& options) {
  const bool planar = options.layout == ImageLayout::kNchw;
  const int64_t channels = pictures.extent(planar ? 1 : 3), area = planar ? pictures.extent(2) * pictures.extent(3) : 1;
  const auto of_channel = [](const std::vector<double>& values, int64_t channel, double otherwise) {
    return values.empty() ? otherwise : values[values.size() == 1 ? 0 : static_cast<size_t>(channel)];
  };
  const double scale = options.scale.value_or(1.0 / 255);
  Tensor pixels = Tensor::zeros(DType::kF64, pictures.extents());
  const std::span<double> values = pixels.mutable_data<double>();
  for (int64_t i = 0; i < pictures.elements(); ++i) {
    const int64_t channel = i / area % channels;
    values[static_cast<size_t>(i)] = (pictures.double_at(i) * of_channel(options.std, channel, 1) + of_channel(options.mean, channel, 0)) / scale;
  }
  return pixels;
}

}  // namespace

Status write_samples(const Tensor& pictures, const ImageOptions& options, const std::string& folder, int64_t round, EventFile* events) {
  const Image grid = TRY(tensor_grid(pixels_of(pictures, options), {{0, 255}, options.layout, options.order}));
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
