// Rows of attention scores: what a softmax does before and after the product with the values, while a row is in cache.
#pragma once

#include <array>
#include <cstdint>

namespace gannet {

// A summand of a row: one number for each column, or one for all.
struct RowMask {
  const float* first = nullptr;
  bool is_single = false;
};
inline constexpr int kMostRowMasks = 2;

struct AttentionRows {
  // Columns are filled up to a multiple of this; what is behind the last one becomes 0.
  static constexpr int64_t kPadding = 16;
  // x = exp(x * scale + masks - m) with m the largest; gives the sum of the row. NaN where a column is NaN or none is
  // above -infinity.
  float (*exponentials)(float* x, int64_t columns, float scale, const std::array<RowMask, kMostRowMasks>& masks, int mask_count) = nullptr;
  void (*multiply)(float* y, int64_t columns, float factor) = nullptr;
  // x * factor rounded to bf16, of a row that is filled up: as f32, or as bf16 at the beginning of its memory.
  void (*round)(float* x, int64_t columns, float factor) = nullptr;
  void (*narrow)(float* x, int64_t columns, float factor) = nullptr;
};

// For this machine.
const AttentionRows& attention_rows();

}  // namespace gannet
