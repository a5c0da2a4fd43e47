// Which two tokens become one, and how soon: what byte-pair encoding asks for each pair of neighbours.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace gannet::tokenization {

class MergeTable {
 public:
  static constexpr uint32_t kNever = UINT32_MAX;

  struct Entry {
    uint64_t pair = UINT64_MAX;
    uint32_t rank = kNever;
    int32_t id = 0;
  };

  explicit MergeTable(size_t merges) : mask_(std::bit_ceil(2 * merges + 16) - 1), entries_(mask_ + 1) {}

  // Of two merges of the same pair the later one counts.
  void add(int32_t left, int32_t right, uint32_t rank, int32_t id) {
    entries_[slot_of(key(left, right))] = {key(left, right), rank, id};
  }
  // An entry of rank kNever where the pair is not merged.
  const Entry& find(int32_t left, int32_t right) const { return entries_[slot_of(key(left, right))]; }

 private:
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t pair) const {
    uint64_t hash = pair * 0x9e3779b97f4a7c15u;
    size_t slot = (hash ^ hash >> 32) & mask_;
    while (entries_[slot].pair != pair && entries_[slot].rank != kNever) slot = (slot + 1) & mask_;
    return slot;
  }

  size_t mask_;
  std::vector<Entry> entries_;
};

}  // namespace gannet::tokenization
