// Pictures as batches for a model: augmented where one trains, as they are where one evaluates.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/data/augment/augmentation.h"
#include "runtime/data/image_store.h"
#include "runtime/threads/threads.h"
#include "runtime/training/batch_source.h"
#include "runtime/training/synthetic_rows.h"

namespace gannet {

// What rows are made of. Row r is picture pictures[r] of the store, with row r of the target; rows behind
// them are synthetic.
struct ImageRows {
  std::shared_ptr<ImageStore> store;  // of pictures with image.channels channels
  std::vector<int64_t> pictures;
  Tensor target;
  SyntheticRows synthetic = {};
  Tensor target_of_class = {};  // a row for each class, as targets_of takes them

  int64_t files() const { return static_cast<int64_t>(pictures.size()); }
};

struct ImageBatchOptions {
  int64_t batch_size = 32;
  uint64_t seed = 0;
  bool join_lone_row = false;            // one row left at the end joins the batch before it
  ImageOptions image;                    // height, width, channels and dtype are those of the model's input
  Augmentation augmentation;             // mixing needs a target f32 [rows, classes]
  std::vector<int64_t> balance_by = {};  // the class of each row of ImageRows: all come equally often
  int threads = 0;
};

// Columns: the pictures, then the target. Batches do not depend on the number of threads. Synthetic rows are
// mixed with the others, new ones in each epoch; in order they come last.
class ImageBatches final : public BatchSource {
 public:
  // Of the rows with these numbers.
  static Result<std::unique_ptr<ImageBatches>> make(std::shared_ptr<const ImageRows> source,
                                                    std::vector<int64_t> rows, ImageBatchOptions options);

  int64_t rows() const override { return static_cast<int64_t>(rows_.size()) + source_->synthetic.per_pass; }
  int64_t per_epoch() const override;
  void start_epoch(int64_t epoch) override;
  void start_in_order() override;
  Result<BatchColumns> read(int64_t index) override;

 private:
  ImageBatches(std::shared_ptr<const ImageRows> source, std::vector<int64_t> rows, ImageBatchOptions options,
               PixelWriter writer)
      : source_(std::move(source)),
        rows_(std::move(rows)),
        options_(std::move(options)),
        writer_(std::move(writer)),
        threads_(options_.threads) {}
  // `place` is that of the epoch: a row that comes twice in one looks otherwise each time.
  Result<Image> picture(int64_t row, int64_t place, const std::map<int64_t, Image>& synthetic) const;
  Result<std::vector<Image>> make_pictures(std::span<const int64_t> rows, int64_t first) const;

  std::shared_ptr<const ImageRows> source_;
  std::vector<int64_t> rows_, order_;
  ImageBatchOptions options_;
  PixelWriter writer_;
  Threads threads_;
  int64_t epoch_ = -1;  // -1: in order, without augmentation
};

// Pictures [rows, ...] of this layout with left and right changed.
Tensor mirrored_pictures(const Tensor& pictures, ImageLayout layout);

}  // namespace gannet
