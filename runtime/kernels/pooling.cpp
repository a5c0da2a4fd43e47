#include <algorithm>
#include <array>
#include <atomic>

#include "ir/base/round_up.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;

// For a maximum the places are found again by the forward pass: keeping them from the first one would cost more memory
// than it saves time.
Result<std::shared_ptr<const Primitive>> pooling_gradient(const onednn::PoolingSpec& spec, int threads) {
  const onednn::MadePoolingGradient made = TRY(onednn::make_pooling_gradient(spec));
  auto sequence = std::make_shared<CallSequence>(threads);
  const Place x{Place::kPointer, 0}, dy{Place::kPointer, 1}, dx{Place::kPointer, 2};
  std::vector<CallSequence::Operand> operands = {{onednn::argument_id(Argument::kYGradient), made.gradient.y, dy},
                                                 {onednn::argument_id(Argument::kXGradient), made.gradient.x, dx}};
  if (onednn::bytes_of(made.workspace) > 0) {
    const Place y = sequence->reserve(made.forward.y), places = sequence->reserve(made.workspace);
    sequence->add(made.forward.primitive,
                  {{onednn::argument_id(Argument::kX), made.forward.x, x},
                   {onednn::argument_id(Argument::kY), made.forward.y, y},
                   {onednn::argument_id(Argument::kWorkspace), made.workspace, places},
                   {onednn::argument_id(Argument::kScratch), made.forward.scratch, sequence->reserve(made.forward.scratch)}});
    operands.push_back({onednn::argument_id(Argument::kWorkspace), made.workspace, places});
  }
  operands.push_back({onednn::argument_id(Argument::kScratch), made.gradient.scratch, sequence->reserve(made.gradient.scratch)});
  sequence->add(made.gradient.primitive, std::move(operands));
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

// The gradient of each image on one thread: where windows overlap, oneDNN 2.6.3 adds what meets in an element in an
// order that depends on the number of threads.
class GradientByImage final : public Primitive {
 public:
  struct Plan {
    std::shared_ptr<const Primitive> image;
    int64_t images = 1;
    std::array<int64_t, 3> steps = {};  // bytes from image to image: x, dy, dx
    int threads = 1;
  };

  explicit GradientByImage(Plan plan) : plan_(std::move(plan)), each_(rounded_up(plan_.image->scratch_bytes(), 64)) {}

  int64_t scratch_bytes() const override { return each_ * plan_.threads; }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    threads.parallel_for(plan_.images, plan_.threads, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        std::array<void*, 3> own;
        for (size_t k = 0; k < own.size(); ++k) own[k] = static_cast<char*>(pointers[k]) + i * plan_.steps[k];
        if (!plan_.image->run(own.data(), static_cast<char*>(scratch) + thread * each_, threads).ok()) failed = true;
      }
    });
    return failed ? unsupported("a gradient of pooling of oneDNN failed") : Status();
  }

 private:
  Plan plan_;
  int64_t each_ = 0;
};

Result<std::shared_ptr<const Primitive>> gradient_by_image(onednn::PoolingSpec spec, Layout x, Layout y, int threads) {
  GradientByImage::Plan plan;
  plan.images = x.extents[0];
  const int64_t size = element_size(x.dtype), x_step = x.strides[0] * size;
  plan.steps = {x_step, y.strides[0] * size, x_step};
  plan.threads = static_cast<int>(std::min<int64_t>(plan.images, threads));
  x.extents[0] = y.extents[0] = 1;
  spec.x = TRY(memory_of(x));
  spec.y = TRY(memory_of(y));
  const LibraryThreads one(1);
  plan.image = TRY(pooling_gradient(spec, 1));
  return std::shared_ptr<const Primitive>(std::make_shared<GradientByImage>(std::move(plan)));
}

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_pooling(const PoolingRecipe& recipe, const Preparation& p) {
  const Layout x = layout_at(recipe.x, p.sizes), y = layout_at(recipe.y, p.sizes);
  if (y.elements() == 0 && !recipe.gradient) return make_nothing();
  if (x.elements() == 0) return make_nothing();
  if (y.elements() == 0) return make_fill(x, std::nullopt, {}, {}, 2);
  onednn::PoolingSpec spec{recipe.kind, TRY(memory_of(x)), TRY(memory_of(y)), recipe.kernel, recipe.strides, recipe.dilations,
                           values_at(recipe.pads_begin, p.sizes), {}};
  double taps = 1;
  bool overlap = false;
  for (size_t d = 0; d < recipe.kernel.size(); ++d) {
    const int64_t span = (recipe.kernel[d] - 1) * recipe.dilations[d] + 1;
    const int64_t needed = (y.extents[d + 2] - 1) * recipe.strides[d] + span - x.extents[d + 2] - spec.pads_begin[d];
    spec.pads_end.push_back(std::max<int64_t>(needed, 0));
    taps *= static_cast<double>(recipe.kernel[d]);
    overlap |= span > recipe.strides[d] && y.extents[d + 2] > 1;
  }
  const int threads = p.threads_for(taps * static_cast<double>(y.elements()) * 4, 4.0 * static_cast<double>(x.elements() + y.elements()));
  if (recipe.gradient && overlap) return gradient_by_image(std::move(spec), x, y, threads);
  const LibraryThreads library_threads(threads);
  if (recipe.gradient) return pooling_gradient(spec, threads);
  const onednn::Made made = TRY(onednn::make_pooling(spec));
  auto sequence = std::make_shared<CallSequence>(threads);
  sequence->add(made.primitive, {{onednn::argument_id(Argument::kX), made.x, {Place::kPointer, 0}},
                                 {onednn::argument_id(Argument::kY), made.y, {Place::kPointer, 1}},
                                 {onednn::argument_id(Argument::kScratch), made.scratch, sequence->reserve(made.scratch)}});
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

}  // namespace gannet
