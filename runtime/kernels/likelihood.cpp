// The loss of scores at their targets. Sums are f64, of pieces that follow from the number of targets alone, added in order.
#include <algorithm>
#include <atomic>
#include <limits>

#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

struct Extents {
  int64_t samples = 0, classes = 0, pixels = 0;
};

template <class T, class Target>
class Likelihood final : public Primitive {
 public:
  Likelihood(const LikelihoodRecipe& recipe, Extents e, int threads)
      : reduction_(recipe.reduction), ignores_(recipe.ignores), ignored_(recipe.ignored), e_(e), threads_(threads) {}

  int64_t scratch_bytes() const override { return pieces() * static_cast<int64_t>(sizeof(Piece)); }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    const auto* scores = static_cast<const T*>(pointers[0]);
    const auto* targets = static_cast<const Target*>(pointers[1]);
    const auto* weights = static_cast<const T*>(pointers[2]);
    auto* losses = static_cast<T*>(pointers[3]);
    auto* sums = static_cast<Piece*>(scratch);
    constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
    std::atomic<int64_t> wrong = kNone;  // the first target that is no class
    threads.parallel_for(pieces(), threads_, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        Piece piece;
        for (int64_t i = p * kPiece; i < std::min((p + 1) * kPiece, count()); ++i) {
          const auto target = static_cast<int64_t>(targets[i]);
          const bool counts = !ignores_ || target != ignored_;
          if (counts && (target < 0 || target >= e_.classes)) {
            int64_t known = wrong;
            while (i < known && !wrong.compare_exchange_weak(known, i)) {
            }
            break;
          }
          double weight = 0, loss = 0;
          if (counts) {
            weight = weights ? static_cast<double>(weights[target]) : 1;
            loss = weight * static_cast<double>(scores[(i / e_.pixels * e_.classes + target) * e_.pixels + i % e_.pixels]);
          }
          if (reduction_ == LossReduction::kNone) losses[i] = static_cast<T>(0 - loss);
          piece.loss += loss;
          piece.weight += weight;
        }
        sums[p] = piece;
      }
    });
    if (wrong != kNone) {
      return invalid_input(fmt::format("target {} at element {} is not one of {} classes", static_cast<int64_t>(targets[wrong]),
                                       wrong.load(), e_.classes));
    }
    if (reduction_ == LossReduction::kNone) return {};
    Piece all;
    for (int64_t p = 0; p < pieces(); ++p) all.loss += sums[p].loss, all.weight += sums[p].weight;
    const double loss = 0 - all.loss;
    losses[0] = static_cast<T>(reduction_ == LossReduction::kMean ? loss / all.weight : loss);
    return {};
  }

 private:
  struct Piece {
    double loss = 0, weight = 0;
  };
  static constexpr int64_t kPiece = 2048;

  int64_t count() const { return e_.samples * e_.pixels; }
  int64_t pieces() const { return (count() + kPiece - 1) / kPiece; }

  const LossReduction reduction_;
  const bool ignores_;
  const int64_t ignored_;
  const Extents e_;
  const int threads_;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_likelihood(const LikelihoodRecipe& recipe, const Preparation& p) {
  auto at = [&](SizeId id) { return p.sizes[static_cast<size_t>(id)]; };
  const Extents e{at(recipe.samples), at(recipe.classes), at(recipe.pixels)};
  const int threads = p.threads_for(static_cast<double>(e.samples) * static_cast<double>(e.pixels) * 300, 0);  // 5 ns for each
  const auto make = [&]<class T>(T) -> Result<std::shared_ptr<const Primitive>> {
    std::shared_ptr<const Primitive> made;
    if (recipe.targets == DType::kI64) made = std::make_shared<Likelihood<T, int64_t>>(recipe, e, threads);
    else made = std::make_shared<Likelihood<T, int32_t>>(recipe, e, threads);
    return made;
  };
  return recipe.dtype == DType::kF64 ? make(double()) : make(float());
}

}  // namespace gannet
