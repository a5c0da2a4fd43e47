#include "runtime/distribution/frechet_distance.h"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

namespace gannet {

namespace {

using Matrix = Eigen::MatrixXd;

// A with S = AA', of as many columns as S has rank: P'LD^(1/2) of the pivoted decomposition. Pivots that are
// nothing but rounding are left out.
Matrix factor_of(const MeanAndCovariance& moments) {
  const Eigen::Map<const Matrix> covariance(moments.covariance.data(), moments.width(), moments.width());
  const Eigen::LDLT<Matrix> decomposition(covariance);
  const Eigen::VectorXd pivots = decomposition.vectorD();
  constexpr double kRounding = 4 * std::numeric_limits<double>::epsilon();
  const double least = std::max(pivots.maxCoeff(), 0.0) * kRounding;
  Matrix factor = decomposition.matrixL();
  Eigen::Index rank = 0;
  for (Eigen::Index i = 0; i < factor.cols(); ++i) {
    if (pivots[i] > least) factor.col(rank++) = factor.col(i) * std::sqrt(pivots[i]);
  }
  return decomposition.transpositionsP().transpose() * factor.leftCols(rank);
}

double trace_of(const MeanAndCovariance& moments) {
  double sum = 0;
  for (int64_t i = 0; i < moments.width(); ++i)
    sum += moments.covariance[static_cast<size_t>(i * moments.width() + i)];
  return sum;
}

Status check_finite(const MeanAndCovariance& moments) {
  const auto finite = [](double value) { return std::isfinite(value); };
  if (std::ranges::all_of(moments.mean, finite) && std::ranges::all_of(moments.covariance, finite)) return {};
  return invalid_input("features hold values that are not finite");
}

}  // namespace

Result<double> frechet_distance(const MeanAndCovariance& first, const MeanAndCovariance& second) {
  if (first.width() != second.width()) {
    return invalid_input(fmt::format("features of width {} and {}", first.width(), second.width()));
  }
  TRY(check_finite(first));
  TRY(check_finite(second));
  double apart = 0;
  for (size_t i = 0; i < first.mean.size(); ++i) apart += std::pow(first.mean[i] - second.mean[i], 2);
  const Matrix product = factor_of(first).transpose() * factor_of(second);
  const double root = product.size() == 0 ? 0 : Eigen::BDCSVD<Matrix>(product).singularValues().sum();
  return std::max(apart + trace_of(first) + trace_of(second) - 2 * root, 0.0);
}

}  // namespace gannet
