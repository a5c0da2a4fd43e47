#include "ir/base/nearest.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace gannet {

// Changes, insertions, deletions and swaps of neighbours ("optimal string alignment"), upper and lower case alike.
static int distance(std::string_view a, std::string_view b) {
  auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  };
  const size_t width = b.size() + 1;
  std::vector<int> cost((a.size() + 1) * width);
  for (size_t j = 0; j <= b.size(); ++j) cost[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int* row = &cost[i * width];
    const int* above = row - width;
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      int changed = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      row[j] = std::min({changed, above[j] + 1, row[j - 1] + 1});
      bool swapped = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]);
      if (swapped) row[j] = std::min(row[j], cost[(i - 2) * width + j - 2] + 1);
    }
  }
  return cost.back();
}

std::string nearest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr size_t kLongest = 64;
  if (word.size() > kLongest) return "";
  std::string_view best;
  int best_distance = 1 + static_cast<int>(std::max<size_t>(word.size(), 3)) / 3;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    int d = distance(word, candidate);
    if (d < best_distance) best = candidate, best_distance = d;
  }
  return std::string(best);
}

}  // namespace gannet
