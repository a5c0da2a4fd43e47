#include "runtime/training/image_tensor.h"

#include <limits>
#include <mutex>
#include <new>
#include <optional>

namespace gannet {

namespace {

// An exception cannot leave a thread of the team.
Result<Image> made_in_memory(const std::function<Result<Image>(int64_t)>& make, int64_t index) {
  try {
    return make(index);
  } catch (const std::bad_alloc&) {
    return io_error("no memory for the pictures of a batch");
  }
}

}  // namespace

Result<std::vector<Image>> make_images(int64_t count, int64_t nanoseconds, const Threads& threads,
                                       const std::function<Result<Image>(int64_t)>& make) {
  std::vector<Image> images(static_cast<size_t>(count));
  std::mutex mutex;
  std::optional<Error> error;
  int64_t failed = std::numeric_limits<int64_t>::max();
  threads.parallel_for(count, threads.workers_for(nanoseconds), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      Result<Image> image = made_in_memory(make, i);
      if (image.ok()) {
        images[static_cast<size_t>(i)] = *std::move(image);
        continue;
      }
      const std::lock_guard lock(mutex);
      if (i < failed) error = image.error();
      failed = std::min(failed, i);
      break;
    }
  });
  if (error) return *error;
  return images;
}

Result<Image> changed_picture(Image image, const ImageOptions& options, const Augmentation* changes,
                              Random& random) {
  const auto fits = [&] { return image.height == options.height && image.width == options.width; };
  if (changes && !changes->resizes() && !fits()) image = TRY(fit_image(image, options));
  if (changes) changes->apply(image, {options.height, options.width}, random);
  if (fits()) return image;
  return fit_image(image, options);
}

Result<Tensor> images_tensor(const std::vector<Image>& images, const ImageOptions& options,
                             const PixelWriter& writer, const Threads& threads) {
  std::vector<int64_t> extents = {static_cast<int64_t>(images.size()), options.channels, options.height,
                                  options.width};
  if (options.layout == ImageLayout::kNhwc)
    extents = {extents[0], options.height, options.width, options.channels};
  Tensor tensor = TRY(Tensor::allocate(options.dtype, extents));
  auto* out = static_cast<std::byte*>(tensor.mutable_raw());
  const int64_t bytes = tensor.bytes() / tensor.extent(0);
  threads.parallel_for(tensor.extent(0), threads.workers_for(tensor.elements() * 2),
                       [&](int64_t begin, int64_t end, int) {
                         for (int64_t i = begin; i < end; ++i)
                           writer.write(images[static_cast<size_t>(i)], out + i * bytes);
                       });
  return tensor;
}

}  // namespace gannet
