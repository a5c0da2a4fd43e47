#include "runtime/training/prefetch.h"

namespace gannet {

void Prefetch::forget() {
  background_.wait();
  ahead_ = -1;
  made_.reset();
}

void Prefetch::begin(int64_t index) {
  ahead_ = index;
  background_.start([this, index] { made_.emplace(source_->read(index)); });
}

void Prefetch::start_epoch(int64_t epoch) {
  forget();
  source_->start_epoch(epoch);
}

void Prefetch::start_in_order() {
  forget();
  source_->start_in_order();
}

Result<BatchColumns> Prefetch::read(int64_t index) {
  background_.wait();
  if (ahead_ != index || !made_) made_.emplace(source_->read(index));
  Result<BatchColumns> batch = *std::move(made_);
  forget();
  if (batch.ok() && index + 1 < per_epoch()) begin(index + 1);
  return batch;
}

}  // namespace gannet
