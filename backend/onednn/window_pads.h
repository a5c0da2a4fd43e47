// Padding of a sliding window, for each spatial axis, as dimension expressions.
#pragma once

#include <vector>

#include "backend/onednn/contraction.h"
#include "ir/ops/window.h"

namespace gannet::onednn {

struct Pads {
  std::vector<Dim> begin, end;
};

// That of `window` over x, N, C, spatial..., with results of the extents of y.
Pads pads_of(const Window& window, const MemoryView& x, const MemoryView& y);

bool is_same(AutoPad mode);
// What SAME leaves to the beginning of an axis out of `total`; the odd element goes to the end for SAME_UPPER.
Dim same_begin(AutoPad mode, const Dim& total);

}  // namespace gannet::onednn
