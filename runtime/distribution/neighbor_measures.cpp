#include "runtime/distribution/neighbor_measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "ir/contraction.h"
#include "runtime/threads/threads.h"

namespace gannet {

namespace {

constexpr int64_t kRowBlock = 128, kColumnBlock = 2048;
constexpr double kFar = std::numeric_limits<double>::infinity();

struct Points {
  std::vector<double> values, norms;  // norms: squared
  int64_t count = 0, width = 0;
};

// Rows less `center`, so that squared distances lose fewer digits.
Points centered(const FeatureMatrix& features, const std::vector<double>& center) {
  Points points{{}, {}, features.rows, features.width};
  points.values.reserve(features.values.size());
  for (int64_t i = 0; i < features.rows; ++i) {
    double norm = 0;
    const std::span<const float> row = features.row(i);
    for (size_t k = 0; k < row.size(); ++k) {
      const double value = static_cast<double>(row[k]) - center[k];
      points.values.push_back(value);
      norm += value * value;
    }
    points.norms.push_back(norm);
  }
  return points;
}

// Squared distances of rows [first, first + rows) of `left` to columns [column, column + columns) of `right`.
struct DistanceBlock {
  int64_t first = 0, rows = 0, column = 0, columns = 0;
  std::vector<double> values;

  double at(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * columns + j)]; }
};

void measure(const Points& left, const Points& right, DistanceBlock& block) {
  block.values.resize(static_cast<size_t>(block.rows * block.columns));
  const int64_t width = left.width;
  multiply<double>({block.rows, block.columns, width}, {left.values.data() + block.first * width, width, 1},
                   MatrixView<double>{right.values.data() + block.column * width, 1, width},
                   {block.values.data(), block.columns, false});
  for (int64_t i = 0; i < block.rows; ++i) {
    double* row = block.values.data() + i * block.columns;
    const double norm = left.norms[static_cast<size_t>(block.first + i)];
    const double* norms = right.norms.data() + block.column;
    for (int64_t j = 0; j < block.columns; ++j) row[j] = std::max(norm + norms[j] - 2 * row[j], 0.0);
  }
}

// Calls visit(block, thread) with all distances, those of a row on one thread, columns ascending.
void for_each_block(const Points& left, const Points& right, const Threads& threads,
                    const std::function<void(const DistanceBlock&, int)>& visit) {
  const int64_t blocks = (left.count + kRowBlock - 1) / kRowBlock;
  threads.parallel_for(blocks, threads.count(), [&](int64_t begin, int64_t end, int thread) {
    DistanceBlock block;
    for (int64_t b = begin; b < end; ++b) {
      block.first = b * kRowBlock;
      block.rows = std::min(kRowBlock, left.count - block.first);
      for (block.column = 0; block.column < right.count; block.column += kColumnBlock) {
        block.columns = std::min(kColumnBlock, right.count - block.column);
        measure(left, right, block);
        visit(block, thread);
      }
    }
  });
}

// Squared distances of each point to its nearest others, `most` of them, ascending.
std::vector<double> nearest_others(const Points& points, int64_t most, const Threads& threads) {
  std::vector<double> nearest(static_cast<size_t>(points.count * most), kFar);
  for_each_block(points, points, threads, [&](const DistanceBlock& block, int) {
    for (int64_t i = 0; i < block.rows; ++i) {
      double* own = nearest.data() + (block.first + i) * most;
      for (int64_t j = 0; j < block.columns; ++j) {
        const double distance = block.at(i, j);
        if (distance >= own[most - 1] || block.column + j == block.first + i) continue;
        double* place = std::upper_bound(own, own + most, distance);
        std::copy_backward(place, own + most - 1, own + most);
        *place = distance;
      }
    }
  });
  return nearest;
}

std::vector<double> radii(const std::vector<double>& nearest, int64_t most, int64_t k) {
  std::vector<double> radius;
  for (size_t i = 0; i < nearest.size(); i += static_cast<size_t>(most))
    radius.push_back(nearest[i + static_cast<size_t>(k - 1)]);
  return radius;
}

