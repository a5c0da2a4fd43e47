// What a generator makes, as pictures: grids in a folder and in TensorBoard.
#pragma once

#include <string>

#include "ir/base/tensor.h"
#include "runtime/data/image.h"
#include "runtime/training/event_file.h"

namespace gannet {

// Writes FOLDER/round-NNNNNN.png, a grid about as wide as high of what was pixels before `options` made it numbers, and the same to `events` (null: not).
Status write_samples(const Tensor& pictures, const ImageOptions& options, const std::string& folder, int64_t round, EventFile* events);

// Which rounds of a run have grids: 0, the multiples of `every`, the last one.
struct SampledRounds {
  int64_t every = 1, last = 0;
};

// Writes the grids that FOLDER has of a run as an animation at `path`; of many an even choice, the last one always, and of
// large ones fewer, so that all are in memory at once. What cannot be read is left out. Nothing where there are none.
Status write_animation(const std::string& folder, const SampledRounds& rounds, const std::string& path);

}  // namespace gannet
