// Which passes run in which order.
#include <algorithm>

#include "passes/pass.h"

namespace gannet {

namespace {

using Pipeline = std::pair<std::string_view, std::string_view>;

// Recognition comes before factors disappear in weights, and layouts come when all constants are folded.
constexpr Pipeline kPipelines[] = {
    {"import", "canonicalize,eliminate_dead_nodes"},
    {"inference",
     "eliminate_dead_nodes,"
     "canonicalize,sink_constants,simplify_quantization,unsigned_codes,integer_contractions,"
     "(canonicalize,fold_constants,sink_constants,eliminate_common_subexpressions)*,"
     "expand_quantization,decompose,widen_halves,"
     "recognize_gelu,recognize_swish,recognize_hard_swish,recognize_mish,recognize_softmax,"
     "recognize_layer_normalization,recognize_rms_normalization,recognize_group_normalization,hoist_selections,"
     "fold_batch_normalization,convolve_transposed,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "channels_last,move_transposes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "expand_vector_products,round_products,fuse_contractions,fuse_attention,fuse_regions,"
     "eliminate_dead_nodes,compute_late"},
    // Weights are State here, so what folds constants into them or packs them finds nothing to do.
    {"before_gradient",
     "eliminate_dead_nodes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "recognize_gelu,recognize_swish,recognize_hard_swish,recognize_mish,recognize_softmax,"
     "recognize_layer_normalization,recognize_rms_normalization,recognize_group_normalization,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "eliminate_dead_nodes"},
    {"training",
     "eliminate_dead_nodes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "decompose,widen_halves,"
     "fold_batch_normalization,expand_batch_normalization,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "channels_last,move_transposes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "split_reductions,round_products,"
     "fuse_contractions,fuse_regions_with_columns,update_states_early,"
     "eliminate_dead_nodes"},
    // The same with what PassContext::memory asks for, behind the last elimination of common subexpressions.
    {"training_in_memory",
     "eliminate_dead_nodes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "decompose,widen_halves,"
     "fold_batch_normalization,expand_batch_normalization,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "channels_last,move_transposes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "split_reductions,round_products,"
     "update_states_early,rematerialize,"
     "fuse_contractions,fuse_regions_with_columns,update_states_early,"
     "eliminate_dead_nodes"},
};

}  // namespace

std::string_view find_pipeline(std::string_view name) {
  const auto* found = std::ranges::find(kPipelines, name, &Pipeline::first);
  return found == std::end(kPipelines) ? std::string_view() : found->second;
}

std::span<const std::pair<std::string_view, std::string_view>> all_pipelines() { return kPipelines; }

}  // namespace gannet
