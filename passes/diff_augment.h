// Differentiable augmentation: what the discriminator sees is moved and recoloured, real and generated pictures alike, and
// the gradient passes through to the generator. Zhao et al., "Differentiable augmentation for data-efficient GAN training"
// (2020).
#pragma once

#include <string>
#include <string_view>

#include "ir/builder.h"

namespace gannet {

struct DiffAugmentOptions {
  bool color = false;        // brightness, saturation, contrast
  bool translation = false;  // by up to 1/8 of height and width, zeros outside
  bool cutout = false;       // a rectangle of half the height and half the width becomes 0
  bool channels_last = false;

  bool any() const { return color || translation || cutout; }
};

// "color,translation,cutout", in any order; an error names a part that there is not.
Result<DiffAugmentOptions> parse_diff_augment(std::string_view text);

// How many numbers of [0, 1) a row needs.
inline constexpr int64_t kDiffAugmentDraws = 7;

// `pictures`, floats of [rows, channels, height, width] (channels last: [rows, height, width, channels]) with known height
// and width, as `draws` [rows, kDiffAugmentDraws] of the same dtype say: brightness, saturation, contrast, moves up and
// left, the cutout's place. In the paper's order, with its ranges.
Value* diff_augment(GraphBuilder& b, const DiffAugmentOptions& options, Value* pictures, Value* draws);

}  // namespace gannet
