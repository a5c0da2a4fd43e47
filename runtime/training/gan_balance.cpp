#include "runtime/training/gan_balance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gannet {

namespace {

constexpr int64_t kMemory = 50;  // rounds that a smoothed accuracy looks back
constexpr double kNearlyAll = 0.99, kNearlyNone = 0.52;
constexpr int64_t kFirst = 200;  // rounds that tell nothing yet
constexpr int64_t kGoodWhile = 300;
constexpr double kLeastVariety = 0.1;  // of that of real pictures

// The mean of the first rounds, then one that forgets.
void follow_mean(double& mean, double value, int64_t rounds) {
  mean += (value - mean) / static_cast<double>(std::min(rounds, kMemory));
}

}  // namespace

std::map<std::string, double> GanBalance::state() const {
  return {{"rounds", static_cast<double>(rounds_)},
          {"real_accuracy", real_},
          {"fake_accuracy", fake_},
          {"rounds_won", static_cast<double>(won_)},
          {"rounds_lost", static_cast<double>(lost_)},
          {"same_samples", same_ ? 1 : 0}};
}

void GanBalance::restore(const std::map<std::string, double>& state) {
  const auto value = [&](const char* name) {
    const auto found = state.find(name);
    return found == state.end() ? 0 : found->second;
  };
  const auto rounds = [&](const char* name) {
    constexpr double kMost = 1e15;
    return static_cast<int64_t>(std::clamp(value(name), 0.0, kMost));
  };
  rounds_ = rounds("rounds");
  real_ = value("real_accuracy");
  fake_ = value("fake_accuracy");
  won_ = rounds("rounds_won");
  lost_ = rounds("rounds_lost");
  same_ = value("same_samples") != 0;
}

std::optional<std::string> GanBalance::follow(const GanMeasures& measures) {
  ++rounds_;
  const auto real = measures.find("real_accuracy"), fake = measures.find("fake_accuracy");
  if (real == measures.end() || fake == measures.end()) return std::nullopt;
  follow_mean(real_, real->second, rounds_);
  follow_mean(fake_, fake->second, rounds_);
  if (rounds_ <= kFirst) return std::nullopt;
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
  if (rounds_ < kFirst + kGoodWhile) return std::nullopt;
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
