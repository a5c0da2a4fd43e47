// In which order an epoch sees its rows: a pure function of seed and epoch.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace gannet {

// A permutation of [0, rows).
std::vector<int64_t> shuffled_rows(int64_t rows, uint64_t seed, int64_t epoch);
// As many rows as there are classes of rows given, every class that occurs as often as any other (one more or
// less): rows of rare classes come several times, those of frequent ones take turns over the epochs.
std::vector<int64_t> balanced_rows(std::span<const int64_t> class_of_row, uint64_t seed, int64_t epoch);

// A row that a pass has for itself: number_fresh says which, from `first` on in the order in which they
// stand.
inline constexpr int64_t kFreshRow = -1;
void number_fresh(std::span<int64_t> rows, int64_t first);

// An endless sequence of passes over `rows` and `fresh` others, each in an order of its own. Pass p has the
// others first_fresh + p * fresh and so on, one after the other, which come in no other pass. Sequences of
// other labels (below 2^24) have other orders; balanced_rows has those of the numbers of classes.
class RowPasses {
 public:
  RowPasses(std::vector<int64_t> rows, uint64_t seed, uint64_t label, int64_t first_fresh = 0,
            int64_t fresh = 0)
      : rows_(std::move(rows)), seed_(seed), label_(label), first_fresh_(first_fresh), fresh_(fresh) {}
  // Element `position` >= 0; elements of one pass one after the other cost nothing.
  int64_t at(int64_t position);

 private:
  std::vector<int64_t> rows_, order_;
  uint64_t seed_, label_;
  int64_t first_fresh_, fresh_;
  int64_t pass_ = -1;
};

}  // namespace gannet
