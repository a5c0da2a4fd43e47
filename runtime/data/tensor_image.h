// Tensors of numbers as pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "runtime/data/image.h"

namespace gannet {

// The values that black and white have.
struct ValueRange {
  double low = -1, high = 1;

  friend bool operator==(const ValueRange&, const ValueRange&) = default;
};

struct TensorImageOptions {
  ValueRange range;
  // Where the channels are; not given: that of the two in which the tensor has 1 or 3 of them, NCHW where
  // both do.
  std::optional<ImageLayout> layout;
  ChannelOrder order = ChannelOrder::kRgb;
};

// The pictures of a tensor of real numbers [N, C, H, W] or [N, H, W, C] with 1 or 3 channels, or [N, H, W],
// or [N, H * W] of square pictures, grey or, where H * W is three squares and no square, planes of colours.
// Values beyond the range become black and white, what is no number middle grey.
Result<std::vector<Image>> images_of(const Tensor& tensor, const TensorImageOptions& options = {});

// All of them beside each other (image_grid.h), in `columns` columns; 0: as many as make a square.
Result<Image> tensor_grid(const Tensor& tensor, const TensorImageOptions& options = {}, int64_t columns = 0);

}  // namespace gannet
