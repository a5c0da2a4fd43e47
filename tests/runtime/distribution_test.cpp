// Each measure against its definition, computed slowly in f64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/base/random.h"
#include "runtime/distribution/feature_moments.h"
#include "runtime/distribution/frechet_distance.h"
#include "runtime/distribution/inception_score.h"
#include "runtime/distribution/kernel_distance.h"
#include "runtime/distribution/neighbor_measures.h"

namespace gannet {
namespace {

using testing::HasSubstr;
using Square = std::vector<std::vector<double>>;

// Correlated rows around `shift`; columns from `rank` on are combinations of those before.
FeatureMatrix sample(int64_t rows, int64_t width, int64_t rank, double shift, uint64_t seed) {
  FeatureMatrix features{rows, width, {}};
  Random random(seed), mixing(99);
  std::vector<double> mix(static_cast<size_t>(width * rank));
  for (double& value : mix) value = mixing.normal();
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<double> hidden;
    for (int64_t k = 0; k < rank; ++k)
      hidden.push_back(random.normal() * (1 + 0.1 * static_cast<double>(k)) + shift);
    for (int64_t j = 0; j < width; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < rank; ++k)
        sum += mix[static_cast<size_t>(j * rank + k)] * hidden[static_cast<size_t>(k)];
      features.values.push_back(static_cast<float>(sum));
    }
  }
  return features;
}

MeanAndCovariance moments_of(const FeatureMatrix& features, int threads = 2) {
  FeatureMoments moments(features.width, threads);
  moments.add(features.values);
  return moments.moments();
}

// Jacobi's rotations: eigenvalues, and eigenvectors as columns of `vectors`.
std::vector<double> eigenvalues(Square a, Square& vectors) {
  const size_t n = a.size();
  vectors.assign(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i) vectors[i][i] = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        if (a[p][q] == 0) continue;
        const double angle = 0.5 * std::atan2(2 * a[p][q], a[q][q] - a[p][p]);
        const double c = std::cos(angle), s = std::sin(angle);
        auto rotate = [&](double& x, double& y) {
          const double before = x;
          x = c * before - s * y;
          y = s * before + c * y;
        };
        for (size_t k = 0; k < n; ++k) rotate(a[k][p], a[k][q]);
        for (size_t k = 0; k < n; ++k) rotate(a[p][k], a[q][k]);
        for (size_t k = 0; k < n; ++k) rotate(vectors[k][p], vectors[k][q]);
      }
    }
  }
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) values.push_back(a[i][i]);
  return values;
}

Square product(const Square& a, const Square& b) {
  Square c(a.size(), std::vector<double>(b[0].size()));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t k = 0; k < b.size(); ++k) {
      for (size_t j = 0; j < b[0].size(); ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

Square root_of(const Square& a) {
  Square vectors;
  const std::vector<double> values = eigenvalues(a, vectors);
  Square left = vectors, right = vectors;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a.size(); ++j) {
      left[i][j] = vectors[i][j] * std::sqrt(std::max(values[j], 0.0));
      right[j][i] = vectors[i][j];
    }
  }
  return product(left, right);
}

// The sum of the singular values, by one-sided rotations (Hestenes 1958): columns are turned until they are
// orthogonal.
double nuclear_norm(Square a) {
  const size_t n = a[0].size();
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        double of_p = 0, of_q = 0, both = 0;
        for (const auto& row : a) {
          of_p += row[p] * row[p];
          of_q += row[q] * row[q];
          both += row[p] * row[q];
        }
        if (both == 0) continue;
        const double angle = 0.5 * std::atan2(2 * both, of_q - of_p);
        const double c = std::cos(angle), s = std::sin(angle);
        for (auto& row : a) {
          const double before = row[p];
          row[p] = c * before - s * row[q];
          row[q] = s * before + c * row[q];
        }
      }
    }
  }
  double sum = 0;
  for (size_t k = 0; k < n; ++k) {
    double square = 0;
    for (const auto& row : a) square += row[k] * row[k];
    sum += std::sqrt(square);
  }
  return sum;
}

struct SlowMoments {
  std::vector<double> mean;
  Square covariance;
};

SlowMoments slow_moments(const FeatureMatrix& features) {
  const auto width = static_cast<size_t>(features.width);
  SlowMoments result{std::vector<double>(width), Square(width, std::vector<double>(width))};
  const auto rows = static_cast<double>(features.rows);
  for (int64_t i = 0; i < features.rows; ++i) {
    for (size_t k = 0; k < width; ++k) result.mean[k] += static_cast<double>(features.row(i)[k]) / rows;
  }
  for (int64_t i = 0; i < features.rows; ++i) {
    for (size_t a = 0; a < width; ++a) {
      for (size_t b = 0; b < width; ++b) {
        result.covariance[a][b] += (static_cast<double>(features.row(i)[a]) - result.mean[a]) *
                                   (static_cast<double>(features.row(i)[b]) - result.mean[b]) / (rows - 1);
      }
    }
  }
  return result;
}

