// What a session keeps of the results that it has given to callers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include "ir/base/datum.h"

namespace gannet {

// The memory of a tensor; none of anything else.
inline std::span<const std::byte> memory_of(const Datum& datum) {
  if (!datum.is_tensor() || datum.tensor().dtype() == DType::kString) return {};
  return {static_cast<const std::byte*>(datum.tensor().raw()), static_cast<size_t>(datum.tensor().bytes())};
}

inline bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  const std::less<> before;
  return !a.empty() && !b.empty() && before(a.data(), b.data() + b.size()) &&
         before(b.data(), a.data() + a.size());
}

// The results of one output in the last two runs. Callers may still hold either: so long as they are here,
// what a caller gives back is told apart from memory of its own.
class OutputMemory {
 public:
  // Of the last run.
  const Datum& last() const { return last_; }

  // Whether `data` points into one of them.
  bool holds(const void* data) const {
    return std::ranges::any_of(std::array{&last_, &earlier_}, [&](const Datum* datum) {
      const std::span<const std::byte> memory = memory_of(*datum);
      return memory.data() == data || overlap(memory, {static_cast<const std::byte*>(data), 1});
    });
  }

  // Before a run: one of them that `fits`, or nothing. The others stay until a run has succeeded.
  template <class Fits>
  Datum take(const Fits& fits) {
    if (fits(last_)) return std::exchange(last_, Datum());
    if (fits(earlier_)) return std::exchange(earlier_, Datum());
    return {};
  }

  // After a run that gave `result`.
  void keep(Datum result) {
    if (last_.present()) earlier_ = std::move(last_);
    last_ = std::move(result);
  }

  // After a run that failed: what had been taken may still be held by a caller.
  void put_back(Datum taken) {
    if (!last_.present()) {
      last_ = std::move(taken);
    } else if (!earlier_.present()) {
      earlier_ = std::move(taken);
    }
  }

 private:
  Datum last_, earlier_;
};

}  // namespace gannet
