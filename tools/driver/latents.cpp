#include "tools/driver/latents.h"

#include <algorithm>
#include <cmath>

#include "ir/base/random.h"

namespace gannet {

std::vector<float> draw_latent(int64_t count, uint64_t seed, int64_t place, const LatentOptions& options) {
  Random random(seed, static_cast<uint64_t>(place));
  std::vector<float> latent(static_cast<size_t>(count));
  for (float& value : latent) {
    if (options.uniform) {
      const double reach = std::min(options.truncation.value_or(1), 1.0);
      value = static_cast<float>(random.uniform(-reach, reach));
      continue;
    }
    double drawn = random.normal();
    while (options.truncation && std::fabs(drawn) > *options.truncation) drawn = random.normal();
    value = static_cast<float>(drawn);
  }
  return latent;
}

std::vector<float> interpolate_latents(std::span<const float> a, std::span<const float> b, double share,
                                       bool straight) {
  double product = 0, of_a = 0, of_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    product += x * y;
    of_a += x * x;
    of_b += y * y;
  }
  double weight_a = 1 - share, weight_b = share;
  const double lengths = std::sqrt(of_a * of_b);
  const double angle = lengths > 0 ? std::acos(std::clamp(product / lengths, -1.0, 1.0)) : 0;
  constexpr double kAlongOneLine = 1e-4;
  if (!straight && std::sin(angle) > kAlongOneLine) {
    weight_a = std::sin((1 - share) * angle) / std::sin(angle);
    weight_b = std::sin(share * angle) / std::sin(angle);
  }
  std::vector<float> result;
  for (size_t i = 0; i < a.size(); ++i)
    result.push_back(
        static_cast<float>(weight_a * static_cast<double>(a[i]) + weight_b * static_cast<double>(b[i])));
  return result;
}

}  // namespace gannet
