// A batch source whose next batch is made while the caller works on the present one.
#pragma once

#include <memory>
#include <optional>

#include "runtime/threads/background.h"
#include "runtime/training/batch_source.h"

namespace gannet {

// Gives what `source` gives. Batches that are read in order cost the caller only what the work on the one
// before did not hide; any other order is as good as without.
class Prefetch final : public BatchSource {
 public:
  explicit Prefetch(std::unique_ptr<BatchSource> source) : source_(std::move(source)) {}
  ~Prefetch() override { background_.wait(); }

  int64_t rows() const override { return source_->rows(); }
  int64_t per_epoch() const override { return source_->per_epoch(); }
  void start_epoch(int64_t epoch) override;
  void start_in_order() override;
  Result<BatchColumns> read(int64_t index) override;

 private:
  void forget();
  void begin(int64_t index);

  std::unique_ptr<BatchSource> source_;
  int64_t ahead_ = -1;  // the batch that is being made; -1: none
  std::optional<Result<BatchColumns>> made_;
  Background background_;
};

}  // namespace gannet
