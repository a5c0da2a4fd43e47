// What a model has made of words, so that a frequent word costs one look.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gannet::tokenization {

// Bounded: when it is full it forgets everything, which costs less than keeping an order of use.
class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 64;

  // Appends the ids of `word` where they are known. Else the next add() must be of the same word.
  bool find(std::string_view word, std::vector<int32_t>& ids);
  void add(std::string_view word, std::span<const int32_t> ids);

 private:
  static constexpr size_t kSlots = size_t{1} << 15;
  static constexpr size_t kMaxEntries = kSlots / 2;
  static constexpr size_t kMaxIds = size_t{1} << 18;

  struct Slot {
    uint64_t hash = 0;  // 0: free
    uint32_t word = 0;  // where it stands in words_
    uint32_t ids = 0;   // where they stand in ids_
    uint16_t word_bytes = 0;
    uint16_t id_count = 0;
  };

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int32_t> ids_;
  size_t entries_ = 0;
  uint64_t missed_hash_ = 0;
  size_t missed_slot_ = 0;
};

}  // namespace gannet::tokenization
