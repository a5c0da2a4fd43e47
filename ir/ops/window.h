// The window that slides over the spatial dimensions in convolutions and pooling: its attributes, the extents
// that follow from them, and which elements a window covers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/dim.h"
#include "ir/base/error.h"

namespace gannet {

enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };

// As the attributes say; one entry a spatial dimension.
struct Window {
  std::vector<int64_t> kernel, strides, dilations, pads_begin, pads_end;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;

  size_t rank() const { return kernel.size(); }
  // Extent that the kernel spans along dimension d, its holes included.
  int64_t span(size_t d) const { return (kernel[d] - 1) * dilations[d] + 1; }
};

// Reads strides, pads, dilations, auto_pad and ceil_mode, as far as the op declares them, and checks their
// lengths and signs. `kernel` has one entry a spatial dimension.
Result<Window> read_window(const Attributes& attrs, std::vector<int64_t> kernel);
// Extent of dimension d of the result for an input of extent `input`; an error when the window does not fit.
Result<Dim> window_output(const Window& window, size_t d, const Dim& input);
// Of a kernel that spans more of dimension d than the input has with its padding.
Error no_window(int64_t span, size_t d, int64_t input, int64_t padding);
// Pads as numbers: those of the window, or what auto_pad gives for inputs of these extents.
Window with_pads(Window window, std::span<const int64_t> input);

// Windows over inputs of known extents; element t of window o lies at o * stride + t * dilation - pad.
struct WindowGeometry {
  std::vector<int64_t> input, output, kernel, strides, dilations, pads;

  size_t rank() const { return input.size(); }
  int64_t input_size() const;
  int64_t output_size() const;
  int64_t taps() const;
  // The last dimension, along which rows of elements are contiguous.
  size_t last() const { return input.size() - 1; }
  int64_t offset(size_t d, int64_t tap) const { return tap * dilations[d] - pads[d]; }
};

WindowGeometry geometry_of(const Window& window, std::span<const int64_t> input,
                           std::span<const int64_t> output);

struct IndexRange {
  int64_t begin = 0;
  int64_t end = 0;
};
// The windows along dimension d whose element `tap` lies inside the input.
IndexRange windows_with(const WindowGeometry& g, size_t d, int64_t tap);
// The elements of window `o` along dimension d that lie inside the input.
IndexRange taps_inside(const WindowGeometry& g, size_t d, int64_t o);
// The elements along dimension d that lie inside the input for some window.
IndexRange useful_taps(const WindowGeometry& g, size_t d);

// Row numbers of the result, the input and the kernel, each counted over all dimensions but the last.
struct WindowRow {
  int64_t output = 0;
  int64_t input = 0;
  int64_t kernel = 0;
};
// For each row of the result in order, calls visit(row) for each input row that its windows cover, in kernel
// order.
template <class Visit>
void for_each_window_row(const WindowGeometry& g, Visit visit) {
  const size_t outer = g.last();
  std::vector<int64_t> o(outer, 0), tap(outer, 0);
  std::vector<IndexRange> ranges(outer);
  int64_t rows = 1;
  for (size_t d = 0; d < outer; ++d) rows *= g.output[d];
  for (int64_t output = 0; output < rows; ++output) {
    int64_t rest = output;
    bool empty = false;
    for (size_t d = outer; d-- > 0;) {
      o[d] = rest % g.output[d];
      rest /= g.output[d];
      ranges[d] = taps_inside(g, d, o[d]);
      tap[d] = ranges[d].begin;
      empty |= ranges[d].begin >= ranges[d].end;
    }
    while (!empty) {
      WindowRow row{output, 0, 0};
      for (size_t d = 0; d < outer; ++d) {
        row.input = row.input * g.input[d] + o[d] * g.strides[d] + g.offset(d, tap[d]);
        row.kernel = row.kernel * g.kernel[d] + tap[d];
      }
      visit(row);
      size_t d = outer;
      while (d > 0 && ++tap[d - 1] == ranges[d - 1].end) {
        --d;
        tap[d] = ranges[d].begin;
      }
      if (d == 0) break;
    }
  }
}

// Neighbouring windows of one row and the elements that one tap of them sees: output + i and input + i * step
// for i in [0, count), all inside the input.
struct TapRun {
  int64_t kernel = 0;
  int64_t input = 0;
  int64_t output = 0;
  int64_t count = 0;
  int64_t step = 1;
};
// Calls visit(run) for all taps of all windows, in the order of rows of the result, then of taps.
template <class Visit>
void for_each_tap_run(const WindowGeometry& g, Visit visit) {
  const size_t last = g.last();
  const IndexRange taps = useful_taps(g, last);
  for_each_window_row(g, [&](const WindowRow& row) {
    for (int64_t tap = taps.begin; tap < taps.end; ++tap) {
      const IndexRange inside = windows_with(g, last, tap);
      if (inside.begin == inside.end) continue;
      visit(TapRun{row.kernel * g.kernel[last] + tap,
                   row.input * g.input[last] + inside.begin * g.strides[last] + g.offset(last, tap),
                   row.output * g.output[last] + inside.begin, inside.end - inside.begin, g.strides[last]});
    }
  });
}

}  // namespace gannet
