// Which passes run in which order.
#include <algorithm>

#include "passes/pass.h"

namespace gannet {

namespace {

using Pipeline = std::pair<std::string_view, std::string_view>;

constexpr Pipeline kPipelines[] = {
    {"import", "canonicalize,eliminate_dead_nodes"},
    {"inference",
     "eliminate_dead_nodes,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "decompose,"
     "fold_batch_normalization,"
     "(canonicalize,fold_constants,eliminate_common_subexpressions)*,"
     "eliminate_dead_nodes"},
};

}  // namespace

std::string_view find_pipeline(std::string_view name) {
  const auto* found = std::ranges::find(kPipelines, name, &Pipeline::first);
  return found == std::end(kPipelines) ? std::string_view() : found->second;
}

std::span<const std::pair<std::string_view, std::string_view>> all_pipelines() { return kPipelines; }

}  // namespace gannet
