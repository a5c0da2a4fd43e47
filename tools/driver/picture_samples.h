// A synthetic task of pictures as a folder of files.
#pragma once

#include <string>

#include "ir/base/error.h"
#include "runtime/data/npy.h"

namespace gannet {

// Writes pictures [rows, channels, height, width] of f32 around 0 as FOLDER/LABEL/ROW.png, 0 becoming the
// middle grey and 2.5 to either side black and white. An error where `samples` are no labelled pictures of 1
// or 3 channels.
Status write_picture_samples(const std::string& folder, const NamedTensors& samples);

}  // namespace gannet
