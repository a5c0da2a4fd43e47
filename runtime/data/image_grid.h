// Pictures beside each other in one.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/data/image.h"

namespace gannet {

// `images`, at least one, row by row in `columns` columns of cells that are as large as the largest of them,
// each picture in the middle of its cell, with `gap` pixels between and around. In colour where one is.
Image image_grid(std::span<const Image> images, int64_t columns, int64_t gap = 2);

// How many columns a grid of `count` pictures has that is about as high as wide.
int64_t square_columns(int64_t count);

}  // namespace gannet
