#include "runtime/data/tokenizer/word_cache.h"

#include <algorithm>
#include <cstring>

namespace gannet::tokenization {
namespace {

// Not 0. Multiply and fold, eight bytes at a time.
uint64_t hash_of(std::string_view word) {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;
  uint64_t hash = word.size() * kFactor;
  const char* data = word.data();
  size_t left = word.size();
  for (; left >= 8; left -= 8, data += 8) {
    uint64_t block = 0;
    std::memcpy(&block, data, 8);
    hash = (hash ^ block) * kFactor;
    hash ^= hash >> 32;
  }
  uint64_t block = 0;
  for (size_t i = 0; i < left; ++i) block |= static_cast<uint64_t>(static_cast<uint8_t>(data[i])) << (8 * i);
  hash = (hash ^ block) * kFactor;
  return (hash ^ hash >> 29) | 1;
}

}  // namespace

bool WordCache::find(std::string_view word, std::vector<int32_t>& ids) {
  if (slots_.empty()) slots_.resize(kSlots);
  uint64_t hash = hash_of(word);
  size_t i = (hash >> 1) & (kSlots - 1);
  for (; slots_[i].hash != 0; i = (i + 1) & (kSlots - 1)) {
    const Slot& slot = slots_[i];
    if (slot.hash != hash || slot.word_bytes != word.size()) continue;
    if (std::memcmp(words_.data() + slot.word, word.data(), word.size()) != 0) continue;
    ids.insert(ids.end(), ids_.begin() + slot.ids, ids_.begin() + slot.ids + slot.id_count);
    return true;
  }
  missed_hash_ = hash;
  missed_slot_ = i;
  return false;
}

void WordCache::add(std::string_view word, std::span<const int32_t> ids) {
  if (entries_ == kMaxEntries || ids_.size() + ids.size() > kMaxIds) {
    std::fill(slots_.begin(), slots_.end(), Slot());
    words_.clear();
    ids_.clear();
    entries_ = 0;
    missed_slot_ = (missed_hash_ >> 1) & (kSlots - 1);
  }
  slots_[missed_slot_] = {missed_hash_, static_cast<uint32_t>(words_.size()),
                          static_cast<uint32_t>(ids_.size()), static_cast<uint16_t>(word.size()),
                          static_cast<uint16_t>(ids.size())};
  words_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++entries_;
}

}  // namespace gannet::tokenization
