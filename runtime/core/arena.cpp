#include "runtime/core/arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "ir/base/check.h"
#include "ir/base/large_pages.h"
#include "ir/base/round_up.h"

namespace gannet {
namespace {

// More items than this are placed in one order only: each order takes time quadratic in their number.
constexpr size_t kFewItems = 2048;

int64_t aligned(int64_t bytes) { return rounded_up(bytes, kArenaAlignment); }

int64_t lower_bound_of(std::span<const ArenaItem> items) {
  int32_t last = 0;
  for (const ArenaItem& item : items) last = std::max(last, item.last);
  std::vector<int64_t> change(static_cast<size_t>(last) + 2, 0);
  for (const ArenaItem& item : items) {
    change[static_cast<size_t>(item.first)] += aligned(item.bytes);
    change[static_cast<size_t>(item.last) + 1] -= aligned(item.bytes);
  }
  int64_t alive = 0, most = 0;
  for (const int64_t delta : change) most = std::max(most, alive += delta);
  return most;
}

bool overlap(const ArenaItem& a, const ArenaItem& b) { return a.first <= b.last && b.first <= a.last; }

// Places one item among those that stand already, sorted by offset; gives its offset.
int64_t best_offset(const ArenaItem& item, std::span<const ArenaItem> items, std::span<const size_t> standing) {
  const int64_t bytes = aligned(item.bytes);
  int64_t end = 0, best = -1, best_gap = 0;
  for (const size_t other : standing) {
    if (!overlap(item, items[other])) continue;
    const int64_t gap = items[other].offset - end;
    if (gap >= bytes && (best < 0 || gap < best_gap)) best = end, best_gap = gap;
    end = std::max(end, items[other].offset + aligned(items[other].bytes));
  }
  return best < 0 ? end : best;
}

// The bytes that placing in `order` takes.
int64_t place_in_order(std::span<ArenaItem> items, std::span<const size_t> order) {
  std::vector<size_t> standing;
  int64_t end = 0;
  auto stand = [&](size_t i) {
    const auto by_offset = [&](size_t a, size_t b) { return items[a].offset < items[b].offset; };
    standing.insert(std::ranges::upper_bound(standing, i, by_offset), i);
    end = std::max(end, items[i].offset + aligned(items[i].bytes));
  };
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].offset >= 0) stand(i);
  }
  for (const size_t i : order) {
    items[i].offset = best_offset(items[i], items, standing);
    stand(i);
  }
  return end;
}

// Item indices by descending `key`, then by time.
template <class Key>
std::vector<size_t> sorted_by(std::span<const ArenaItem> items, std::vector<size_t> order, const Key& key) {
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    const auto x = key(items[a]), y = key(items[b]);
    return x != y ? x > y : items[a].first < items[b].first;
  });
  return order;
}

// How often an order may be changed and tried: what fits into a few milliseconds.
int64_t attempts_for(size_t items) {
  constexpr int64_t kPairs = 10'000'000, kMost = 256;
  const auto n = static_cast<int64_t>(items);
  return n > static_cast<int64_t>(kFewItems) ? 0 : std::min(kMost, kPairs / std::max<int64_t>(n * n, 1));
}

// One of the items that end above `bound` comes before all others that live at the same time, or before some of them.
// `state` is that of a random sequence.
void raise_one(std::span<const ArenaItem> items, std::vector<size_t>& order, int64_t bound, uint64_t& state) {
  const auto draw = [&](size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % n;
  };
  std::vector<size_t> high;  // positions in order
  for (size_t k = 0; k < order.size(); ++k) {
    if (items[order[k]].offset + aligned(items[order[k]].bytes) > bound) high.push_back(k);
  }
  if (high.empty()) return;
  const size_t position = high[draw(high.size())];
  std::vector<size_t> rivals;
  for (size_t k = 0; k < position; ++k) {
    if (overlap(items[order[position]], items[order[k]])) rivals.push_back(k);
  }
  if (rivals.empty()) return;
  const size_t to = rivals[draw(2) == 0 ? 0 : draw(rivals.size())];
  const auto at = [&](size_t k) { return order.begin() + static_cast<std::ptrdiff_t>(k); };
  std::rotate(at(to), at(position), at(position + 1));
}

}  // namespace

ArenaSize place_buffers(std::span<ArenaItem> items) {
  ArenaSize size;
  size.lower_bound = lower_bound_of(items);
  std::vector<size_t> open;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].offset < 0) open.push_back(i);
  }
  auto life = [](const ArenaItem& item) { return int64_t{item.last} - item.first + 1; };
  std::vector<std::vector<size_t>> orders;
  orders.push_back(sorted_by(items, open, [](const ArenaItem& item) { return aligned(item.bytes); }));
  if (open.size() <= kFewItems) {
    orders.push_back(sorted_by(items, open, [&](const ArenaItem& item) { return std::pair(aligned(item.bytes), life(item)); }));
    orders.push_back(sorted_by(items, open, [&](const ArenaItem& item) { return std::pair(aligned(item.bytes), -int64_t{item.first}); }));
    orders.push_back(sorted_by(items, open, [&](const ArenaItem& item) { return static_cast<double>(item.bytes) * static_cast<double>(life(item)); }));
    orders.push_back(sorted_by(items, open, [&](const ArenaItem& item) { return std::pair(life(item), item.bytes); }));
    orders.push_back(sorted_by(items, open, [](const ArenaItem& item) { return -int64_t{item.first}; }));
    orders.push_back(sorted_by(items, open, [](const ArenaItem& item) { return int64_t{item.last}; }));
  }
  std::vector<int64_t> best;
  std::vector<size_t> best_order;
  // True when `order` is the best so far.
  const auto attempt = [&](const std::vector<size_t>& order) {
    for (const size_t i : open) items[i].offset = -1;
    const int64_t bytes = place_in_order(items, order);
    if (!best.empty() && bytes >= size.bytes) return false;
    size.bytes = bytes;
    best.clear();
    for (const ArenaItem& item : items) best.push_back(item.offset);
    best_order = order;
    return true;
  };
  for (const std::vector<size_t>& order : orders) {
    attempt(order);
    if (size.bytes == size.lower_bound) break;
  }
  uint64_t state = 1;
  std::vector<size_t> order;
  constexpr int64_t kPatience = 12;  // attempts without success before the best order is taken up again
  const int64_t attempts = size.bytes == size.lower_bound ? 0 : attempts_for(open.size());
  for (int64_t i = 0, failures = kPatience; i < attempts && size.bytes > size.lower_bound; ++i) {
    if (failures == kPatience) {
      order = best_order;
      for (size_t k = 0; k < best.size(); ++k) items[k].offset = best[k];
      failures = 0;
    }
    raise_one(items, order, size.lower_bound, state);
    failures = attempt(order) ? 0 : failures + 1;
  }
  for (size_t i = 0; i < best.size(); ++i) items[i].offset = best[i];
  return size;
}

ArenaMemory::~ArenaMemory() { std::free(data_); }

bool ArenaMemory::reserve(int64_t bytes) {
  if (bytes <= bytes_) return true;
  const int64_t wanted = aligned(bytes);
  auto* grown = static_cast<std::byte*>(std::aligned_alloc(kArenaAlignment, static_cast<size_t>(wanted)));
  if (!grown) return false;
  prefer_large_pages(grown, static_cast<size_t>(wanted));
  if (bytes_ > 0) std::memcpy(grown, data_, static_cast<size_t>(bytes_));
  std::free(data_);
  data_ = grown;
  bytes_ = wanted;
  return true;
}

}  // namespace gannet
