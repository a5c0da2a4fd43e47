// oneDNN behind functions that do not differ between its major versions: everything that builds operation descriptors
// and attributes is in onednn.cpp, so another version is another such file. Exceptions of the library end there.
//
// Weights, and the operands of transposed convolutions, may have a layout of the library's choice (any_layout): what it
// chose is in the Made that comes back.
#pragma once

#include <dnnl.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/error.h"
#include "runtime/core/recipe.h"

namespace gannet::onednn {

using MemoryDesc = dnnl::memory::desc;

// An error for dtypes that the library has no kernels for.
Result<MemoryDesc> dense_layout(DType dtype, const std::vector<int64_t>& extents, const std::vector<int64_t>& strides);
MemoryDesc any_layout(const MemoryDesc& like);
// The same in f32; of bf16 in a layout of the library's choice.
MemoryDesc wide_layout(const MemoryDesc& like);
int64_t bytes_of(const MemoryDesc& desc);
// The same for equal layouts, for keys of caches.
std::string identity_of(const MemoryDesc& desc);

struct PostOp {
  EpilogueKind kind = EpilogueKind::kRelu;
  float alpha = 0;
  float beta = 0;
  MemoryDesc operand;  // of kAdd, kMul, kMax, kMin
  bool in_place = false;  // of kAdd: the operand is what y holds before
};

// What happens to sums of integers besides post-ops: x_zero is taken from elements of x, sums (with bias) are multiplied by
// scales before the post-ops, y_zero is added after them. Zero points are further operands of the primitive, of one i32.
struct IntegerSums {
  std::vector<float> scales;  // one, or one for each channel; none for 1
  bool has_x_zero = false, has_y_zero = false;
};

// True where products of 8 bits do not saturate (AVX-512 VNNI).
bool has_integer_products();
// True where products with constant weights are computed by blocks of rows (AVX-512).
bool has_row_kernels();

// A primitive and the layouts that it takes.
struct Made {
  dnnl::primitive primitive;
  MemoryDesc x, w, y, scratch;
  std::string implementation;  // "brgconv:avx512_core"
  bool is_reference() const { return implementation.starts_with("ref"); }
};

struct ConvolutionSpec {
  MemoryDesc x, w, y;
  std::optional<MemoryDesc> bias;
  bool transposed = false;
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
  std::vector<PostOp> post_ops;
  IntegerSums sums;
};
// Weights are [groups,] out, in, kernel..., where a transposed convolution is from out to in; it takes no bias and no
// post-ops, and its operands are kYGradient and kXGradient for x and y.
Result<Made> make_convolution(const ConvolutionSpec& spec);

// The gradient of a convolution's weights: w from x and the gradient y of its result.
Result<Made> make_weight_gradient(const ConvolutionSpec& spec);

// y = post_ops(x + z) where y has the layout of x and z is broadcast; operands kX, kOther, kY.
Result<Made> make_sum(const MemoryDesc& x, const MemoryDesc& z, const std::vector<PostOp>& post_ops);

struct MatmulSpec {
  MemoryDesc x, w, y;
  std::optional<MemoryDesc> bias;
  std::vector<PostOp> post_ops;
  IntegerSums sums;
};
Result<Made> make_matmul(const MatmulSpec& spec);

struct PoolingSpec {
  PoolingKind kind = PoolingKind::kMax;
  MemoryDesc x, y;
  std::vector<int64_t> kernel, strides, dilations, pads_begin, pads_end;
};
Result<Made> make_pooling(const PoolingSpec& spec);
// The gradient of x from that of y, x and y with the layouts of the operands themselves. A maximum needs the forward
// pass of `forward`, which writes where each maximum was into `workspace`; empty for averages.
struct MadePoolingGradient {
  Made forward, gradient;
  MemoryDesc workspace;
};
Result<MadePoolingGradient> make_pooling_gradient(const PoolingSpec& spec);

// Copies x to y in another layout.
Result<Made> make_reorder(const MemoryDesc& from, const MemoryDesc& to);

// Which operand of a primitive an address is for.
enum class Argument { kX, kXZero, kYZero, kOther, kW, kBias, kY, kScratch, kFrom, kTo, kXGradient, kWGradient, kYGradient, kWorkspace };
int argument_id(Argument argument);
int post_op_argument(size_t index);
// At which of the library's own post-ops each of `ops` starts: some kinds take two.
std::vector<size_t> post_op_positions(const std::vector<PostOp>& ops);

// A matrix of f32: its first element, and the elements from row to row and from column to column, one of which is 1. Where there is
// one row or column, its own number says nothing.
struct Matrix {
  const float* first = nullptr;
  int64_t row = 0, column = 0;
};
// c = a b with c_row elements from row to row of c, on as many threads as LibraryThreads says; no primitive is made.
Status multiply(int64_t rows, int64_t columns, int64_t depth, const Matrix& a, const Matrix& b, float* c, int64_t c_row);

// A primitive with its operands' layouts, to be run on addresses. Safe to run from several threads at once.
class Call {
 public:
  Call() = default;
  Call(dnnl::primitive primitive, std::vector<std::pair<int, MemoryDesc>> arguments);
  // `addresses` in the order of the arguments.
  Status run(std::span<void* const> addresses) const;

 private:
  struct Operands;
  struct Shared {
    ~Shared();
    dnnl::primitive primitive;
    std::vector<std::pair<int, MemoryDesc>> arguments;
    std::mutex mutex;
    std::vector<std::unique_ptr<Operands>> free;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace gannet::onednn
