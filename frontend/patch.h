// New weights in the user's own file: everything stays byte for byte as it was, except the data of the given
// tensors and the lengths of the messages around them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "frontend/model_file.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/base/tensor.h"

namespace gannet {

// New data for the TensorProto at `origin` (origin_of). Its extents must be those of the file. f16, bf16, f32
// and f64 are converted into each other, so that the file keeps its dtype; any other difference of dtype is
// an error.
struct TensorPatch {
  int64_t origin = 0;
  Tensor value;
};

// Where the external data of a model written to `output_path` go.
std::string data_path_of(const std::string& output_path);
// Writes the model with `patches` applied to `output_path` (which may be the original's). raw_data stays
// raw_data, and typed fields stay the same typed field. When the original has external data, all of them,
// replaced or not, go to
// data_path_of(output_path), and so do replaced tensors when the file would grow beyond protobuf's 2 GiB. Files
// appear whole or not at all; the data file appears first.
Status write_patched_model(const ModelFile& original, std::span<const TensorPatch> patches,
                           const std::string& output_path, const Limits& limits = {});

}  // namespace gannet
