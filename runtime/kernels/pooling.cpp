#include <algorithm>

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

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_pooling(const PoolingRecipe& recipe, const Preparation& p) {
  const Layout x = layout_at(recipe.x, p.sizes), y = layout_at(recipe.y, p.sizes);
  if (y.elements() == 0 && !recipe.gradient) return make_nothing();
  if (x.elements() == 0) return make_nothing();
  if (y.elements() == 0) return make_fill(x, std::nullopt, {}, {}, 2);
  onednn::PoolingSpec spec{recipe.kind, TRY(memory_of(x)), TRY(memory_of(y)), recipe.kernel, recipe.strides, recipe.dilations,
                           values_at(recipe.pads_begin, p.sizes), {}};
  double taps = 1;
  for (size_t d = 0; d < recipe.kernel.size(); ++d) {
    const int64_t span = (recipe.kernel[d] - 1) * recipe.dilations[d] + 1;
    const int64_t needed = (y.extents[d + 2] - 1) * recipe.strides[d] + span - x.extents[d + 2] - spec.pads_begin[d];
    spec.pads_end.push_back(std::max<int64_t>(needed, 0));
    taps *= static_cast<double>(recipe.kernel[d]);
  }
  const int threads = p.threads_for(taps * static_cast<double>(y.elements()) * 4, 4.0 * static_cast<double>(x.elements() + y.elements()));
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
