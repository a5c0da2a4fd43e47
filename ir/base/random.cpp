#include "ir/base/random.h"

#include <bit>
#include <cmath>

#include "ir/base/check.h"

// A fused multiply-add rounds once where two operations round twice: the same bits everywhere need one
// choice.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif

namespace gannet {
namespace {

constexpr double kTwoToMinus53 = 0x1p-53;

struct Pair {
  double first;
  double second;
};

// log(x) for a normal x > 0. With x = 2^e m, m in [sqrt(1/2), sqrt(2)), and s = (m - 1) / (m + 1):
// log m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172.
inline double natural_log(double x) {
  uint64_t bits = std::bit_cast<uint64_t>(x);
  // Counted from sqrt(1/2), the exponent field changes exactly where m would reach sqrt(2).
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcdULL;
  uint64_t shifted = bits - kSqrtHalf;
  int64_t exponent = static_cast<int64_t>(shifted) >> 52;
  double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << 52));
  double s = (m - 1.0) / (m + 1.0);
  double z = s * s;
  double series = 1.0 / 21;
  series = series * z + 1.0 / 19;
  series = series * z + 1.0 / 17;
  series = series * z + 1.0 / 15;
  series = series * z + 1.0 / 13;
  series = series * z + 1.0 / 11;
  series = series * z + 1.0 / 9;
  series = series * z + 1.0 / 7;
  series = series * z + 1.0 / 5;
  series = series * z + 1.0 / 3;
  series = series * z + 1.0;
  return static_cast<double>(exponent) * 0.6931471805599453 + 2.0 * s * series;
}

// Cosine and sine of the angle whose share of a full turn is bits / 2^64. The nearest quarter turn is taken
// off first; the Taylor series serve the rest, at most pi/4.
inline Pair cosine_and_sine(uint64_t bits) {
  constexpr double kTwoPi = 6.283185307179586;
  uint64_t quarter = (bits + (uint64_t{1} << 61)) >> 62;
  auto rest = static_cast<int64_t>(bits - (quarter << 62));
  double a = static_cast<double>(rest >> 9) * (kTwoPi * 0x1p-55);
  double z = a * a;
  double cosine = 1.0 / 20922789888000;
  cosine = cosine * z - 1.0 / 87178291200;
  cosine = cosine * z + 1.0 / 479001600;
  cosine = cosine * z - 1.0 / 3628800;
  cosine = cosine * z + 1.0 / 40320;
  cosine = cosine * z - 1.0 / 720;
  cosine = cosine * z + 1.0 / 24;
  cosine = cosine * z - 1.0 / 2;
  cosine = cosine * z + 1.0;
  double sine = -1.0 / 1307674368000;
  sine = sine * z + 1.0 / 6227020800;
  sine = sine * z - 1.0 / 39916800;
  sine = sine * z + 1.0 / 362880;
  sine = sine * z - 1.0 / 5040;
  sine = sine * z + 1.0 / 120;
  sine = sine * z - 1.0 / 6;
  sine = sine * z + 1.0;
  sine *= a;
  // Quarter turns swap the two and change signs; without branches, which would be guessed wrong half of the
  // time.
  bool swapped = (quarter & 1) != 0;
  double first = swapped ? sine : cosine, second = swapped ? cosine : sine;
  uint64_t first_sign = ((quarter + 1) & 2) << 62, second_sign = (quarter & 2) << 62;
  return {std::bit_cast<double>(std::bit_cast<uint64_t>(first) ^ first_sign),
          std::bit_cast<double>(std::bit_cast<uint64_t>(second) ^ second_sign)};
}

inline std::array<uint32_t, 4> philox_block(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

inline std::array<uint32_t, 4> block_of(uint64_t seed, uint64_t stream, uint64_t block) {
  return philox_block({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                       static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

inline Pair normal_pair(uint64_t radius_bits, uint64_t angle_bits) {
  double u =
      static_cast<double>((radius_bits >> 11) + 1) * kTwoToMinus53;  // in (0, 1]: the logarithm is finite
  double radius = std::sqrt(-2.0 * natural_log(u));
  Pair direction = cosine_and_sine(angle_bits);
  return {radius * direction.first, radius * direction.second};
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  return philox_block(counter, key);
}

uint32_t Random::next_u32() {
  if (words_left_ == 0) {
    words_ = block_of(seed_, stream_, block_++);
    words_left_ = 4;
  }
  return words_[static_cast<size_t>(4 - words_left_--)];
}

uint64_t Random::next_u64() {
  uint64_t low = next_u32();
  return low | uint64_t{next_u32()} << 32;
}

float Random::uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24f; }

double Random::uniform_double() { return static_cast<double>(next_u64() >> 11) * kTwoToMinus53; }

double Random::uniform(double low, double high) { return low + (high - low) * uniform_double(); }

uint64_t Random::below(uint64_t bound) {
  CHECK(bound > 0, "no number is below 0");
  // Numbers under 2^64 mod bound would make small remainders likelier.
  uint64_t threshold = (0 - bound) % bound;
  uint64_t number = next_u64();
  while (number < threshold) number = next_u64();
  return number % bound;
}

double Random::normal() {
  if (has_spare_normal_) {
    has_spare_normal_ = false;
    return spare_normal_;
  }
  uint64_t radius_bits = next_u64();
  Pair pair = normal_pair(radius_bits, next_u64());
  spare_normal_ = pair.second;
  has_spare_normal_ = true;
  return pair.first;
}

void Random::fill_uniform(std::span<float> values, double low, double high) {
  double scale = (high - low) * 0x1p-24;
  for (float& value : values) value = static_cast<float>(low + scale * static_cast<double>(next_u32() >> 8));
}

void Random::fill_normal(std::span<float> values, double mean, double deviation) {
  size_t i = 0;
  if (words_left_ == 0 && !has_spare_normal_) {
    // A block makes two normals: the same numbers as below, without the detour through words.
    for (; i + 2 <= values.size(); i += 2) {
      std::array<uint32_t, 4> words = block_of(seed_, stream_, block_++);
      Pair pair = normal_pair(words[0] | uint64_t{words[1]} << 32, words[2] | uint64_t{words[3]} << 32);
      values[i] = static_cast<float>(mean + deviation * pair.first);
      values[i + 1] = static_cast<float>(mean + deviation * pair.second);
    }
  }
  for (; i < values.size(); ++i) values[i] = static_cast<float>(mean + deviation * normal());
}

}  // namespace gannet
