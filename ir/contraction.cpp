#include "ir/contraction.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace gannet {
namespace {

// One tile: `rows` rows of the result by the columns of two vectors. `left` is packed with the rows
// innermost.
template <class T>
struct TileArgs {
  int64_t k = 0;
  const T* left = nullptr;
  const T* right = nullptr;
  int64_t right_stride = 0;
  T* target = nullptr;
  int64_t target_stride = 0;
  bool accumulate = false;
};
template <class T>
using TileFn = void (*)(const TileArgs<T>&);

constexpr int kMostTileRows = 12;
constexpr int kMostTileColumns = 32;
// Entry i computes i + 1 rows.
template <class T>
struct TileKernels {
  int rows = 0;
  int64_t columns = 0;
  std::array<TileFn<T>, kMostTileRows> of_rows = {};
};

#if defined(__x86_64__)
#define GANNET_TILE_ROWS 12
namespace avx512 {
#define GANNET_TILE_TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")))
#define GANNET_TILE_BYTES 64
#include "ir/contraction_tile.inc"
#undef GANNET_TILE_TARGET
#undef GANNET_TILE_BYTES
}  // namespace avx512
#undef GANNET_TILE_ROWS
#define GANNET_TILE_ROWS 6
namespace avx2 {
#define GANNET_TILE_TARGET __attribute__((target("avx2,fma")))
#define GANNET_TILE_BYTES 32
#include "ir/contraction_tile.inc"
#undef GANNET_TILE_TARGET
#undef GANNET_TILE_BYTES
}  // namespace avx2
#undef GANNET_TILE_ROWS
#endif
#define GANNET_TILE_ROWS 6
namespace baseline {
#define GANNET_TILE_TARGET
#define GANNET_TILE_BYTES 16
#include "ir/contraction_tile.inc"
#undef GANNET_TILE_TARGET
#undef GANNET_TILE_BYTES
}  // namespace baseline
#undef GANNET_TILE_ROWS

template <class T>
const TileKernels<T>& tile_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    return avx512::kTiles<T>;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kTiles<T>;
#endif
  return baseline::kTiles<T>;
}

// Extents of a block: a packed panel of the right operand stays in the second-level cache.
constexpr int64_t kBlockK = 256;
constexpr int64_t kBlockBytesN = 2048;
constexpr int64_t kBlockM = 144;

// Left rows [0, rows) of a block, in strips of the tile's rows: within a strip, the rows of one k are
// neighbours.
template <class T>
void pack_left(const MatrixView<T>& left, int64_t rows, int64_t k, int64_t strip, T* packed) {
  for (int64_t first = 0; first < rows; first += strip) {
    int64_t count = std::min(strip, rows - first);
    const T* source = left.data + first * left.row_stride;
    for (int64_t i = 0; i < count; ++i) {
      const T* row = source + i * left.row_stride;
      for (int64_t p = 0; p < k; ++p) packed[p * count + i] = row[p * left.column_stride];
    }
    packed += count * k;
  }
}

// Right columns [0, columns), in strips of `width`; the last strip is filled up with zeros.
template <class T>
void pack_right(const MatrixView<T>& right, int64_t k, int64_t columns, int64_t width, T* packed) {
  for (int64_t first = 0; first < columns; first += width, packed += width * k) {
    int64_t count = std::min(width, columns - first);
    const T* source = right.data + first * right.column_stride;
    if (right.column_stride == 1) {
      for (int64_t p = 0; p < k; ++p) {
        std::memcpy(packed + p * width, source + p * right.row_stride,
                    static_cast<size_t>(count) * sizeof(T));
      }
    } else {
      constexpr int64_t kRun = 16;
      for (int64_t p0 = 0; p0 < k; p0 += kRun) {
        int64_t end = std::min(p0 + kRun, k);
        for (int64_t j = 0; j < count; ++j) {
          const T* column = source + j * right.column_stride;
          for (int64_t p = p0; p < end; ++p) packed[p * width + j] = column[p * right.row_stride];
        }
      }
    }
    if (count == width) continue;
    for (int64_t p = 0; p < k; ++p) std::fill(packed + p * width + count, packed + (p + 1) * width, T(0));
  }
}

