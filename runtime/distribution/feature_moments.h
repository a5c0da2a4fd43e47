// Mean and covariance of rows that come in pieces, none of which is kept.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/threads/threads.h"

namespace gannet {

struct MeanAndCovariance {
  int64_t count = 0;
  std::vector<double> mean;        // [width]
  std::vector<double> covariance;  // [width, width], divided by count - 1

  int64_t width() const { return static_cast<int64_t>(mean.size()); }
};

// Blocks of rows, whose own moments are merged with those of the rows before them (T. Chan, G. Golub and R.
// LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979). How the rows
// are cut into calls of add changes nothing.
class FeatureMoments {
 public:
  FeatureMoments(int64_t width, int threads);
  // Whole rows, one after the other.
  void add(std::span<const float> rows);
  // Of all rows so far, at least two.
  MeanAndCovariance moments() const;

 private:
  void merge_block();

  int64_t width_ = 0, count_ = 0;
  Threads threads_;
  std::vector<double> mean_, squares_;  // squares_: sums of products of deviations, above the diagonal
  std::vector<double> block_;           // rows that wait to be merged
};

}  // namespace gannet
