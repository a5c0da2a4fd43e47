#include "runtime/distribution/feature_moments.h"

#include <algorithm>

#include "ir/base/check.h"
#include "ir/contraction.h"

namespace gannet {

namespace {

constexpr int64_t kBlockRows = 256;
constexpr int64_t kPanel = 64;  // rows of the covariance that one thread computes at a time

}  // namespace

FeatureMoments::FeatureMoments(int64_t width, int threads)
    : width_(width),
      threads_(threads),
      mean_(static_cast<size_t>(width)),
      squares_(static_cast<size_t>(width * width)) {
  CHECK(width > 0, "features of width {}", width);
}

void FeatureMoments::add(std::span<const float> rows) {
  const auto width = static_cast<size_t>(width_);
  CHECK(rows.size() % width == 0, "{} values in rows of {}", rows.size(), width);
  for (size_t i = 0; i < rows.size(); i += width) {
    for (size_t k = 0; k < width; ++k) block_.push_back(static_cast<double>(rows[i + k]));
    if (static_cast<int64_t>(block_.size()) == kBlockRows * width_) merge_block();
  }
}

void FeatureMoments::merge_block() {
  const int64_t rows = static_cast<int64_t>(block_.size()) / width_;
  if (rows == 0) return;
  const auto width = static_cast<size_t>(width_);
  std::vector<double> mean(width);
  for (size_t i = 0; i < block_.size(); ++i) mean[i % width] += block_[i];
  for (double& value : mean) value /= static_cast<double>(rows);
  for (size_t i = 0; i < block_.size(); ++i) block_[i] -= mean[i % width];
  const auto before = static_cast<double>(count_), own = static_cast<double>(rows), all = before + own;
  std::vector<double> delta(width);
  for (size_t k = 0; k < width; ++k) delta[k] = mean[k] - mean_[k];
  const int64_t panels = (width_ + kPanel - 1) / kPanel;
  threads_.parallel_for(panels, threads_.count(), [&](int64_t begin, int64_t end, int) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanel, count = std::min(kPanel, width_ - first);
      multiply<double>({count, width_ - first, rows}, {block_.data() + first, 1, width_},
                       MatrixView<double>{block_.data() + first, width_, 1},
                       {squares_.data() + first * width_ + first, width_, true});
      for (int64_t i = first; i < first + count; ++i) {
        const double factor = delta[static_cast<size_t>(i)] * before * own / all;
        double* out = squares_.data() + i * width_;
        for (int64_t j = first; j < width_; ++j) out[j] += factor * delta[static_cast<size_t>(j)];
      }
    }
  });
  for (size_t k = 0; k < width; ++k) mean_[k] += delta[k] * own / all;
  count_ += rows;
  block_.clear();
}

MeanAndCovariance FeatureMoments::moments() const {
  FeatureMoments whole = *this;
  whole.merge_block();
  CHECK(whole.count_ > 1, "moments of {} rows", whole.count_);
  MeanAndCovariance result{whole.count_, std::move(whole.mean_), std::move(whole.squares_)};
  for (int64_t i = 0; i < width_; ++i) {
    for (int64_t j = i; j < width_; ++j) {
      double& upper = result.covariance[static_cast<size_t>(i * width_ + j)];
      upper /= static_cast<double>(result.count - 1);
      result.covariance[static_cast<size_t>(j * width_ + i)] = upper;
    }
  }
  return result;
}

}  // namespace gannet
