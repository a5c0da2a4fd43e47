// The order in which a reduction reads its operand: once, front to back. Neighbouring dimensions that are
// both kept or both reduced are merged, so that the innermost run is as long as it can be.
#pragma once

#include <span>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "ir/infer.h"

namespace gannet {

class ReductionSweep {
 public:
  // `reduced[i]` says whether dimension i is reduced.
  ReductionSweep(std::span<const int64_t> extents, const std::vector<bool>& reduced);

  int64_t outputs() const { return outputs_; }
  // Elements that are folded into each output.
  int64_t count() const { return count_; }

  // Calls visit(output, input, length, kept) for each innermost run: `length` neighbouring elements of the
  // operand starting at `input` go to the outputs starting at `output` one each (kept), or all to that one.
  template <class Visit>
  void for_each_run(Visit visit) const;

 private:
  struct Axis {
    int64_t extent = 1;
    int64_t output_stride = 0;
    bool kept = false;
  };
  std::vector<Axis> axes_;  // at least one
  int64_t outputs_ = 1;
  int64_t count_ = 1;
};

template <class Visit>
void ReductionSweep::for_each_run(Visit visit) const {
  if (outputs_ == 0 || count_ == 0) return;
  const Axis& last = axes_.back();
  size_t outer = axes_.size() - 1;
  std::vector<int64_t> index(outer, 0);
  int64_t output = 0;
  for (int64_t input = 0;; input += last.extent) {
    visit(output, input, last.extent, last.kept);
    size_t d = outer;
    while (d > 0) {
      --d;
      output += axes_[d].output_stride;
      if (++index[d] < axes_[d].extent) break;
      output -= axes_[d].output_stride * axes_[d].extent;
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

// Which of `rank` dimensions the list `axes` names; an empty list names all, or none with `noop`.
Result<std::vector<bool>> reduced_dimensions(std::span<const int64_t> axes, int64_t rank, bool noop);

}  // namespace gannet
