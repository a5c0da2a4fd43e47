#include "tools/driver/picture_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "runtime/data/image.h"

namespace gannet {

Status write_picture_samples(const std::string& folder, const NamedTensors& samples) {
  const bool pictures = samples.size() == 2 && samples[0].second.rank() == 4 &&
                        samples[1].first == "labels" && samples[0].second.dtype() == DType::kF32;
  const int64_t channels = pictures ? samples[0].second.extent(1) : 0;
  if (channels != 1 && channels != 3)
    return invalid_input(
        fmt::format("{}: this model has no samples that are pictures; give a file .npz", folder));
  const Tensor& values = samples[0].second;
  Image image{values.extent(2), values.extent(3), channels, {}};
  const int64_t area = image.height * image.width;
  image.pixels.resize(static_cast<size_t>(area * channels));
  for (int64_t row = 0; row < values.extent(0); ++row) {
    const std::string place = fmt::format("{}/{}", folder, samples[1].second.int_at(row));
    std::error_code error;
    std::filesystem::create_directories(place, error);
    if (error) return io_error(fmt::format("{}: {}", place, error.message()));
    const float* from = values.data<float>().data() + row * area * channels;
    for (int64_t i = 0; i < area * channels; ++i) {
      const float value = 127.5f + from[i % channels * area + i / channels] * 51.0f;
      image.pixels[static_cast<size_t>(i)] = static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
    }
    TRY(write_png(fmt::format("{}/{:05}.png", place, row), image));
  }
  return {};
}

}  // namespace gannet
