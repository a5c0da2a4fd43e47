// Where the pixels of a picture go: mirrored, moved, cut out, turned. All sampling is bilinear between pixel
// centres, rounded to 8 bits once.
#pragma once

#include <cstdint>

#include "runtime/data/image.h"

namespace gannet {

void mirror_columns(Image& image);  // left and right change places
void mirror_rows(Image& image);

enum class Border {
  kBlack,    // 0
  kReflect,  // the picture mirrored at its edge, the edge itself not twice
};

// The window of `height` x `width` whose corner is at (top, left), which may lie outside the picture.
Image window(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width, Border border);
// The part of `height` x `width` at (top, left), which lies inside, resized.
Image resized_part(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                   int64_t new_height, int64_t new_width);

// Where a pixel comes from, relative to the middle of the picture: x' = xx x + xy y + x0, y' = yx x + yy y +
// y0.
struct Affine {
  double xx = 1, xy = 0, x0 = 0;
  double yx = 0, yy = 1, y0 = 0;
};

// Each pixel takes the value at its source; what lies outside counts as `outside`.
Image warped(const Image& image, const Affine& source, uint8_t outside = 0);
// Sources that turn the picture counterclockwise, shear its rows (columns) and enlarge it.
Affine turned(double degrees);
Affine sheared(double x_tangent, double y_tangent);
Affine enlarged(double factor);
Affine shifted(double right, double down);  // in pixels

}  // namespace gannet
