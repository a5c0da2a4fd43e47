// Recipes at known sizes become primitives: one function a kind of recipe. What they have in common is here: layouts
// with numbers in them, a primitive that is a row of library calls, and weights packed once for all who need them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/primitive.h"
#include "runtime/kernels/onednn.h"

namespace gannet {

struct Layout {
  DType dtype = DType::kF32;
  std::vector<int64_t> extents, strides;

  int64_t elements() const;
  size_t rank() const { return extents.size(); }
};

Layout layout_at(const TensorLayout& layout, std::span<const int64_t> sizes);
std::vector<int64_t> values_at(std::span<const SizeId> ids, std::span<const int64_t> sizes);
// How many times as fast as those of f32 products of elements like those of `x` are.
double speed_of(const TensorLayout& x);
// Extents of 1 get the strides of a dense tensor, since kernels look for those.
Result<onednn::MemoryDesc> memory_of(const Layout& layout);
// Weights of a convolution, [groups * out, in, kernel...], as the library sees them: [groups,] out, in, kernel...
Layout library_weights(const Layout& w, int64_t groups);

// Constants in layouts of the library's choice, shared as long as someone holds them.
class PackedConstants {
 public:
  // The memory `constant` with layout `from` copied to layout `to`.
  Result<std::shared_ptr<const void>> pack(const void* constant, const onednn::MemoryDesc& from, const onednn::MemoryDesc& to);
  // `bytes` of memory that `fill` has written, or what an earlier call with this key made.
  Result<std::shared_ptr<const void>> keep(const std::string& key, int64_t bytes, const std::function<Status(void*)>& fill);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const void>> packed_;
};

// A call that steps of one form share.
struct SharedCall {
  onednn::Call call;
  onednn::MemoryDesc w;     // its layout of the weights
  int64_t scratch = 0;      // bytes, for each thread that runs it
  bool by_blocks = false;   // computed by the library's kernels for blocks of rows
};

// Calls by what tells their forms apart, kept for good: for forms of which a program has few, whatever it runs on.
class SharedCalls {
 public:
  Result<SharedCall> find_or_make(const std::string& key, const std::function<Result<SharedCall>()>& make);

 private:
  std::mutex mutex_;
  std::map<std::string, SharedCall> calls_;
};

struct Preparation {
  std::span<const int64_t> sizes;
  int threads = 1;
  std::span<const void* const> constants;
  PackedConstants& packed;
  SharedCalls& calls;
  bool open_rows = false;  // how many rows a product has differs from run to run
  bool is_ahead = false;   // of all runs: what other numbers of rows need is made as well

  // Threads for work of so many operations and bytes; `speed` says how many times as fast as f32 the operations are.
  int threads_for(double flops, double bytes, double speed = 1) const;
};

// An address that a call gets: one of the step's, a part of the scratch memory, or memory that the primitive keeps.
struct Place {
  enum Kind : uint8_t { kPointer, kScratch, kKept } kind = kPointer;
  int64_t index = 0;  // of the pointer or the kept memory; offset in scratch
};

// Calls of the library, one after the other.
class CallSequence final : public Primitive {
 public:
  explicit CallSequence(int threads) : threads_(threads) {}

  Place reserve(int64_t bytes);
  Place reserve(const onednn::MemoryDesc& desc) { return reserve(onednn::bytes_of(desc)); }
  Place keep(std::shared_ptr<const void> memory);
  // Appends a call; operands in the order in which the call runs them.
  struct Operand {
    int id = 0;
    onednn::MemoryDesc desc;
    Place place;
  };
  void add(dnnl::primitive primitive, std::vector<Operand> operands);
  // Appends a copy from one layout to another; `to` where they are equal is `from`.
  Result<Place> converted(Place from, const onednn::MemoryDesc& layout, const onednn::MemoryDesc& wanted);
  Status copy(Place from, const onednn::MemoryDesc& from_layout, Place to, const onednn::MemoryDesc& to_layout);

  int64_t scratch_bytes() const override { return scratch_bytes_; }
  Status run(void* const* pointers, void* scratch, Threads& threads) const override;

 private:
  struct Stage {
    onednn::Call call;
    std::vector<Place> places;
  };
  int threads_;
  int64_t scratch_bytes_ = 0;
  std::vector<Stage> stages_;
  std::vector<std::shared_ptr<const void>> kept_;
};

// Fewest operands of a stage that run without memory of the heap.
inline constexpr size_t kMostOperands = 32;

// y = epilogue(bias), for contractions over nothing. `bias` may be empty; its extents are 1 or those of y. Pointers are
// those of the step: the bias is number 2.
std::shared_ptr<const Primitive> make_fill(Layout y, std::optional<Layout> bias, std::vector<EpilogueStep> epilogue,
                                           std::vector<Layout> operands, size_t output);
// Does nothing: for results without elements.
std::shared_ptr<const Primitive> make_nothing();

// By tiles of 2x2 or 4x4 results, 0 for the faster; null where the convolution has another form or, with 0, another kernel is as fast.
Result<std::shared_ptr<const Primitive>> prepare_winograd(const ConvolutionRecipe& recipe, const Preparation& p, int64_t tile = 0);
Result<std::shared_ptr<const Primitive>> prepare_convolution(const ConvolutionRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_weight_gradient(const WeightGradientRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_scatter_rows(const ScatterRowsRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_scatter_blocks(const ScatterBlocksRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_cumulative(const CumulativeRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_likelihood(const LikelihoodRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_attention(const AttentionRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_matmul(const MatmulRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_pooling(const PoolingRecipe& recipe, const Preparation& p);
Result<std::shared_ptr<const Primitive>> prepare_recurrent(const RecurrentRecipe& recipe, const Preparation& p);

// Position of the first output among the pointers of a step with `recipe`.
size_t input_count(const ConvolutionRecipe& recipe);
size_t input_count(const MatmulRecipe& recipe);

}  // namespace gannet
