#include "runtime/training/image_batches.h"

#include <algorithm>
#include <cstring>

#include "runtime/training/batches.h"
#include "runtime/training/image_tensor.h"
#include "runtime/training/row_order.h"

namespace gannet {

Result<std::unique_ptr<ImageBatches>> ImageBatches::make(std::shared_ptr<const ImageRows> source,
                                                         std::vector<int64_t> rows,
                                                         ImageBatchOptions options) {
  CHECK(!rows.empty() && options.batch_size > 0, "{} rows in batches of {}", rows.size(), options.batch_size);
  const ImageOptions& image = options.image;
  CHECK(image.height > 0 && image.width > 0 && image.channels > 0, "{} x {} x {}", image.height, image.width,
        image.channels);
  if (!options.augmentation.mixing().empty() &&
      (source->target.dtype() != DType::kF32 || source->target.rank() < 2))
    return invalid_input("mixup and cutmix need targets of numbers for each class, not " +
                         type_string(source->target));
  PixelWriter writer = TRY(PixelWriter::make(image, image.channels));
  options.batch_size = std::min(options.batch_size, static_cast<int64_t>(rows.size()));
  std::unique_ptr<ImageBatches> batches(
      new ImageBatches(std::move(source), std::move(rows), std::move(options), std::move(writer)));
  batches->start_in_order();
  return batches;
}

int64_t ImageBatches::per_epoch() const {
  const int64_t size = options_.batch_size, left = rows() % size;
  const bool joined = options_.join_lone_row && size > 1 && left == 1;
  return std::max<int64_t>(rows() / size + (left > 0 && !joined), 1);
}

void ImageBatches::start_in_order() {
  epoch_ = -1;
  order_ = rows_;
}

void ImageBatches::start_epoch(int64_t epoch) {
  epoch_ = epoch;
  std::vector<int64_t> places;
  if (options_.balance_by.empty()) {
    places = shuffled_rows(rows(), options_.seed, epoch);
  } else {
    std::vector<int64_t> classes;
    for (const int64_t row : rows_) classes.push_back(options_.balance_by[static_cast<size_t>(row)]);
    places = balanced_rows(classes, options_.seed, epoch);
  }
  order_.clear();
  for (const int64_t place : places) order_.push_back(rows_[static_cast<size_t>(place)]);
}

Result<Image> ImageBatches::picture(int64_t row, int64_t place) const {
  const auto kept = TRY(source_->store->get(source_->pictures[static_cast<size_t>(row)]));
  const ImageOptions& options = options_.image;
  Image image = *kept;
  if (epoch_ >= 0) {
    Random random = augment_random(options_.seed, epoch_, place);
    options_.augmentation.apply(image, {options.height, options.width}, random);
  }
  if (image.height == options.height && image.width == options.width) return image;
  return fit_image(image, options);
}

Result<std::vector<Image>> ImageBatches::make_pictures(std::span<const int64_t> rows, int64_t first) const {
  const int64_t per_pixel =
      source_->store->is_complete() ? kNanosecondsToCopyPixel : kNanosecondsToDecodePixel;
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t cost = count * options_.image.height * options_.image.width * per_pixel;
  return make_images(count, cost, threads_,
                     [&](int64_t i) { return picture(rows[static_cast<size_t>(i)], first + i); });
}

Result<BatchColumns> ImageBatches::read(int64_t index) {
  CHECK(index >= 0 && index < per_epoch(), "batch {} of {}", index, per_epoch());
  const int64_t first = index * options_.batch_size;
  const int64_t count = index == per_epoch() - 1 ? rows() - first : options_.batch_size;
  const std::span<const int64_t> rows(order_.data() + first, static_cast<size_t>(count));
  std::vector<Image> images = TRY(make_pictures(rows, first));
  Tensor target = take_rows({{"", source_->target}}, rows)[0].second;
  if (epoch_ >= 0 && !options_.augmentation.mixing().empty()) {
    Random random = mixing_random(options_.seed, epoch_, index);
    mix_batch(images, target, options_.augmentation.mixing(), random);
  }
  BatchColumns columns;
  columns.push_back(TRY(images_tensor(images, options_.image, writer_, threads_)));
  columns.push_back(std::move(target));
  return columns;
}

Tensor mirrored_pictures(const Tensor& pictures, ImageLayout layout) {
  const bool planar = layout == ImageLayout::kNchw;
  const int64_t width = pictures.extent(planar ? 3 : 2);
  const auto pixel = static_cast<size_t>(element_size(pictures.dtype()) * (planar ? 1 : pictures.extent(3)));
  Tensor result = Tensor::zeros(pictures.dtype(), pictures.extents());
  const auto* from = static_cast<const std::byte*>(pictures.raw());
  auto* to = static_cast<std::byte*>(result.mutable_raw());
  const int64_t rows = pictures.elements() == 0 ? 0 : pictures.bytes() / (width * static_cast<int64_t>(pixel));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t x = 0; x < width; ++x) {
      std::memcpy(to + static_cast<size_t>(row * width + x) * pixel,
                  from + static_cast<size_t>(row * width + width - 1 - x) * pixel, pixel);
    }
  }
  return result;
}

}  // namespace gannet
