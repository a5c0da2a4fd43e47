// Small pictures of 7 x 5 pixels in every flavour the decoders know, with the pixels that Pillow sees in
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gannet {

struct SamplePicture {
  std::string name;
  int64_t height, width, channels;
  std::vector<uint8_t> file;
  std::vector<uint8_t> pixels;
};

std::vector<SamplePicture> sample_pictures();

}  // namespace gannet
