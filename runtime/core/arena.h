// Where temporary buffers stand in one block of memory: buffers that are alive at the same time do not overlap, and the
// block is as small as a few greedy orders make it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gannet {

inline constexpr int64_t kArenaAlignment = 64;

// A buffer that is alive from step `first` to step `last`.
struct ArenaItem {
  int64_t bytes = 0;
  int32_t first = 0;
  int32_t last = 0;
  int64_t offset = -1;  // below 0: to be decided; else it stands there already
};

struct ArenaSize {
  int64_t bytes = 0;
  int64_t lower_bound = 0;  // most bytes alive at one step, each buffer rounded up to the alignment
};

// Gives every item its offset, a multiple of the alignment. Greedy by size with the smallest gap that fits (Pisarchyk
// and Lee, "Efficient memory management for deep neural net inference", 2020), from several orders; the first that
// reaches the lower bound, else the best, in which then what ends above the bound is placed earlier, again and again, at
// random but always the same.
ArenaSize place_buffers(std::span<ArenaItem> items);

// Memory that only grows, at a multiple of the alignment.
class ArenaMemory {
 public:
  ArenaMemory() = default;
  ~ArenaMemory();
  ArenaMemory(const ArenaMemory&) = delete;
  ArenaMemory& operator=(const ArenaMemory&) = delete;

  // At least `bytes`; what it held stays. False when the system has no memory.
  bool reserve(int64_t bytes);
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace gannet
