#include "runtime/training/image_batches.h"

#include <algorithm>
#include <cstring>

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
  options.batch_size =
      std::min(options.batch_size, static_cast<int64_t>(rows.size()) + source->synthetic.per_pass);
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
  order_.insert(order_.end(), static_cast<size_t>(source_->synthetic.per_pass), kFreshRow);
  number_fresh(order_, source_->files());
}

void ImageBatches::start_epoch(int64_t epoch) {
  epoch_ = epoch;
  std::vector<int64_t> all = rows_;
  const bool balanced = !options_.balance_by.empty();
  if (balanced) {
    std::vector<int64_t> classes;
    for (const int64_t row : rows_) classes.push_back(options_.balance_by[static_cast<size_t>(row)]);
    all.clear();
    for (const int64_t place : balanced_rows(classes, options_.seed, epoch))
      all.push_back(rows_[static_cast<size_t>(place)]);
  }
  const int64_t fresh = source_->synthetic.per_pass;
  order_.clear();
  if (balanced && fresh == 0) {
    order_ = std::move(all);
    return;
  }
  all.insert(all.end(), static_cast<size_t>(fresh), kFreshRow);
  for (const int64_t place : shuffled_rows(static_cast<int64_t>(all.size()), options_.seed, epoch))
    order_.push_back(all[static_cast<size_t>(place)]);
  number_fresh(order_, source_->files() + epoch * fresh);
}

Result<Image> ImageBatches::picture(int64_t row, int64_t place,
                                    const std::map<int64_t, Image>& synthetic) const {
  Random random = augment_random(options_.seed, std::max<int64_t>(epoch_, 0), place);
  const Augmentation* changes = epoch_ >= 0 ? &options_.augmentation : nullptr;
  if (row >= source_->files()) return changed_picture(synthetic.at(row), options_.image, changes, random);
  const auto kept = TRY(source_->store->get(source_->pictures[static_cast<size_t>(row)]));
  return changed_picture(*kept, options_.image, changes, random);
}

Result<std::vector<Image>> ImageBatches::make_pictures(std::span<const int64_t> rows, int64_t first) const {
  const int64_t per_pixel =
      source_->store->is_complete() ? kNanosecondsToCopyPixel : kNanosecondsToDecodePixel;
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t cost = count * options_.image.height * options_.image.width * per_pixel;
  const std::map<int64_t, Image> synthetic =
      TRY(synthetic_pictures(source_->synthetic, source_->files(), rows));
  return make_images(count, cost, threads_,
                     [&](int64_t i) { return picture(rows[static_cast<size_t>(i)], first + i, synthetic); });
}

Result<BatchColumns> ImageBatches::read(int64_t index) {
  CHECK(index >= 0 && index < per_epoch(), "batch {} of {}", index, per_epoch());
  const int64_t first = index * options_.batch_size;
  const int64_t count = index == per_epoch() - 1 ? rows() - first : options_.batch_size;
  const std::span<const int64_t> rows(order_.data() + first, static_cast<size_t>(count));
  std::vector<Image> images = TRY(make_pictures(rows, first));
  Tensor target = targets_of(source_->target, source_->synthetic, source_->target_of_class, rows);
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
