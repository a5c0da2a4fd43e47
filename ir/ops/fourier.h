// Discrete Fourier transform of any length, in f64. Lengths with small prime factors are split by the
// mixed-radix method of J. Cooley and J. Tukey (1965), where a prime factor p costs p operations an element;
// others become a convolution of a power of two (L. Bluestein, 1970).
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gannet {

class FourierTransform {
 public:
  // `length` is at least 1. `inverse` turns the sign of the exponent; nothing is divided.
  FourierTransform(int64_t length, bool inverse);

  // Transforms `data`, of the length given to the constructor.
  void run(std::span<std::complex<double>> data);

 private:
  // Writes to `to` the transform of from[0], from[stride], ..., `count` elements; factor_index is the next
  // factor.
  void split(const std::complex<double>* from, std::complex<double>* to, size_t count, size_t stride,
             size_t factor_index);
  void prepare_convolution(bool inverse);
  void convolve(std::span<std::complex<double>> data);

  std::vector<size_t> factors_;
  std::vector<std::complex<double>> twiddles_;  // exp(+-2 pi i k / length)
  std::vector<std::complex<double>> room_;
  std::vector<std::complex<double>> column_;

  std::vector<std::complex<double>> chirp_;     // exp(+-pi i k^2 / length), when a convolution is used
  std::vector<std::complex<double>> spectrum_;  // of the conjugate chirp
  std::unique_ptr<FourierTransform> forward_, backward_;
};

}  // namespace gannet
