// How Resize samples one axis: for each coordinate of the result, which elements of the input it takes with
// which weights. Axes are independent, so a resize is one such step an axis.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/error.h"

namespace gannet {

// One axis of a resize whose extents are known. Coordinates are computed in f32, as runtimes do.
struct ResizeAxis {
  int64_t input = 1;
  int64_t output = 1;
  float scale = 1;
  float roi_start = 0;
  float roi_end = 1;

  // Every element stays where it is.
  bool identity(std::string_view transformation) const {
    const bool cropped = transformation == "tf_crop_and_resize" && (roi_start != 0 || roi_end != 1);
    return input == output && scale == 1 && !cropped;
  }
};

// For each coordinate of the result the nearest coordinate of the input; -1 for the extrapolation value.
void nearest_coordinates(const ResizeAxis& axis, const Attributes& attrs, std::span<int64_t> coordinates);

// Some neighbouring coordinates of the result, from `first` on. Coordinate first + o is the sum of
// weights[o * count + i] * input[indices[o * count + i]] over i < count; an index of -1 in its first place
// stands for the extrapolation value.
struct ResizeWeights {
  int64_t first = 0;
  int64_t outputs = 0;
  int64_t count = 0;
  std::vector<int64_t> indices;
  std::vector<float> weights;
};
ResizeWeights interpolation_weights(const ResizeAxis& axis, const Attributes& attrs, int64_t first,
                                    int64_t outputs);

}  // namespace gannet