struct Balls {
  std::vector<double> manifold, density;  // squared radii
};

Balls balls_of(const Points& points, const NeighborOptions& options, const Threads& threads) {
  const int64_t most = std::max(options.manifold_neighbors, options.density_neighbors);
  const std::vector<double> nearest = nearest_others(points, most, threads);
  return {radii(nearest, most, options.manifold_neighbors), radii(nearest, most, options.density_neighbors)};
}

// Of one thread: which rows are in a ball of the others, and in how many.
struct Found {
  int64_t balls = 0;  // of density
  std::vector<uint8_t> generated_in, real_in, covered;
};

Found merged(const std::vector<Found>& found) {
  Found all = found[0];
  for (const Found& one : found) {
    if (&one == &found[0]) continue;
    all.balls += one.balls;
    for (size_t i = 0; i < all.generated_in.size(); ++i) all.generated_in[i] |= one.generated_in[i];
    for (size_t i = 0; i < all.real_in.size(); ++i) {
      all.real_in[i] |= one.real_in[i];
      all.covered[i] |= one.covered[i];
    }
  }
  return all;
}

double share(const std::vector<uint8_t>& flags) {
  return static_cast<double>(std::ranges::count(flags, uint8_t{1})) / static_cast<double>(flags.size());
}

NeighborMeasures compare(const Points& real, const Points& generated, const NeighborOptions& options,
                         const Threads& threads) {
  const Balls around_real = balls_of(real, options, threads),
              around_generated = balls_of(generated, options, threads);
  const auto reals = static_cast<size_t>(real.count), fakes = static_cast<size_t>(generated.count);
  std::vector<Found> found(
      static_cast<size_t>(threads.count()),
      {0, std::vector<uint8_t>(fakes), std::vector<uint8_t>(reals), std::vector<uint8_t>(reals)});
  for_each_block(generated, real, threads, [&](const DistanceBlock& block, int thread) {
    Found& own = found[static_cast<size_t>(thread)];
    for (int64_t i = 0; i < block.rows; ++i) {
      const auto fake = static_cast<size_t>(block.first + i);
      for (int64_t j = 0; j < block.columns; ++j) {
        const auto truth = static_cast<size_t>(block.column + j);
        const double distance = block.at(i, j);
        if (distance <= around_real.manifold[truth]) own.generated_in[fake] = 1;
        if (distance <= around_generated.manifold[fake]) own.real_in[truth] = 1;
        if (distance > around_real.density[truth]) continue;
        ++own.balls;
        own.covered[truth] = 1;
      }
    }
  });
  const Found all = merged(found);
  NeighborMeasures result;
  result.precision = share(all.generated_in);
  result.recall = share(all.real_in);
  result.density =
      static_cast<double>(all.balls) / static_cast<double>(options.density_neighbors * generated.count);
  result.coverage = share(all.covered);
  return result;
}

}  // namespace

Result<NeighborMeasures> neighbor_measures(const FeatureMatrix& real, const FeatureMatrix& generated,
                                           const NeighborOptions& options) {
  if (real.width != generated.width)
    return invalid_input(fmt::format("features of width {} and {}", real.width, generated.width));
  const int64_t least = std::min(options.manifold_neighbors, options.density_neighbors),
                most = std::max(options.manifold_neighbors, options.density_neighbors);
  if (least < 1 || std::min(real.rows, generated.rows) <= most) {
    return invalid_input(fmt::format("{} and {} nearest neighbours in sets of {} and {} pictures",
                                     options.manifold_neighbors, options.density_neighbors, real.rows,
                                     generated.rows));
  }
  std::vector<double> center(static_cast<size_t>(real.width));
  for (int64_t i = 0; i < real.rows; ++i) {
    for (size_t k = 0; k < center.size(); ++k) center[k] += static_cast<double>(real.row(i)[k]);
  }
  for (double& value : center) value /= static_cast<double>(real.rows);
  return compare(centered(real, center), centered(generated, center), options, Threads(options.threads));
}

}  // namespace gannet
