// Pictures with and without labels as the rows of weakly supervised batches.
#pragma once

#include <memory>

#include "runtime/data/augment/augmentation.h"
#include "runtime/training/image_batches.h"
#include "runtime/training/weak_batches.h"

namespace gannet {

struct ImageViewOptions {
  uint64_t seed = 0;
  ImageOptions image;                   // height, width, channels and dtype are those of the model's input
  Augmentation labelled, weak, strong;  // without mixing
  int threads = 0;
};

// Rows are those of `labelled` and of `others`, synthetic ones too; their targets are not looked at.
Result<std::unique_ptr<ViewSource>> make_image_views(std::shared_ptr<const ImageRows> labelled,
                                                     std::shared_ptr<const ImageRows> others,
                                                     ImageViewOptions options);

}  // namespace gannet
