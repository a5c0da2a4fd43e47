#include "runtime/kernels/bf16_products.h"

#include <algorithm>
#include <cstring>

#include "ir/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gannet {

#if defined(__x86_64__)
namespace {

#define GANNET_BF16_TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")))
#define GANNET_BF16_INLINE GANNET_BF16_TARGET __attribute__((always_inline)) inline

#define GANNET_VECTOR_TARGET GANNET_BF16_TARGET
#define GANNET_VECTOR_BYTES 64
#include "runtime/kernels/vector_functions.inc"
#undef GANNET_VECTOR_INLINE
#undef GANNET_VECTOR_BYTES
#undef GANNET_VECTOR_TARGET

constexpr int64_t kPanel = Bf16Products::kPanel, kPanelPair = 2 * kPanel;
constexpr int kMostRows = 12;  // whose sums, two vectors each, fit into the registers

// A mask of the first `count` of up to 32.
uint32_t first_bits(int64_t count) { return count >= 32 ? ~0u : count <= 0 ? 0 : (1u << count) - 1; }

// Exchanges rows and columns of 16 x 16 numbers of 32 bits.
GANNET_BF16_INLINE void transpose(__m512i (&x)[kLanes]) {
  __m512i y[kLanes];
#pragma GCC unroll 8
  for (int i = 0; i < kLanes; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  // x[4 g + j], of rows 4 g to 4 g + 3: columns j, j + 4, j + 8, j + 12.
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i first = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88), second = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xDD);
    const __m512i third = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88), fourth = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xDD);
    y[j] = _mm512_shuffle_i32x4(first, third, 0x88);
    y[4 + j] = _mm512_shuffle_i32x4(second, fourth, 0x88);
    y[8 + j] = _mm512_shuffle_i32x4(first, third, 0xDD);
    y[12 + j] = _mm512_shuffle_i32x4(second, fourth, 0xDD);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) x[i] = y[i];
}

// Columns that lie together: pairs of neighbours go from rows to columns.
GANNET_BF16_TARGET void pack_columns(int64_t depth, int64_t columns, const Bf16Matrix& x, uint16_t* packed) {
  const int64_t pairs = (depth + 1) / 2;
  for (int64_t c = 0; c < (columns + kPanel - 1) / kPanel * kPanel; c += kLanes) {
    uint16_t* const to = packed + c / kPanel * pairs * kPanelPair + c % kPanel * 2;
    for (int64_t p = 0; p < pairs; p += kLanes) {
      const __mmask32 inside = first_bits(depth - 2 * p);
      __m512i tile[kLanes];
      if (columns - c >= kLanes) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) tile[i] = _mm512_maskz_loadu_epi16(inside, x.first + (c + i) * x.column + 2 * p);
      } else {
        for (int64_t i = 0; i < kLanes; ++i)
          tile[i] = c + i < columns ? _mm512_maskz_loadu_epi16(inside, x.first + (c + i) * x.column + 2 * p) : _mm512_setzero_si512();
      }
      transpose(tile);
      for (int64_t i = 0; i < std::min(kLanes, pairs - p); ++i) _mm512_storeu_si512(to + (p + i) * kPanelPair, tile[i]);
    }
  }
}

// Rows that lie together: two at a time become one of pairs.
GANNET_BF16_TARGET void pack_rows(int64_t depth, int64_t columns, const Bf16Matrix& x, uint16_t* packed) {
  const int64_t pairs = (depth + 1) / 2;
  for (int64_t c = 0; c < (columns + kPanel - 1) / kPanel * kPanel; c += kLanes) {
    uint16_t* const to = packed + c / kPanel * pairs * kPanelPair + c % kPanel * 2;
    const auto inside = static_cast<__mmask16>(first_bits(columns - c));
    for (int64_t p = 0; p < pairs; ++p) {
      const uint16_t* const from = x.first + 2 * p * x.row + c;
      const __mmask16 second = 2 * p + 1 < depth ? inside : 0;
      const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(inside, from));
      const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(second, from + x.row));
      _mm512_storeu_si512(to + p * kPanelPair, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
}

void pack(int64_t depth, int64_t columns, const Bf16Matrix& x, uint16_t* packed) {
  if (x.row == 1 || depth <= 1) pack_columns(depth, columns, x, packed);
  else pack_rows(depth, columns, x, packed);
}

GANNET_BF16_INLINE void store(std::byte* y, bool is_bf16, __mmask16 inside, __m512 v) {
  if (!is_bf16) return _mm512_mask_storeu_ps(y, inside, v);
  // VCVTNEPS2BF16 takes denormals for zeros.
  _mm512_mask_cvtepi32_storeu_epi16(y, inside, reinterpret_cast<__m512i>(rounded_to_bf16(reinterpret_cast<Vector>(v))));
}

// `rows` rows by a panel, of which `columns` are wanted.
template <int rows>
GANNET_BF16_TARGET void multiply_rows(int64_t pairs, const uint16_t* a, int64_t a_row, const uint16_t* panel, int64_t columns, const ProductResult& y) {
  __m512 sums[rows][2];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
  // An address for three rows: they are 0, 1 and 2 times the distance behind it.
  const uint16_t* at[(rows + 2) / 3];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i += 3) at[i / 3] = a + i * a_row;
  for (int64_t p = 0; p < pairs; ++p, panel += kPanelPair) {
    const auto left = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel)), right = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + kPanel));
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      int32_t pair = 0;
      std::memcpy(&pair, at[i / 3] + i % 3 * a_row, sizeof pair);
      const auto both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      sums[i][0] = _mm512_dpbf16_ps(sums[i][0], both, left);
      sums[i][1] = _mm512_dpbf16_ps(sums[i][1], both, right);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i += 3) at[i / 3] += 2;
  }
  const int64_t bytes = y.is_bf16 ? 2 : 4;
  const auto first = static_cast<__mmask16>(first_bits(columns)), second = static_cast<__mmask16>(first_bits(columns - kLanes));
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    std::byte* const to = y.first + i * y.row * bytes;
    store(to, y.is_bf16, first, sums[i][0]);
    store(to + kLanes * bytes, y.is_bf16, second, sums[i][1]);
  }
}

template <int rows>
void multiply_up_to(int64_t wanted, int64_t pairs, const uint16_t* a, int64_t a_row, const uint16_t* panel, int64_t columns, const ProductResult& y) {
  if constexpr (rows > 1) {
    if (wanted < rows) return multiply_up_to<rows - 1>(wanted, pairs, a, a_row, panel, columns, y);
  }
  multiply_rows<rows>(pairs, a, a_row, panel, columns, y);
}

void multiply(int64_t rows, int64_t columns, int64_t depth, const uint16_t* a, int64_t a_row, const uint16_t* packed, const ProductResult& y) {
  const int64_t pairs = (depth + 1) / 2, bytes = y.is_bf16 ? 2 : 4;
  for (int64_t c = 0; c < columns; c += kPanel, packed += pairs * kPanelPair) {
    for (int64_t i = 0; i < rows; i += kMostRows) {
      const ProductResult part{y.first + (i * y.row + c) * bytes, y.row, y.is_bf16};
      multiply_up_to<kMostRows>(rows - i, pairs, a + i * a_row, a_row, packed, columns - c, part);
    }
  }
}

constexpr Bf16Products kBf16Products = {pack, multiply};

}  // namespace

const Bf16Products* bf16_products() { return host_target().bf16_products ? &kBf16Products : nullptr; }
#else
const Bf16Products* bf16_products() { return nullptr; }
#endif

}  // namespace gannet