double slow_frechet(const FeatureMatrix& first, const FeatureMatrix& second) {
  const SlowMoments a = slow_moments(first), b = slow_moments(second);
  double distance = -2 * nuclear_norm(product(root_of(a.covariance), root_of(b.covariance)));
  for (size_t i = 0; i < a.mean.size(); ++i) {
    distance += a.covariance[i][i] + b.covariance[i][i] + std::pow(a.mean[i] - b.mean[i], 2);
  }
  return distance;
}

double squared_distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return sum;
}

double kernel(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return std::pow(sum / static_cast<double>(a.size()) + 1, 3);
}

double slow_kernel_distance(const FeatureMatrix& a, const FeatureMatrix& b) {
  double within_a = 0, within_b = 0, across = 0;
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.rows; ++j) within_a += i == j ? 0 : kernel(a.row(i), a.row(j));
    for (int64_t j = 0; j < b.rows; ++j) across += kernel(a.row(i), b.row(j));
  }
  for (int64_t i = 0; i < b.rows; ++i) {
    for (int64_t j = 0; j < b.rows; ++j) within_b += i == j ? 0 : kernel(b.row(i), b.row(j));
  }
  const auto m = static_cast<double>(a.rows), n = static_cast<double>(b.rows);
  return within_a / (m * (m - 1)) + within_b / (n * (n - 1)) - 2 * across / (m * n);
}

std::vector<double> slow_radii(const FeatureMatrix& a, size_t k) {
  std::vector<double> radii;
  for (int64_t i = 0; i < a.rows; ++i) {
    std::vector<double> all;
    for (int64_t j = 0; j < a.rows; ++j) {
      if (i != j) all.push_back(squared_distance(a.row(i), a.row(j)));
    }
    std::ranges::sort(all);
    radii.push_back(all[k - 1]);
  }
  return radii;
}

FeatureMatrix head(const FeatureMatrix& a, int64_t from, int64_t rows) {
  const auto first = a.values.begin() + from * a.width;
  return {rows, a.width, {first, first + rows * a.width}};
}

TEST(FeatureMoments, AgreeWithTwoPassesHoweverRowsCome) {
  FeatureMatrix features = sample(700, 70, 20, 3, 1);
  for (float& value : features.values) value += 1000;
  const SlowMoments slow = slow_moments(features);
  const MeanAndCovariance whole = moments_of(features, 1);
  EXPECT_EQ(whole.count, 700);
  for (size_t i = 0; i < 70; ++i) {
    EXPECT_NEAR(whole.mean[i], slow.mean[i], 1e-9);
    for (size_t j = 0; j < 70; ++j)
      EXPECT_NEAR(whole.covariance[i * 70 + j], slow.covariance[i][j],
                  1e-8 * (1 + std::fabs(slow.covariance[i][j])));
  }
  FeatureMoments pieces(70, 2);
  for (int64_t i = 0; i < 700; i += 7)
    pieces.add(std::span(features.values).subspan(static_cast<size_t>(i) * 70, 490));
  EXPECT_EQ(pieces.moments().covariance, whole.covariance);
  EXPECT_EQ(pieces.moments().mean, whole.mean);
}

TEST(FrechetDistance, AgreesWithItsDefinition) {
  for (const int64_t rank : {6, 24, 40}) {
    const FeatureMatrix a = sample(200, 24, rank, 0, 1), b = sample(300, 24, rank, 0.2, 2);
    const double slow = slow_frechet(a, b);
    EXPECT_NEAR(*frechet_distance(moments_of(a), moments_of(b)) / slow, 1, 1e-6) << rank;
  }
}

TEST(FrechetDistance, HandlesFewerRowsThanFeatures) {
  const FeatureMatrix a = sample(10, 50, 50, 0, 1), b = sample(12, 50, 50, 0.5, 2);
  const double scale = slow_frechet(a, b);
  EXPECT_NEAR(*frechet_distance(moments_of(a), moments_of(b)) / scale, 1, 1e-6);
  EXPECT_NEAR(*frechet_distance(moments_of(a), moments_of(a)) / scale, 0, 1e-7);
  FeatureMatrix constant{20, 50, std::vector<float>(1000, 2)};
  EXPECT_NEAR(*frechet_distance(moments_of(constant), moments_of(constant)), 0, 1e-12);
}

// Two normal distributions along the axes have a distance that can be written down.
TEST(FrechetDistance, OfDiagonalCovariances) {
  MeanAndCovariance a{9, {0, 0}, {4, 0, 0, 9}}, b{9, {3, 4}, {1, 0, 0, 0}};
  EXPECT_NEAR(*frechet_distance(a, b), 25 + 14 - 2 * 2, 1e-12);
  b.mean = {0};
  EXPECT_THAT(frechet_distance(a, b).error().message, HasSubstr("width 2 and 1"));
  b = a;
  b.covariance[0] = NAN;
  EXPECT_THAT(frechet_distance(a, b).error().message, HasSubstr("not finite"));
}

