// Seeded random numbers that are the same on every machine. The generator is counter-based: block i of stream
// s of a seed is a pure function of (seed, s, i), so streams are independent and none is ever in the way of
// another. Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC
// 2011).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace gannet {

// One block of Philox4x32-10: four words from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next_u32();
  uint64_t next_u64();
  // In [0, 1), a multiple of 2^-24.
  float uniform();
  // In [0, 1), a multiple of 2^-53.
  double uniform_double();
  // In [low, high).
  double uniform(double low, double high);
  // Below `bound`, each number equally likely; `bound` must be positive.
  uint64_t below(uint64_t bound);
  // Standard normal, by the method of Box and Muller ("A note on the generation of random normal deviates",
  // 1958), with logarithm, sine and cosine of our own: those of the system's library differ in the last bit.
  double normal();

  void fill_uniform(std::span<float> values, double low, double high);
  void fill_normal(std::span<float> values, double mean, double deviation);

  // Puts the elements into a random order, each order equally likely (Fisher and Yates).
  template <class T>
  void shuffle(std::span<T> values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t block_ = 0;
  std::array<uint32_t, 4> words_{};
  int words_left_ = 0;
  double spare_normal_ = 0.0;
  bool has_spare_normal_ = false;
};

}  // namespace gannet
