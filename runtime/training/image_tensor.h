// Pictures of a batch, made on several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/data/augment/augmentation.h"
#include "runtime/data/image.h"
#include "runtime/threads/threads.h"

namespace gannet {

// Pictures 0 to count - 1, as `make` gives them; it is called from several threads, as many as `nanoseconds`
// of work are worth. The error is that of the first picture that has one, for any number of threads.
Result<std::vector<Image>> make_images(int64_t count, int64_t nanoseconds, const Threads& threads,
                                       const std::function<Result<Image>(int64_t)>& make);
// A picture with the size of `options`, changed at random on the way; null: as it is. It has the channels
// already. What cuts parts out gets the whole picture, other changes one that fits.
Result<Image> changed_picture(Image image, const ImageOptions& options, const Augmentation* changes,
                              Random& random);
// The model's input [pictures, ...] from pictures of the size and channels of `options`.
Result<Tensor> images_tensor(const std::vector<Image>& images, const ImageOptions& options,
                             const PixelWriter& writer, const Threads& threads);

// What a pixel costs about.
inline constexpr int64_t kNanosecondsToCopyPixel = 3, kNanosecondsToDecodePixel = 30;

}  // namespace gannet
