// CumSum and CumProd. A thread has whole lines along the axis, so that each is added up in one order.
#include <algorithm>
#include <array>
#include <type_traits>

#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

struct Extents {
  int64_t outer = 0, length = 0, inner = 0;
};

template <class T, bool product>
class Cumulative final : public Primitive {
 public:
  Cumulative(Extents e, bool exclusive, bool reverse, int threads) : e_(e), exclusive_(exclusive), reverse_(reverse), threads_(threads) {}

  int64_t scratch_bytes() const override { return 0; }

  Status run(void* const* pointers, void*, Threads& threads) const override {
    const auto* x = static_cast<const T*>(pointers[0]);
    auto* y = static_cast<T*>(pointers[1]);
    const int64_t blocks = (e_.inner + kColumns - 1) / kColumns;
    threads.parallel_for(e_.outer * blocks, threads_, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kColumns, at = i / blocks * e_.length * e_.inner + first;
        lines(x + at, y + at, std::min(kColumns, e_.inner - first));
      }
    });
    return {};
  }

 private:
  static constexpr int64_t kColumns = 64;
  using Total = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

  // `count` neighbouring lines. Each element is read before its place is written.
  void lines(const T* x, T* y, int64_t count) const {
    std::array<Total, kColumns> totals;
    totals.fill(Total(product ? 1 : 0));
    for (int64_t k = 0; k < e_.length; ++k) {
      const int64_t at = (reverse_ ? e_.length - 1 - k : k) * e_.inner;
      for (int64_t c = 0; c < count; ++c) {
        const Total before = totals[static_cast<size_t>(c)], element = static_cast<Total>(x[at + c]);
        const Total next = product ? before * element : before + element;
        y[at + c] = static_cast<T>(exclusive_ ? before : next);
        totals[static_cast<size_t>(c)] = next;
      }
    }
  }

  const Extents e_;
  const bool exclusive_, reverse_;
  const int threads_;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_cumulative(const CumulativeRecipe& recipe, const Preparation& p) {
  auto at = [&](SizeId id) { return p.sizes[static_cast<size_t>(id)]; };
  const Extents e{at(recipe.outer), at(recipe.length), at(recipe.inner)};
  const double elements = static_cast<double>(e.outer) * static_cast<double>(e.length) * static_cast<double>(e.inner);
  const int threads = p.threads_for(elements * 60, 0);  // a nanosecond for each
  const auto make = [&]<class T>(T) -> Result<std::shared_ptr<const Primitive>> {
    std::shared_ptr<const Primitive> made;
    if (recipe.product) made = std::make_shared<Cumulative<T, true>>(e, recipe.exclusive, recipe.reverse, threads);
    else made = std::make_shared<Cumulative<T, false>>(e, recipe.exclusive, recipe.reverse, threads);
    return made;
  };
  switch (recipe.dtype) {
    case DType::kF32: return make(float());
    case DType::kF64: return make(double());
    case DType::kI32: return make(int32_t());
    case DType::kI64: return make(int64_t());
    case DType::kU32: return make(uint32_t());
    case DType::kU64: return make(uint64_t());
    default: return unsupported(fmt::format("totals of {}", name_of(recipe.dtype)));
  }
}

}  // namespace gannet
