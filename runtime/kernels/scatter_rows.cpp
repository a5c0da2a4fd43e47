// The gradient of Gather. Threads share the columns, not the rows, so that every sum has one order.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

class ScatterRows final : public Primitive {
 public:
  struct Extents {
    int64_t outer = 0, count = 0, rows = 0, inner = 0;
  };

  ScatterRows(Extents e, bool wide, int threads) : e_(e), wide_(wide), threads_(threads) {}

  int64_t scratch_bytes() const override { return 0; }

  Status run(void* const* pointers, void*, Threads& threads) const override {
    return wide_ ? scatter<int64_t>(pointers, threads) : scatter<int32_t>(pointers, threads);
  }

 private:
  template <class Position>
  Status scatter(void* const* pointers, Threads& threads) const {
    constexpr int64_t kColumns = 64;
    const auto* y = static_cast<const float*>(pointers[0]);
    const auto* positions = static_cast<const Position*>(pointers[1]);
    auto* x = static_cast<float*>(pointers[2]);
    for (int64_t i = 0; i < e_.count; ++i) {
      const auto at = static_cast<int64_t>(positions[i]);
      if (at < -e_.rows || at >= e_.rows) return invalid_input(fmt::format("index {} is outside of {} elements", at, e_.rows));
    }
    threads.parallel_for(e_.outer * e_.rows, threads_, [&](int64_t begin, int64_t end, int) {
      std::fill(x + begin * e_.inner, x + end * e_.inner, 0.0f);
    });
    const int64_t blocks = (e_.inner + kColumns - 1) / kColumns;
    threads.parallel_for(blocks, threads_, [&](int64_t begin, int64_t end, int) {
      const int64_t first = begin * kColumns, last = std::min(end * kColumns, e_.inner);
      for (int64_t o = 0; o < e_.outer; ++o) {
        for (int64_t i = 0; i < e_.count; ++i) {
          const auto at = static_cast<int64_t>(positions[i]);
          float* to = x + (o * e_.rows + (at < 0 ? at + e_.rows : at)) * e_.inner;
          const float* from = y + (o * e_.count + i) * e_.inner;
          for (int64_t c = first; c < last; ++c) to[c] += from[c];
        }
      }
    });
    return {};
  }

  const Extents e_;
  const bool wide_;
  const int threads_;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_scatter_rows(const ScatterRowsRecipe& recipe, const Preparation& p) {
  auto at = [&](SizeId id) { return p.sizes[static_cast<size_t>(id)]; };
  const ScatterRows::Extents e{at(recipe.outer), at(recipe.count), at(recipe.rows), at(recipe.inner)};
  const double elements = static_cast<double>(e.outer) * static_cast<double>(e.rows + 3 * e.count) * static_cast<double>(e.inner);
  return std::shared_ptr<const Primitive>(
      std::make_shared<ScatterRows>(e, recipe.positions == DType::kI64, p.threads_for(0, 4 * elements)));
}

}  // namespace gannet