template <class T>
void pack_rows(const RowSource<T>& right, int64_t first_row, int64_t k, int64_t first_column, int64_t columns,
               int64_t width, T* row, T* packed) {
  int64_t padded = (columns + width - 1) / width * width;
  std::fill(row + columns, row + padded, T(0));
  for (int64_t p = 0; p < k; ++p) {
    right(first_row + p, first_column, columns, row);
    for (int64_t j = 0; j < padded; j += width) {
      std::memcpy(packed + j * k + p * width, row + j, static_cast<size_t>(width) * sizeof(T));
    }
  }
}

// The columns of one right panel against the rows of one packed left block.
template <class T>
struct Panel {
  const T* data = nullptr;
  int64_t stride = 0;        // between the rows of a strip
  int64_t strip_stride = 0;  // between strips
};

template <class T>
void multiply_block(const TileKernels<T>& kernels, const T* left, const Panel<T>& panel, int64_t rows,
                    int64_t columns, int64_t k, const ProductTarget<T>& target) {
  T edge[kMostTileRows * kMostTileColumns];
  for (int64_t j = 0; j < columns; j += kernels.columns) {
    int64_t width = std::min(kernels.columns, columns - j);
    const T* right = panel.data + j / kernels.columns * panel.strip_stride;
    for (int64_t i = 0; i < rows; i += kernels.rows) {
      int64_t height = std::min<int64_t>(kernels.rows, rows - i);
      TileFn<T> tile = kernels.of_rows[static_cast<size_t>(height - 1)];
      T* out = target.data + i * target.row_stride + j;
      if (width == kernels.columns) {
        tile({k, left + i * k, right, panel.stride, out, target.row_stride, target.accumulate});
        continue;
      }
      tile({k, left + i * k, right, panel.stride, edge, kernels.columns, false});
      for (int64_t r = 0; r < height; ++r) {
        for (int64_t x = 0; x < width; ++x) {
          T& y = out[r * target.row_stride + x];
          y = target.accumulate ? y + edge[r * kernels.columns + x] : edge[r * kernels.columns + x];
        }
      }
    }
  }
}

template <class T>
class BlockedProduct {
 public:
  BlockedProduct(const ProductExtents& extents, MatrixView<T> left, ProductTarget<T> target)
      : extents_(extents), left_(left), target_(target), kernels_(tile_kernels<T>()) {
    int64_t k = std::min(kBlockK, extents.k);
    block_n_ = std::min(padded(kBlockBytesN / static_cast<int64_t>(sizeof(T))), padded(extents.n));
    packed_left_.reset(new T[static_cast<size_t>(k * std::min(kBlockM, extents.m))]);
    packed_right_.reset(new T[static_cast<size_t>((k + 1) * block_n_)]);
  }

  // `pack(k0, k, n0, n)` gives the panel of these rows and columns of the right operand.
  template <class Pack>
  void run(Pack pack) {
    for (int64_t n0 = 0; n0 < extents_.n; n0 += block_n_) {
      int64_t n = std::min(block_n_, extents_.n - n0);
      for (int64_t k0 = 0; k0 < extents_.k; k0 += kBlockK) {
        int64_t k = std::min(kBlockK, extents_.k - k0);
        Panel<T> panel = pack(k0, k, n0, n);
        for (int64_t m0 = 0; m0 < extents_.m; m0 += kBlockM) multiply_rows_of(m0, k0, k, n0, n, panel);
      }
    }
  }

  T* packed_right() { return packed_right_.get(); }
  T* row_buffer() { return packed_right_.get() + block_n_ * std::min(kBlockK, extents_.k); }
  int64_t strip() const { return kernels_.columns; }

 private:
  int64_t padded(int64_t n) const { return (n + kernels_.columns - 1) / kernels_.columns * kernels_.columns; }

  void multiply_rows_of(int64_t m0, int64_t k0, int64_t k, int64_t n0, int64_t n, const Panel<T>& panel) {
    int64_t m = std::min(kBlockM, extents_.m - m0);
    MatrixView<T> left = left_;
    left.data += m0 * left.row_stride + k0 * left.column_stride;
    pack_left(left, m, k, kernels_.rows, packed_left_.get());
    ProductTarget<T> target = target_;
    target.data += m0 * target.row_stride + n0;
    target.accumulate = target.accumulate || k0 > 0;
    multiply_block(kernels_, packed_left_.get(), panel, m, n, k, target);
  }

