#include "backend/llvm/tile_code.h"

namespace gannet {

// Exchanges the off-diagonal blocks of each square of 2 * size vectors, for size = 1, 2, 4, ... (J. O. Eklundh, 1972).
std::vector<llvm::Value*> transpose_vectors(llvm::IRBuilder<>& builder, std::vector<llvm::Value*> rows) {
  const size_t n = rows.size();
  for (size_t size = 1; size < n; size *= 2) {
    std::vector<int> low, high;
    for (size_t lane = 0; lane < n; ++lane) {
      const bool second = lane & size;
      low.push_back(static_cast<int>(second ? n + lane - size : lane));
      high.push_back(static_cast<int>(second ? n + lane : lane + size));
    }
    for (size_t i = 0; i < n; ++i) {
      if (i & size) continue;
      llvm::Value *a = rows[i], *b = rows[i + size];
      rows[i] = builder.CreateShuffleVector(a, b, low);
      rows[i + size] = builder.CreateShuffleVector(a, b, high);
    }
  }
  return rows;
}

}  // namespace gannet