TEST(KernelDistance, AgreesWithItsDefinition) {
  const FeatureMatrix a = sample(150, 30, 30, 0, 1), b = sample(140, 30, 30, 0.3, 2);
  const double slow = slow_kernel_distance(a, b);
  EXPECT_NEAR(*whole_kernel_distance(a, b) / slow, 1, 1e-9);
  KernelDistanceOptions options;
  options.subsets = 1;
  options.subset_size = 140;
  EXPECT_NEAR(kernel_distance(head(a, 0, 140), b, options)->mean / slow_kernel_distance(head(a, 0, 140), b),
              1, 1e-9);
  options.subsets = 9;
  options.subset_size = 50;
  options.threads = 1;
  const KernelDistance once = *kernel_distance(a, b, options);
  options.threads = 2;
  EXPECT_EQ(kernel_distance(a, b, options)->mean, once.mean);
  EXPECT_NEAR(once.mean, slow, 4 * once.deviation);
}

TEST(KernelDistance, OfTwoHalvesIsZeroWithinItsError) {
  const FeatureMatrix both = sample(1000, 16, 16, 0, 5);
  const KernelDistance halves = *kernel_distance(head(both, 0, 500), head(both, 500, 500));
  EXPECT_EQ(halves.subset_size, 250);
  EXPECT_LT(std::fabs(halves.mean), 2 * halves.deviation);
  const KernelDistance apart = *kernel_distance(head(both, 0, 500), sample(500, 16, 16, 1, 6));
  EXPECT_GT(apart.mean, 5 * apart.deviation);
  KernelDistanceOptions options;
  options.subset_size = 501;
  EXPECT_THAT(kernel_distance(head(both, 0, 500), both, options).error().message, HasSubstr("2 to 500"));
}

TEST(InceptionScore, OfKnownDistributions) {
  FeatureMatrix sure{400, 4, std::vector<float>(1600)}, unsure{400, 4, std::vector<float>(1600, 0.25f)};
  for (size_t i = 0; i < 400; ++i) sure.values[4 * i + i / 100] = 1;  // sorted by class, as folders are
  EXPECT_NEAR(inception_score(sure, 4)->mean, 4, 0.1);
  EXPECT_NEAR(inception_score(sure, 1)->mean, 4, 1e-12);
  EXPECT_NEAR(inception_score(unsure, 4)->mean, 1, 1e-12);
  EXPECT_THAT(inception_score(unsure, 401).error().message, HasSubstr("400 pictures in 401 parts"));
}

TEST(NeighborMeasures, AgreeWithTheirDefinitions) {
  const FeatureMatrix real = sample(300, 8, 8, 0, 1), fake = sample(280, 8, 8, 0.4, 2);
  const std::vector<double> real3 = slow_radii(real, 3), real5 = slow_radii(real, 5),
                            fake3 = slow_radii(fake, 3);
  double precision = 0, recall = 0, density = 0, coverage = 0;
  for (int64_t j = 0; j < fake.rows; ++j) {
    bool inside = false;
    for (int64_t i = 0; i < real.rows; ++i) {
      const double distance = squared_distance(fake.row(j), real.row(i));
      inside |= distance <= real3[static_cast<size_t>(i)];
      density += distance <= real5[static_cast<size_t>(i)];
    }
    precision += inside;
  }
  for (int64_t i = 0; i < real.rows; ++i) {
    bool inside = false, covered = false;
    for (int64_t j = 0; j < fake.rows; ++j) {
      const double distance = squared_distance(fake.row(j), real.row(i));
      inside |= distance <= fake3[static_cast<size_t>(j)];
      covered |= distance <= real5[static_cast<size_t>(i)];
    }
    recall += inside;
    coverage += covered;
  }
  for (const int threads : {1, 2}) {
    NeighborOptions options;
    options.threads = threads;
    const NeighborMeasures measures = *neighbor_measures(real, fake, options);
    EXPECT_NEAR(measures.precision, precision / 280, 1e-12);
    EXPECT_NEAR(measures.recall, recall / 300, 1e-12);
    EXPECT_NEAR(measures.density, density / (5 * 280), 1e-12);
    EXPECT_NEAR(measures.coverage, coverage / 300, 1e-12);
  }
}

TEST(NeighborMeasures, OfASetWithItself) {
  const FeatureMatrix real = sample(100, 5, 5, 0, 1);
  const NeighborMeasures same = *neighbor_measures(real, real);
  EXPECT_EQ(same.precision, 1);
  EXPECT_EQ(same.recall, 1);
  EXPECT_EQ(same.coverage, 1);
  const NeighborMeasures far = *neighbor_measures(real, sample(100, 5, 5, 1000, 1));
  EXPECT_EQ(far.precision + far.recall + far.density + far.coverage, 0);
  EXPECT_THAT(neighbor_measures(head(real, 0, 5), real).error().message, HasSubstr("sets of 5 and 100"));
}

}  // namespace
}  // namespace gannet
