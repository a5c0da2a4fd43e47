#include <algorithm>

#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {

Result<std::shared_ptr<const Primitive>> prepare_pooling(const PoolingRecipe& recipe, const Preparation& p) {
  using onednn::Argument;
  const Layout x = layout_at(recipe.x, p.sizes), y = layout_at(recipe.y, p.sizes);
  if (y.elements() == 0) return make_nothing();
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
  const onednn::Made made = TRY(onednn::make_pooling(spec));
  auto sequence = std::make_shared<CallSequence>(threads);
  sequence->add(made.primitive, {{onednn::argument_id(Argument::kX), made.x, {Place::kPointer, 0}},
                                 {onednn::argument_id(Argument::kY), made.y, {Place::kPointer, 1}},
                                 {onednn::argument_id(Argument::kScratch), made.scratch, sequence->reserve(made.scratch)}});
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

}  // namespace gannet
