#include "runtime/distribution/kernel_distance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ir/base/random.h"
#include "ir/contraction.h"
#include "runtime/threads/threads.h"

namespace gannet {

namespace {

constexpr int64_t kBlock = 128;

struct Rows {
  std::vector<double> values;
  int64_t count = 0, width = 0;
};

Rows take(const FeatureMatrix& features, std::span<const int64_t> chosen) {
  Rows rows{{}, static_cast<int64_t>(chosen.size()), features.width};
  rows.values.reserve(chosen.size() * static_cast<size_t>(features.width));
  for (const int64_t row : chosen) {
    for (const float value : features.row(row)) rows.values.push_back(static_cast<double>(value));
  }
  return rows;
}

// The sum of the kernel over rows [begin, end) of `left` with all of `right`; of a row with itself too, or
// not.
double kernel_sum(const Rows& left, int64_t begin, int64_t end, const Rows& right, bool without_itself) {
  const int64_t count = end - begin, width = left.width;
  std::vector<double> products(static_cast<size_t>(count * right.count));
  multiply<double>({count, right.count, width}, {left.values.data() + begin * width, width, 1},
                   MatrixView<double>{right.values.data(), 1, width}, {products.data(), right.count, false});
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    double row = 0;
    for (int64_t j = 0; j < right.count; ++j) {
      const double base = products[static_cast<size_t>(i * right.count + j)] / static_cast<double>(width) + 1;
      if (!without_itself || begin + i != j) row += base * base * base;
    }
    sum += row;
  }
  return sum;
}

double kernel_sum(const Rows& left, const Rows& right, bool without_itself, const Threads& threads) {
  const int64_t blocks = (left.count + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  threads.parallel_for(blocks, threads.count(), [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlock, last = std::min(first + kBlock, left.count);
      sums[static_cast<size_t>(block)] = kernel_sum(left, first, last, right, without_itself);
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

double unbiased(const Rows& first, const Rows& second, const Threads& threads) {
  const auto m = static_cast<double>(first.count), n = static_cast<double>(second.count);
  return kernel_sum(first, first, true, threads) / (m * (m - 1)) +
         kernel_sum(second, second, true, threads) / (n * (n - 1)) -
         2 * kernel_sum(first, second, false, threads) / (m * n);
}

Status check(const FeatureMatrix& first, const FeatureMatrix& second) {
  if (first.width != second.width)
    return invalid_input(fmt::format("features of width {} and {}", first.width, second.width));
  if (std::min(first.rows, second.rows) < 2)
    return invalid_input(
        fmt::format("sets of {} and {} pictures: each must have two", first.rows, second.rows));
  return {};
}

// `count` different rows.
std::vector<int64_t> draw(int64_t rows, int64_t count, Random random) {
  std::vector<int64_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const auto other = i + static_cast<int64_t>(random.below(static_cast<uint64_t>(rows - i)));
    std::swap(all[static_cast<size_t>(i)], all[static_cast<size_t>(other)]);
  }
  all.resize(static_cast<size_t>(count));
  return all;
}

std::vector<int64_t> all_rows(const FeatureMatrix& features) {
  std::vector<int64_t> rows(static_cast<size_t>(features.rows));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

}  // namespace

Result<KernelDistance> kernel_distance(const FeatureMatrix& first, const FeatureMatrix& second,
                                       const KernelDistanceOptions& options) {
  TRY(check(first, second));
  const int64_t smaller = std::min(first.rows, second.rows);
  constexpr int64_t kUsual = 1000, kLeast = 2;
  KernelDistance result;
  result.subsets = options.subsets;
  result.subset_size =
      options.subset_size > 0 ? options.subset_size : std::clamp(smaller / 2, kLeast, kUsual);
  if (result.subset_size < kLeast || result.subset_size > smaller) {
    return invalid_input(
        fmt::format("subsets of {} pictures: they take 2 to {}", result.subset_size, smaller));
  }
  const Threads threads(options.threads), alone(1);
  std::vector<double> values(static_cast<size_t>(options.subsets));
  threads.parallel_for(options.subsets, threads.count(), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto stream = 2 * static_cast<uint64_t>(i);
      const Rows left = take(first, draw(first.rows, result.subset_size, Random(options.seed, stream)));
      const Rows right =
          take(second, draw(second.rows, result.subset_size, Random(options.seed, stream + 1)));
      values[static_cast<size_t>(i)] = unbiased(left, right, alone);
    }
  });
  const auto count = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / count);
  return result;
}

Result<double> whole_kernel_distance(const FeatureMatrix& first, const FeatureMatrix& second, int threads) {
  TRY(check(first, second));
  return unbiased(take(first, all_rows(first)), take(second, all_rows(second)), Threads(threads));
}

}  // namespace gannet
