// Pictures one after the other in one file: an animated GIF.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ir/base/error.h"
#include "runtime/data/image.h"

namespace gannet {

struct GifOptions {
  int64_t delay_ms = 100;          // between two frames, rounded to the format's hundredths of a second
  bool palette_per_frame = false;  // 256 colours for each frame; else for all of them, which flickers less
};

// The frames, at least one and all of one size of at most 65,535 pixels a side, grey or colour, shown in a
// loop that never ends. Equal frames give equal bytes. Errors say what does not fit.
Result<std::string> encode_gif(std::span<const Image> frames, const GifOptions& options = {});
// encode_gif into a file; errors name the path.
Status write_gif(const std::string& path, std::span<const Image> frames, const GifOptions& options = {});

}  // namespace gannet
