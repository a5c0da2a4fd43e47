// Attention: softmax(q k scale + masks) v for a block of rows of one head at a time, whose scores stay in cache. A block is
// computed on one thread, and blocks follow from the extents alone, so results do not depend on the number of threads. Where
// products are of bf16, a thread packs keys and values of a head when it comes to it.
#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <utility>

#include "ir/base/round_up.h"
#include "runtime/kernels/attention_rows.h"
#include "runtime/kernels/bf16_products.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

constexpr size_t kMostBatchAxes = 4, kMostRows = 128;  // of a block

// An operand of [batch..., rows, columns].
struct Matrices {
  int64_t row = 0, column = 0;
  std::array<int64_t, kMostBatchAxes> batch{};  // strides, 0 along axes that are repeated

  int64_t at(const std::array<int64_t, kMostBatchAxes>& place) const {
    int64_t offset = 0;
    for (size_t a = 0; a < kMostBatchAxes; ++a) offset += place[a] * batch[a];
    return offset;
  }
};

Matrices matrices_of(const Layout& layout) {
  const size_t rank = layout.rank(), axes = rank - 2;
  const auto stride = [&](size_t axis) { return layout.extents[axis] == 1 ? 0 : layout.strides[axis]; };
  Matrices result{stride(rank - 2), stride(rank - 1), {}};
  for (size_t a = 0; a < axes; ++a) result.batch[kMostBatchAxes - axes + a] = stride(a);
  return result;
}

struct Extents {
  std::array<int64_t, kMostBatchAxes> batch{1, 1, 1, 1};
  int64_t rows = 0, columns = 0, depth = 0, width = 0;

  int64_t heads() const { return batch[0] * batch[1] * batch[2] * batch[3]; }
  // Elements from row to row of the scores.
  int64_t pitch() const { return rounded_up(columns, AttentionRows::kPadding); }
  // Rows of a block: those of a head where they are few and there are heads enough for every thread.
  int64_t block() const {
    constexpr int64_t kFew = kMostRows, kBlock = 64, kManyHeads = 2;
    if (rows > kFew) return kBlock;
    return heads() >= kManyHeads ? rows : std::max<int64_t>(std::min(rows, rounded_up((rows + 1) / 2, 16)), 1);
  }
};

class Attention final : public Primitive {
 public:
  struct Parts {
    Extents extents;
    Matrices q, k, v, y;
    std::vector<Matrices> masks;
    float scale = 1;
    bool rounds = false;                  // what the softmax makes
    bool y_is_bf16 = false;
    const Bf16Products* narrow = nullptr;  // where q, k and v are bf16
  };
  Attention(Parts parts, int threads)
      : p_(std::move(parts)), blocks_(quotient_up(p_.extents.rows, p_.extents.block())), threads_(threads) {
    const Extents& e = p_.extents;
    const auto reserve = [&](int64_t bytes) { return std::exchange(thread_scratch_, thread_scratch_ + rounded_up(bytes, 64)); };
    reserve(e.block() * e.pitch() * int64_t{sizeof(float)});
    if (!p_.narrow) return;
    copies_q_ = (p_.q.column != 1 && e.depth > 1) || e.depth % 2 != 0;
    if (copies_q_) q_at_ = reserve(e.block() * even_depth() * 2);
    k_at_ = reserve(Bf16Products::packed_size(e.depth, e.columns) * 2);
    v_at_ = reserve(Bf16Products::packed_size(e.columns, e.width) * 2);
  }

