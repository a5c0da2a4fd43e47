#include "ir/ops/fourier.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace gannet {

FourierTransform::FourierTransform(int64_t length, bool inverse) : twiddles_(static_cast<size_t>(length)) {
  size_t rest = twiddles_.size();
  for (size_t p = 2; p * p <= rest; ++p) {
    for (; rest % p == 0; rest /= p) factors_.push_back(p);
  }
  if (rest > 1) factors_.push_back(rest);
  double step = (inverse ? 2 : -2) * std::numbers::pi / static_cast<double>(length);
  for (size_t k = 0; k < twiddles_.size(); ++k) twiddles_[k] = std::polar(1.0, step * static_cast<double>(k));
  constexpr size_t kLargestRadix = 64;
  size_t largest = factors_.empty() ? 1 : factors_.back();
  if (largest > kLargestRadix)
    prepare_convolution(inverse);
  else
    room_.resize(twiddles_.size()), column_.resize(largest);
}

void FourierTransform::run(std::span<std::complex<double>> data) {
  if (forward_) return convolve(data);
  std::copy(data.begin(), data.end(), room_.begin());
  split(room_.data(), data.data(), data.size(), 1, 0);
}

void FourierTransform::split(const std::complex<double>* from, std::complex<double>* to, size_t count,
                             size_t stride, size_t factor_index) {
  if (count == 1) {
    *to = *from;
    return;
  }
  size_t radix = factors_[factor_index], part = count / radix;
  for (size_t r = 0; r < radix; ++r)
    split(from + r * stride, to + r * part, part, stride * radix, factor_index + 1);
  // Element k of sub-transform r takes part in the results k + q * part with the factor w^(r (k + q part)).
  size_t total = twiddles_.size();
  for (size_t k = 0; k < part; ++k) {
    for (size_t r = 0; r < radix; ++r) column_[r] = to[r * part + k];
    for (size_t q = 0; q < radix; ++q) {
      size_t step = (k + q * part) * stride % total, at = 0;
      std::complex<double> sum = 0;
      for (size_t r = 0; r < radix; ++r) {
        sum += column_[r] * twiddles_[at];
        at += step;
        if (at >= total) at -= total;
      }
      to[q * part + k] = sum;
    }
  }
}

// j k = (j^2 + k^2 - (k - j)^2) / 2 turns the transform into a convolution with a chirp.
void FourierTransform::prepare_convolution(bool inverse) {
  size_t n = twiddles_.size(), m = std::bit_ceil(2 * n - 1);
  forward_ = std::make_unique<FourierTransform>(static_cast<int64_t>(m), false);
  backward_ = std::make_unique<FourierTransform>(static_cast<int64_t>(m), true);
  chirp_.resize(n);
  spectrum_.assign(m, 0.0);
  room_.resize(m);
  double step = (inverse ? 1 : -1) * std::numbers::pi / static_cast<double>(n);
  for (size_t k = 0; k < n; ++k) {
    // k^2 counts modulo 2 n; reduced first, the angle keeps its precision.
    chirp_[k] = std::polar(1.0, step * static_cast<double>(k * k % (2 * n)));
    spectrum_[k] = std::conj(chirp_[k]);
    if (k > 0) spectrum_[m - k] = spectrum_[k];
  }
  forward_->run(spectrum_);
}

void FourierTransform::convolve(std::span<std::complex<double>> data) {
  std::fill(room_.begin(), room_.end(), 0.0);
  for (size_t k = 0; k < data.size(); ++k) room_[k] = data[k] * chirp_[k];
  forward_->run(room_);
  for (size_t k = 0; k < room_.size(); ++k) room_[k] *= spectrum_[k];
  backward_->run(room_);
  double scale = 1 / static_cast<double>(room_.size());
  for (size_t k = 0; k < data.size(); ++k) data[k] = room_[k] * chirp_[k] * scale;
}

}  // namespace gannet
