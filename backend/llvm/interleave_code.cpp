#include "backend/llvm/interleave_code.h"

#include <algorithm>

namespace gannet {
namespace {

using llvm::Value;

int64_t lanes_of(const Value* vector) { return llvm::cast<llvm::FixedVectorType>(vector->getType())->getNumElements(); }

struct Place {
  int64_t vector = 0, lane = 0;
};

// A vector of elements from anywhere. Each shuffle adds the elements of one more vector in their lanes.
Value* pick(llvm::IRBuilder<>& builder, const std::vector<Value*>& from, const std::vector<Place>& places) {
  const size_t lanes = places.size();
  std::vector<int> sources(lanes, -1);
  Value* result = nullptr;
  size_t joined = 0;
  for (size_t v = 0; v < from.size(); ++v) {
    if (std::ranges::none_of(places, [&](const Place& place) { return place.vector == static_cast<int64_t>(v); })) continue;
    for (size_t i = 0; i < lanes; ++i) {
      if (joined > 1 && sources[i] >= 0) sources[i] = static_cast<int>(i);
      if (places[i].vector == static_cast<int64_t>(v)) sources[i] = static_cast<int>(places[i].lane + static_cast<int64_t>(joined > 0 ? lanes : 0));
    }
    result = joined == 0 ? from[v] : builder.CreateShuffleVector(result, from[v], sources);
    ++joined;
  }
  return joined > 1 ? result : builder.CreateShuffleVector(result, sources);
}

// Of an even number of vectors, those at even or at odd positions.
std::vector<Value*> every_second(const std::vector<Value*>& all, size_t first) {
  std::vector<Value*> half;
  for (size_t i = first; i < all.size(); i += 2) half.push_back(all[i]);
  return half;
}

}  // namespace

std::vector<Value*> interleave_vectors(llvm::IRBuilder<>& builder, const std::vector<Value*>& parts) {
  const auto n = static_cast<int64_t>(parts.size()), lanes = lanes_of(parts.front());
  if (n == 1) return parts;
  std::vector<Value*> even = parts, odd, results;
  const bool in_halves = n % 2 == 0;
  if (in_halves) {
    even = interleave_vectors(builder, every_second(parts, 0));
    odd = interleave_vectors(builder, every_second(parts, 1));
  }
  for (int64_t k = 0; k < n; ++k) {
    std::vector<Place> places;
    for (int64_t e = k * lanes; e < (k + 1) * lanes; ++e) places.push_back(in_halves ? Place{e % 2, e / 2 % lanes} : Place{e % n, e / n});
    const auto half = static_cast<size_t>(k / 2);
    results.push_back(pick(builder, in_halves ? std::vector{even[half], odd[half]} : parts, places));
  }
  return results;
}

int64_t group_vector_start(int64_t k, int64_t lanes, int64_t stride, int64_t count) {
  return k + 1 < stride ? k * lanes : (lanes - 1) * stride + count - lanes;
}

std::vector<Value*> deinterleave_vectors(llvm::IRBuilder<>& builder, const std::vector<Value*>& whole, int64_t count) {
  const auto stride = static_cast<int64_t>(whole.size()), lanes = lanes_of(whole.front());
  if (stride == 1) return whole;
  std::vector<Value*> results;
  if (count == stride && stride % 2 == 0) {
    std::vector<Value*> halves[2];
    for (int64_t odd : {0, 1}) {
      std::vector<Place> places;
      for (int64_t i = 0; i < lanes; ++i) places.push_back({(2 * i + odd) / lanes, (2 * i + odd) % lanes});
      std::vector<Value*>& half = halves[odd];
      for (size_t k = 0; k < whole.size(); k += 2) half.push_back(pick(builder, {whole[k], whole[k + 1]}, places));
      half = deinterleave_vectors(builder, half, stride / 2);
    }
    for (int64_t j = 0; j < count; ++j) results.push_back(halves[j % 2][static_cast<size_t>(j / 2)]);
    return results;
  }
  for (int64_t j = 0; j < count; ++j) {
    std::vector<Place> places;
    for (int64_t i = 0; i < lanes; ++i) {
      const int64_t e = i * stride + j, k = std::min(e / lanes, stride - 1);
      places.push_back({k, e - group_vector_start(k, lanes, stride, count)});
    }
    results.push_back(pick(builder, whole, places));
  }
  return results;
}

}  // namespace gannet
