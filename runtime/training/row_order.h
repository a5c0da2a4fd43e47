// In which order an epoch sees its rows: a pure function of seed and epoch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gannet {

// A permutation of [0, rows).
std::vector<int64_t> shuffled_rows(int64_t rows, uint64_t seed, int64_t epoch);
// As many rows as there are classes of rows given, every class that occurs as often as any other (one more or
// less): rows of rare classes come several times, those of frequent ones take turns over the epochs.
std::vector<int64_t> balanced_rows(std::span<const int64_t> class_of_row, uint64_t seed, int64_t epoch);

}  // namespace gannet
