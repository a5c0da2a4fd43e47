#include "ir/ops/resize_axis.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gannet {
namespace {

// The extent that the scale asks for, which need not be whole.
float scaled_extent(const ResizeAxis& axis) { return axis.scale * static_cast<float>(axis.input); }

// The coordinate of the input that coordinate `o` of the result lies at.
float original_coordinate(const ResizeAxis& axis, std::string_view transformation, int64_t o) {
  const float x = static_cast<float>(o), input = static_cast<float>(axis.input), output = scaled_extent(axis);
  if (transformation == "asymmetric") return x / axis.scale;
  if (transformation == "align_corners") return output == 1 ? 0 : x * (input - 1) / (output - 1);
  if (transformation == "pytorch_half_pixel" && axis.output <= 1) return 0;
  if (transformation == "tf_half_pixel_for_nn") return (x + 0.5f) / axis.scale;
  if (transformation == "tf_crop_and_resize") {
    const float span = (axis.roi_end - axis.roi_start) * (input - 1);
    return axis.roi_start * (input - 1) + (output == 1 ? span / 2 : x * span / (output - 1));
  }
  const float centred = (x + 0.5f) / axis.scale - 0.5f;
  if (transformation != "half_pixel_symmetric") return centred;
  return input / 2 * (1 - static_cast<float>(axis.output) / output) + centred;
}

bool is_extrapolated(const ResizeAxis& axis, std::string_view transformation, float x) {
  return transformation == "tf_crop_and_resize" && !(x >= 0 && x <= static_cast<float>(axis.input - 1));
}

// A coordinate kept within what converts to an integer: sampling clamps it to the input anyway.
float tamed(float x, int64_t input) {
  const float far = 4.0f * static_cast<float>(input) + 16;
  return std::isnan(x) ? 0 : std::clamp(x, -far, far);
}

// R. Keys, "Cubic convolution interpolation for digital image processing" (1981), equation 4.
float cubic_kernel(float x, float a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

float linear_kernel(float x) { return std::max(0.0f, 1 - std::abs(x)); }

}  // namespace

void nearest_coordinates(const ResizeAxis& axis, const Attributes& attrs, std::span<int64_t> coordinates) {
  const std::string_view transformation = attrs.text("coordinate_transformation_mode"),
                         mode = attrs.text("nearest_mode");
  if (axis.identity(transformation)) return std::iota(coordinates.begin(), coordinates.end(), int64_t{0});
  for (int64_t o = 0; o < axis.output; ++o) {
    float x = original_coordinate(axis, transformation, o);
    if (is_extrapolated(axis, transformation, x)) {
      coordinates[static_cast<size_t>(o)] = -1;
      continue;
    }
    x = tamed(x, axis.input);
    float nearest = std::floor(x);
    const float fraction = x - nearest;
    if (mode == "ceil")
      nearest = std::ceil(x);
    else if (mode == "round_prefer_ceil")
      nearest += fraction >= 0.5f ? 1 : 0;
    else if (mode != "floor")
      nearest += fraction > 0.5f ? 1 : 0;
    coordinates[static_cast<size_t>(o)] =
        std::clamp<int64_t>(static_cast<int64_t>(nearest), 0, axis.input - 1);
  }
}

ResizeWeights interpolation_weights(const ResizeAxis& axis, const Attributes& attrs, int64_t first_output,
                                    int64_t outputs) {
  const std::string_view transformation = attrs.text("coordinate_transformation_mode");
  const bool cubic = attrs.text("mode") == "cubic", exclude_outside = attrs.integer("exclude_outside") != 0;
  const float a = attrs.number("cubic_coeff_a"), radius = cubic ? 2 : 1;
  // Antialiasing widens the kernel when the axis shrinks.
  const bool widened = attrs.integer("antialias") != 0 && axis.scale < 1;
  const float stretch = widened ? axis.scale : 1;
  const int64_t reach = static_cast<int64_t>(std::ceil(radius / stretch));
  ResizeWeights result;
  result.first = first_output;
  result.outputs = outputs;
  result.count = 2 * reach;
  for (int64_t o = first_output; o < first_output + outputs; ++o) {
    const float original = original_coordinate(axis, transformation, o);
    const float x = tamed(original, axis.input);
    const int64_t first = static_cast<int64_t>(std::ceil(x)) - reach;
    const size_t start = result.weights.size();
    float sum = 0;
    for (int64_t i = first; i < first + result.count; ++i) {
      const float distance = (static_cast<float>(i) - x) * stretch;
      float weight = cubic ? cubic_kernel(distance, a) : linear_kernel(distance);
      if (exclude_outside && (i < 0 || i >= axis.input)) weight = 0;
      sum += weight;
      result.weights.push_back(weight);
      result.indices.push_back(std::clamp<int64_t>(i, 0, axis.input - 1));
    }
    if ((exclude_outside || widened) && sum != 0) {
      for (size_t i = start; i < result.weights.size(); ++i) result.weights[i] /= sum;
    }
    if (is_extrapolated(axis, transformation, original)) result.indices[start] = -1;
  }
  return result;
}

}  // namespace gannet
