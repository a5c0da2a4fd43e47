#include "ir/ops/reduction_sweep.h"

namespace gannet {

ReductionSweep::ReductionSweep(std::span<const int64_t> extents, const std::vector<bool>& reduced) {
  for (size_t i = 0; i < extents.size(); ++i) {
    int64_t& product = reduced[i] ? count_ : outputs_;
    // Beside an extent of 0 the others may be so large that their product overflows; it is not used then.
    if (__builtin_mul_overflow(product, extents[i], &product)) product = 0;
  }
  bool empty = outputs_ == 0 || count_ == 0;
  for (size_t i = 0; i < extents.size() && !empty; ++i) {
    if (extents[i] == 1) continue;
    if (!axes_.empty() && axes_.back().kept != reduced[i])
      axes_.back().extent *= extents[i];
    else
      axes_.push_back({extents[i], 0, !reduced[i]});
  }
  if (axes_.empty()) axes_.push_back({1, 0, true});
  int64_t stride = 1;
  for (size_t i = axes_.size(); i-- > 0;) {
    if (!axes_[i].kept) continue;
    axes_[i].output_stride = stride;
    stride *= axes_[i].extent;
  }
}

Result<std::vector<bool>> reduced_dimensions(std::span<const int64_t> axes, int64_t rank, bool noop) {
  if (axes.empty()) return std::vector<bool>(static_cast<size_t>(rank), !noop);
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int64_t axis : TRY(normalize_axes(axes, rank))) reduced[static_cast<size_t>(axis)] = true;
  return reduced;
}

}  // namespace gannet
