#include "runtime/training/gan_balance.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

namespace gannet {

namespace {

constexpr double kOld = 0.98;  // share of what came before in a smoothed accuracy
constexpr double kNearlyAll = 0.99, kNearlyNone = 0.52;
constexpr int64_t kGoodWhile = 300;
constexpr double kLeastVariety = 0.1;  // of that of real pictures

}  // namespace

std::optional<std::string> GanBalance::follow(const GanMeasures& measures) {
  const auto real = measures.find("real_accuracy"), fake = measures.find("fake_accuracy");
  if (real == measures.end() || fake == measures.end()) return std::nullopt;
  real_ = kOld * real_ + (1 - kOld) * real->second;
  fake_ = kOld * fake_ + (1 - kOld) * fake->second;
  const double mean = (real_ + fake_) / 2;
  won_ = mean > kNearlyAll ? won_ + 1 : 0;
  lost_ = mean < kNearlyNone ? lost_ + 1 : 0;
  if (won_ == kGoodWhile) {
    return fmt::format(
        "the discriminator has told {:.1f} % of the pictures apart for {} rounds: the generator learns little from it. A "
        "smaller --d-lr, --label-smoothing 0.1, --instance-noise 0.1 or --diff-augment hold it back",
        100 * mean, kGoodWhile);
  }
  if (lost_ == kGoodWhile) {
    return fmt::format(
        "the discriminator has told {:.1f} % of the pictures apart for {} rounds, as good as guessing. A larger --d-lr or "
        "--d-steps 2 let it catch up",
        100 * mean, kGoodWhile);
  }
  return std::nullopt;
}

double variety(const Tensor& pictures) {
  const int64_t rows = pictures.rank() > 0 ? pictures.extent(0) : 0;
  if (rows < 2) return 0;
  const int64_t size = pictures.elements() / rows;
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    double mean = 0, squares = 0;
    for (int64_t row = 0; row < rows; ++row) mean += pictures.double_at(row * size + i) / static_cast<double>(rows);
    for (int64_t row = 0; row < rows; ++row) {
      const double difference = pictures.double_at(row * size + i) - mean;
      squares += difference * difference;
    }
    sum += std::sqrt(squares / static_cast<double>(rows));
  }
  return size > 0 ? sum / static_cast<double>(size) : 0;
}

std::optional<std::string> GanBalance::follow_samples(const Tensor& generated, double real_variety) {
  const double share = real_variety > 0 ? variety(generated) / real_variety : 1;
  const bool same = share < kLeastVariety;
  const bool is_new = same && !same_;
  same_ = same;
  if (!is_new) return std::nullopt;
  return fmt::format(
      "pictures of different latents are nearly the same ({:.0f} % of the variety of real ones): the generator has collapsed. "
      "Smaller rates, --loss wasserstein-gp, --spectral-norm or --diff-augment help",
      100 * share);
}

}  // namespace gannet