  ProductExtents extents_;
  MatrixView<T> left_;
  ProductTarget<T> target_;
  const TileKernels<T>& kernels_;
  int64_t block_n_ = 0;
  std::unique_ptr<T[]> packed_left_, packed_right_;
};

// For products too small to be worth packing.
template <class T>
void multiply_plainly(const ProductExtents& e, const MatrixView<T>& left, const MatrixView<T>& right,
                      const ProductTarget<T>& target) {
  for (int64_t i = 0; i < e.m; ++i) {
    for (int64_t j = 0; j < e.n; ++j) {
      T sum = T(0);
      for (int64_t p = 0; p < e.k; ++p) {
        sum += left.data[i * left.row_stride + p * left.column_stride] *
               right.data[p * right.row_stride + j * right.column_stride];
      }
      T& y = target.data[i * target.row_stride + j];
      y = target.accumulate ? y + sum : sum;
    }
  }
}

// One row times a matrix whose columns are consecutive in memory: each is read once, in order.
template <class T>
void multiply_row(const ProductExtents& e, const T* left, const MatrixView<T>& right,
                  const ProductTarget<T>& target) {
  for (int64_t j = 0; j < e.n; ++j) {
    const T* column = right.data + j * right.column_stride;
    T sum = T(0);
#pragma omp simd reduction(+ : sum)
    for (int64_t p = 0; p < e.k; ++p) sum += left[p] * column[p];
    target.data[j] = target.accumulate ? target.data[j] + sum : sum;
  }
}

// True when the product has no terms; its elements are zero then.
template <class T>
bool finish_empty(const ProductExtents& e, const ProductTarget<T>& target) {
  if (e.m > 0 && e.n > 0 && e.k > 0) return false;
  if (target.accumulate) return true;
  for (int64_t i = 0; i < e.m; ++i) std::fill_n(target.data + i * target.row_stride, e.n, T(0));
  return true;
}

}  // namespace

template <class T>
void multiply(const ProductExtents& extents, MatrixView<T> left, MatrixView<T> right,
              ProductTarget<T> target) {
  if (finish_empty(extents, target)) return;
  constexpr int64_t kSmall = 512;
  if (extents.m <= kSmall && extents.n <= kSmall && extents.k <= kSmall &&
      extents.m * extents.n * extents.k <= kSmall) {
    return multiply_plainly(extents, left, right, target);
  }
  if (extents.m == 1 && left.column_stride == 1 && right.row_stride == 1) {
    return multiply_row(extents, left.data, right, target);
  }
  BlockedProduct<T> product(extents, left, target);
  // With few rows the right operand is read about once: packing it would cost as much as the product.
  bool in_place = right.column_stride == 1 && extents.m <= kMostTileRows;
  product.run([&](int64_t k0, int64_t k, int64_t n0, int64_t n) -> Panel<T> {
    MatrixView<T> part = right;
    part.data += k0 * right.row_stride + n0 * right.column_stride;
    if (in_place && n % product.strip() == 0) return {part.data, right.row_stride, product.strip()};
    pack_right(part, k, n, product.strip(), product.packed_right());
    return {product.packed_right(), product.strip(), product.strip() * k};
  });
}

template <class T>
void multiply(const ProductExtents& extents, MatrixView<T> left, const RowSource<T>& right,
              ProductTarget<T> target) {
  if (finish_empty(extents, target)) return;
  BlockedProduct<T> product(extents, left, target);
  product.run([&](int64_t k0, int64_t k, int64_t n0, int64_t n) -> Panel<T> {
    pack_rows(right, k0, k, n0, n, product.strip(), product.row_buffer(), product.packed_right());
    return {product.packed_right(), product.strip(), product.strip() * k};
  });
}

#define GANNET_INSTANTIATE(T)                                                                       \
  template void multiply<T>(const ProductExtents&, MatrixView<T>, MatrixView<T>, ProductTarget<T>); \
  template void multiply<T>(const ProductExtents&, MatrixView<T>, const RowSource<T>&, ProductTarget<T>);
GANNET_INSTANTIATE(float)
GANNET_INSTANTIATE(double)
GANNET_INSTANTIATE(uint32_t)
GANNET_INSTANTIATE(uint64_t)
#undef GANNET_INSTANTIATE

}  // namespace gannet