  int64_t scratch_bytes() const override { return thread_scratch_ * threads_; }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    threads.parallel_for(p_.extents.heads() * blocks_, threads_, [&](int64_t begin, int64_t end, int thread) {
      const LibraryThreads one(1);
      auto* own = static_cast<std::byte*>(scratch) + thread * thread_scratch_;
      for (int64_t task = begin; task < end; ++task) {
        const Head head(*this, pointers, own, task / blocks_);
        if (p_.narrow && (task == begin || task % blocks_ == 0)) head.pack();
        if (!head.block(task % blocks_)) failed = true;
      }
    });
    if (failed) return unsupported("a matrix product of oneDNN failed");
    return {};
  }

 private:
  int64_t even_depth() const { return rounded_up(p_.extents.depth, 2); }

  // One head, with a thread's scratch memory.
  class Head {
   public:
    Head(const Attention& attention, void* const* pointers, std::byte* scratch, int64_t number)
        : a_(attention), p_(attention.p_), e_(p_.extents), rows_(attention_rows()), pointers_(pointers), scratch_(scratch) {
      for (size_t a = kMostBatchAxes; a-- > 0; number /= e_.batch[a]) place_[a] = number % e_.batch[a];
    }

    void pack() const {
      p_.narrow->pack(e_.depth, e_.columns, {operand<uint16_t>(1, p_.k, 0), p_.k.row, p_.k.column}, part(a_.k_at_));
      p_.narrow->pack(e_.columns, e_.width, {operand<uint16_t>(2, p_.v, 0), p_.v.row, p_.v.column}, part(a_.v_at_));
    }

    bool block(int64_t number) const {
      const int64_t first = number * e_.block(), rows = std::min(e_.block(), e_.rows - first);
      auto* scores = reinterpret_cast<float*>(scratch_);
      if (!multiply_keys(first, rows, scores)) return false;
      std::array<float, kMostRows> factors;
      for (int64_t i = 0; i < rows; ++i) {
        std::array<RowMask, kMostRowMasks> masks;
        for (size_t m = 0; m < p_.masks.size(); ++m) masks[m] = {operand<float>(3 + m, p_.masks[m], first + i), p_.masks[m].column == 0};
        float* const row = scores + i * e_.pitch();
        const float factor = 1 / rows_.exponentials(row, e_.columns, p_.scale, masks, static_cast<int>(p_.masks.size()));
        if (p_.narrow) rows_.narrow(row, e_.columns, factor);
        else if (p_.rounds) rows_.round(row, e_.columns, factor);
        factors[static_cast<size_t>(i)] = factor;
      }
      return multiply_values(first, rows, scores, factors);
    }

   private:
    template <class T>
    T* operand(size_t pointer, const Matrices& m, int64_t row) const {
      return static_cast<T*>(pointers_[pointer]) + m.at(place_) + row * m.row;
    }

    uint16_t* part(int64_t at) const { return reinterpret_cast<uint16_t*>(scratch_ + at); }

    bool multiply_keys(int64_t first, int64_t rows, float* scores) const {
      if (p_.narrow) {
        const auto [q, row] = rows_of_q(first, rows);
        p_.narrow->multiply(rows, e_.columns, e_.depth, q, row, part(a_.k_at_), {reinterpret_cast<std::byte*>(scores), e_.pitch()});
        return true;
      }
      if (e_.depth == 0) return std::fill(scores, scores + rows * e_.pitch(), 0.0f), true;
      const onednn::Matrix q{operand<float>(0, p_.q, first), p_.q.row, p_.q.column}, k{operand<float>(1, p_.k, 0), p_.k.row, p_.k.column};
      return onednn::multiply(rows, e_.columns, e_.depth, q, k, scores, e_.pitch()).ok();
    }

    // With an even number of neighbours a row, and elements from row to row.
    std::pair<const uint16_t*, int64_t> rows_of_q(int64_t first, int64_t rows) const {
      const auto* q = operand<uint16_t>(0, p_.q, first);
      if (!a_.copies_q_) return {q, p_.q.row};
      uint16_t* const copy = part(a_.q_at_);
      const int64_t pitch = a_.even_depth();
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t d = 0; d < pitch; ++d) copy[i * pitch + d] = d < e_.depth ? q[i * p_.q.row + d * p_.q.column] : 0;
      }
      return {copy, pitch};
    }

    bool multiply_values(int64_t first, int64_t rows, float* scores, const std::array<float, kMostRows>& factors) const {
      const size_t result = 3 + p_.masks.size();
      if (p_.narrow) {
        auto* const y = static_cast<std::byte*>(pointers_[result]) + (p_.y.at(place_) + first * p_.y.row) * (p_.y_is_bf16 ? 2 : 4);
        p_.narrow->multiply(rows, e_.width, e_.columns, reinterpret_cast<const uint16_t*>(scores), 2 * e_.pitch(), part(a_.v_at_),
                            {y, p_.y.row, p_.y_is_bf16});
        return true;
      }
      float* const y = operand<float>(result, p_.y, first);
      const onednn::Matrix v{operand<float>(2, p_.v, 0), p_.v.row, p_.v.column};
      if (!onednn::multiply(rows, e_.width, e_.columns, {scores, e_.pitch(), 1}, v, y, p_.y.row).ok()) return false;
      for (int64_t i = 0; i < rows && !p_.rounds; ++i) rows_.multiply(y + i * p_.y.row, e_.width, factors[static_cast<size_t>(i)]);
      return true;
    }

    const Attention& a_;
    const Parts& p_;
    const Extents& e_;
    const AttentionRows& rows_;
    void* const* const pointers_;
    std::byte* const scratch_;
    std::array<int64_t, kMostBatchAxes> place_;
  };

  const Parts p_;
  const int64_t blocks_;
  const int threads_;
  // Of a thread: scores, then copies of q's rows, and k and v packed.
  int64_t thread_scratch_ = 0, q_at_ = 0, k_at_ = 0, v_at_ = 0;
  bool copies_q_ = false;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_attention(const AttentionRecipe& recipe, const Preparation& preparation) {
  const Layout q = layout_at(recipe.q, preparation.sizes), k = layout_at(recipe.k, preparation.sizes);
  const Layout v = layout_at(recipe.v, preparation.sizes), y = layout_at(recipe.y, preparation.sizes);
  Attention::Parts p{{}, matrices_of(q), matrices_of(k), matrices_of(v), matrices_of(y), {}, recipe.scale, recipe.rounds};
  if (recipe.q.dtype == DType::kBF16) {
    p.narrow = bf16_products();
    p.y_is_bf16 = recipe.y.dtype == DType::kBF16;
    if (!p.narrow) return unsupported("this machine has no products of bf16");
    const auto lies_together = [](const Layout& x, const Matrices& m) {
      return m.row == 1 || m.column == 1 || x.extents[x.rank() - 1] <= 1 || x.extents[x.rank() - 2] <= 1;
    };
    if (!lies_together(k, p.k) || !lies_together(v, p.v)) return unsupported("an operand whose rows and columns are both apart in memory");
  }
  Extents& e = p.extents;
  const size_t rank = y.rank(), axes = rank - 2;
  for (size_t a = 0; a < axes; ++a) e.batch[kMostBatchAxes - axes + a] = y.extents[a];
  e.rows = y.extents[rank - 2];
  e.width = y.extents[rank - 1];
  e.depth = q.extents[rank - 1];
  e.columns = k.extents[rank - 1];
  for (const TensorLayout& mask : recipe.masks) p.masks.push_back(matrices_of(layout_at(mask, preparation.sizes)));
  if (y.elements() == 0) return make_nothing();
  if (e.columns == 0) return make_fill(y, std::nullopt, {}, {}, 3 + p.masks.size());
  const double products = static_cast<double>(e.heads()) * static_cast<double>(e.rows) * static_cast<double>(e.columns);
  const int threads = preparation.threads_for(products * (2 * static_cast<double>(e.depth + e.width) / speed_of(recipe.q) + 60), 0);
  return std::shared_ptr<const Primitive>(std::make_shared<Attention>(std::move(p), threads));
}

}  // namespace gannet
