#include "runtime/distribution/inception_score.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ir/base/random.h"

namespace gannet {

namespace {

double score_of(const FeatureMatrix& probabilities, std::span<const int64_t> rows) {
  std::vector<double> whole(static_cast<size_t>(probabilities.width));
  double certainty = 0;  // the sum of p log p
  for (const int64_t row : rows) {
    const std::span<const float> values = probabilities.row(row);
    for (size_t k = 0; k < values.size(); ++k) {
      const auto p = static_cast<double>(values[k]);
      whole[k] += p;
      if (p > 0) certainty += p * std::log(p);
    }
  }
  const auto count = static_cast<double>(rows.size());
  double divergence = certainty / count;
  for (const double sum : whole) {
    if (sum > 0) divergence -= sum / count * std::log(sum / count);
  }
  return std::exp(divergence);
}

}  // namespace

Result<InceptionScore> inception_score(const FeatureMatrix& probabilities, int64_t splits, uint64_t seed) {
  if (splits < 1 || probabilities.rows < splits)
    return invalid_input(
        fmt::format("an Inception score of {} pictures in {} parts", probabilities.rows, splits));
  std::vector<int64_t> rows(static_cast<size_t>(probabilities.rows));
  std::iota(rows.begin(), rows.end(), 0);
  Random(seed).shuffle(std::span(rows));
  InceptionScore result;
  result.splits = splits;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < splits; ++i) {
    const int64_t begin = i * probabilities.rows / splits, end = (i + 1) * probabilities.rows / splits;
    const double score = score_of(
        probabilities, std::span(rows).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    sum += score;
    squares += score * score;
  }
  const auto count = static_cast<double>(splits);
  result.mean = sum / count;
  result.deviation = std::sqrt(std::max(squares / count - result.mean * result.mean, 0.0));
  return result;
}

}  // namespace gannet
