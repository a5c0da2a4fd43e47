// ScatterND. Threads share the columns of the blocks, not the rows, so that updates of one place keep their order.
#include <algorithm>
#include <type_traits>

#include "ir/ops/indices.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

// `to` takes `from` as ir/ops/scatter.cpp says.
template <class T>
T combined(ScatterReduction reduction, T to, T from) {
  if constexpr (std::is_integral_v<T>) {
    using Wide = uint64_t;
    if (reduction == ScatterReduction::kAdd) return static_cast<T>(static_cast<Wide>(to) + static_cast<Wide>(from));
    if (reduction == ScatterReduction::kMul) return static_cast<T>(static_cast<Wide>(to) * static_cast<Wide>(from));
  } else {
    if (reduction == ScatterReduction::kAdd) return to + from;
    if (reduction == ScatterReduction::kMul) return to * from;
  }
  const bool stays = reduction == ScatterReduction::kMax ? to > from : to < from;
  return stays || to != to ? to : from;
}

template <class T>
class ScatterBlocks final : public Primitive {
 public:
  ScatterBlocks(ScatterReduction reduction, const std::vector<int64_t>& extents, int64_t rows, int64_t block, int threads)
      : reduction_(reduction), tuples_(extents, 0, extents.size()), rows_(block == 0 ? 0 : rows), block_(block), threads_(threads) {}

  int64_t scratch_bytes() const override { return rows_ * static_cast<int64_t>(sizeof(int64_t)); }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    constexpr int64_t kColumns = 4096;
    const auto* data = static_cast<const T*>(pointers[0]);
    const auto* indices = static_cast<const int64_t*>(pointers[1]);
    const auto* updates = static_cast<const T*>(pointers[2]);
    auto* y = static_cast<T*>(pointers[3]);
    auto* starts = static_cast<int64_t*>(scratch);
    for (int64_t row = 0; row < rows_; ++row) starts[row] = TRY(tuples_.locate(indices, row)) * block_;
    if (y != data) {
      threads.parallel_for(tuples_.batch_elements * block_, threads_,
                           [&](int64_t begin, int64_t end, int) { std::copy(data + begin, data + end, y + begin); });
    }
    threads.parallel_for((block_ + kColumns - 1) / kColumns, threads_, [&](int64_t begin, int64_t end, int) {
      const int64_t first = begin * kColumns, last = std::min(end * kColumns, block_);
      for (int64_t row = 0; row < rows_; ++row) update(y + starts[row] + first, updates + row * block_ + first, last - first);
    });
    return {};
  }

 private:
  void update(T* to, const T* from, int64_t count) const {
    if (reduction_ == ScatterReduction::kNone) {
      std::copy(from, from + count, to);
      return;
    }
    for (int64_t i = 0; i < count; ++i) to[i] = combined(reduction_, to[i], from[i]);
  }

  const ScatterReduction reduction_;
  const TupleIndex tuples_;
  const int64_t rows_, block_;
  const int threads_;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_scatter_blocks(const ScatterBlocksRecipe& recipe, const Preparation& p) {
  const std::vector<int64_t> extents = values_at(recipe.extents, p.sizes);
  const int64_t rows = p.sizes[static_cast<size_t>(recipe.rows)], block = p.sizes[static_cast<size_t>(recipe.block)];
  double elements = static_cast<double>(block);
  for (const int64_t extent : extents) elements *= static_cast<double>(extent);
  elements += 2 * static_cast<double>(rows) * static_cast<double>(block);
  const int threads = p.threads_for(0, elements * static_cast<double>(element_size(recipe.dtype)));
  const auto make = [&]<class T>(T) -> Result<std::shared_ptr<const Primitive>> {
    return std::shared_ptr<const Primitive>(std::make_shared<ScatterBlocks<T>>(recipe.reduction, extents, rows, block, threads));
  };
  if (recipe.reduction != ScatterReduction::kNone) {
    switch (recipe.dtype) {
      case DType::kF32: return make(float());
      case DType::kF64: return make(double());
      case DType::kI32: return make(int32_t());
      case DType::kI64: return make(int64_t());
      default: return unsupported(fmt::format("updates of {} that are combined", name_of(recipe.dtype)));
    }
  }
  switch (element_size(recipe.dtype)) {
    case 1: return make(uint8_t());
    case 2: return make(uint16_t());
    case 4: return make(uint32_t());
    case 8: return make(uint64_t());
    default: return unsupported(fmt::format("updates of {}", name_of(recipe.dtype)));
  }
}

}  // namespace gannet
