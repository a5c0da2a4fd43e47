// Any file a person may give as the input of a model, as the tensor the model wants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/limits.h"
#include "ir/base/tensor.h"
#include "runtime/data/image.h"

namespace gannet {

struct InputOptions {
  // What is not given here (size, layout, channels, dtype) follows from the extents and dtype the model
  // wants.
  ImageOptions image;
  Limits limits;
};

// Reads a tensor of `dtype` (kUndefined: any) and `extents` (-1: any length; nothing: any shape) from
//   x.npy         an array
//   x.npz#name    an array of an archive; "#name" may be left out when there is only one
//   x.png x.jpg   a picture (WebP and BMP too), through options.image; the model must want [N, C, H, W],
//                 [N, H, W, C], [C, H, W] or [H, W, C] and a batch of 1
//   x.bin x.raw x.dat x   the elements themselves, little-endian and row-major; the size must fit exactly,
//                 and at most one extent may be -1
// Other names are an error, unless the content is an array, an archive or a picture.
// The content decides between arrays, archives and pictures, not the name. An array of f32 is narrowed when
// bf16 or a float8 is wanted, and one of i8 or u8 when a narrower integer is, since .npy has no such types;
// any other difference in type or shape is an error with both.
Result<Tensor> read_input(const std::string& path, DType dtype,
                          const std::optional<std::vector<int64_t>>& extents,
                          const InputOptions& options = {});

// `options` with what they leave open filled in from the dtype and extents (-1: any length) that the input of a model
// has; 0 remains for a size that both leave open. An error when no picture fits the rank.
Result<ImageOptions> image_options_for(ImageOptions options, DType dtype,
                                       const std::optional<std::vector<int64_t>>& extents);

// True when `path` holds an array, archive or picture that read_input recognizes by its content.
bool is_recognized_input(const std::string& path);

}  // namespace gannet
