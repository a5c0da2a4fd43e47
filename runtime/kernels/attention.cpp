// Attention: softmax(q k scale + masks) v for a block of rows of one head at a time, whose scores stay in cache. A block is
// computed on one thread, and blocks follow from the extents alone, so results do not depend on the number of threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "runtime/kernels/attention_rows.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

constexpr size_t kMostBatchAxes = 4;

int64_t rounded_up(int64_t bytes, int64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

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
    constexpr int64_t kFew = 128, kBlock = 64, kManyHeads = 2;
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
  };
  Attention(Parts parts, int threads)
      : p_(std::move(parts)), blocks_((p_.extents.rows + p_.extents.block() - 1) / p_.extents.block()), threads_(threads) {}

  int64_t scratch_bytes() const override { return thread_scratch() * threads_; }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    threads.parallel_for(p_.extents.heads() * blocks_, threads_, [&](int64_t begin, int64_t end, int thread) {
      const LibraryThreads one(1);
      auto* own = static_cast<std::byte*>(scratch) + thread * thread_scratch();
      for (int64_t task = begin; task < end; ++task) {
        if (!block(pointers, own, task / blocks_, task % blocks_)) failed = true;
      }
    });
    if (failed) return unsupported("a matrix product of oneDNN failed");
    return {};
  }

 private:
  int64_t thread_scratch() const { return rounded_up(p_.extents.block() * p_.extents.pitch() * int64_t{sizeof(float)}, 64); }

  bool block(void* const* pointers, std::byte* scratch, int64_t head, int64_t number) const {
    const Extents& e = p_.extents;
    const int64_t first = number * e.block(), rows = std::min(e.block(), e.rows - first);
    std::array<int64_t, kMostBatchAxes> place;
    for (size_t a = kMostBatchAxes; a-- > 0; head /= e.batch[a]) place[a] = head % e.batch[a];
    const auto operand = [&](size_t pointer, const Matrices& m, int64_t row) { return static_cast<float*>(pointers[pointer]) + m.at(place) + row * m.row; };
    auto* scores = reinterpret_cast<float*>(scratch);
    float* y = operand(3 + p_.masks.size(), p_.y, first);
    const onednn::Matrix q{operand(0, p_.q, first), p_.q.row, p_.q.column}, k{operand(1, p_.k, 0), p_.k.row, p_.k.column};
    if (e.depth == 0) std::fill(scores, scores + rows * e.pitch(), 0.0f);
    else if (!onednn::multiply(rows, e.columns, e.depth, q, k, scores, e.pitch()).ok()) return false;
    std::array<float, 128> sums;
    for (int64_t i = 0; i < rows; ++i) {
      std::array<RowMask, kMostRowMasks> masks;
      for (size_t m = 0; m < p_.masks.size(); ++m) masks[m] = {operand(3 + m, p_.masks[m], first + i), p_.masks[m].column == 0};
      sums[static_cast<size_t>(i)] = rows_.exponentials(scores + i * e.pitch(), e.columns, p_.scale, masks, static_cast<int>(p_.masks.size()));
    }
    const onednn::Matrix v{operand(2, p_.v, 0), p_.v.row, p_.v.column};
    if (!onednn::multiply(rows, e.width, e.columns, {scores, e.pitch(), 1}, v, y, p_.y.row).ok()) return false;
    for (int64_t i = 0; i < rows; ++i) rows_.multiply(y + i * p_.y.row, e.width, 1 / sums[static_cast<size_t>(i)]);
    return true;
  }

  const Parts p_;
  const int64_t blocks_;
  const int threads_;
  const AttentionRows& rows_ = attention_rows();
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_attention(const AttentionRecipe& recipe, const Preparation& preparation) {
  const Layout q = layout_at(recipe.q, preparation.sizes), k = layout_at(recipe.k, preparation.sizes);
  const Layout v = layout_at(recipe.v, preparation.sizes), y = layout_at(recipe.y, preparation.sizes);
  Attention::Parts p{{}, matrices_of(q), matrices_of(k), matrices_of(v), matrices_of(y), {}, recipe.scale};
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
  const int threads = preparation.threads_for(products * (2 * static_cast<double>(e.depth + e.width) + 60), 0);
  return std::shared_ptr<const Primitive>(std::make_shared<Attention>(std::move(p), threads));
}

}  // namespace gannet
