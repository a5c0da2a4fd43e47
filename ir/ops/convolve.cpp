#include "ir/ops/convolve.h"

#include <memory>

#include "ir/contraction.h"

namespace gannet {
namespace {

constexpr int64_t kBlockRows = 128;  // of patches in scratch memory
constexpr int64_t kBlockColumns = 2048;

// The patches of one group's input as a matrix: row (channel, tap), column (window), zero outside of the
// input.
class Patches {
 public:
  explicit Patches(const WindowGeometry& g) : g_(g), taps_(g.taps()), channel_size_(g.input_size()) {
    const size_t last = g.last();
    for (int64_t tap = 0; tap < g.kernel[last]; ++tap) inner_.push_back(windows_with(g, last, tap));
  }

  // True when each patch is one element and windows lie as elements do.
  bool trivial() const {
    auto is_one = [](int64_t x) { return x == 1; };
    return taps_ == 1 && std::ranges::all_of(g_.strides, is_one) && g_.input == g_.output &&
           std::ranges::all_of(g_.pads, [](int64_t x) { return x == 0; });
  }

  // Calls visit(offset, input, begin, end, step) for each run of windows [column, column + count) of `row`
  // within one row of the result: of its elements, starting at `offset`, those in [begin, end) read the input
  // from index `input` on in steps of `step`, the others lie outside. The last argument of visit is the run's
  // length.
  template <class Visit>
  void for_each_run(int64_t row, int64_t column, int64_t count, Visit visit) const {
    const size_t last = g_.last();
    const int64_t width = g_.output[last], step = g_.strides[last];
    const int64_t channel = row / taps_, tap = row % taps_;
    const int64_t inner_tap = tap % g_.kernel[last], outer_tap = tap / g_.kernel[last];
    const IndexRange& inside = inner_[static_cast<size_t>(inner_tap)];
    int64_t line = column / width, x = column % width;
    for (int64_t done = 0; done < count; ++line) {
      int64_t length = std::min(width - x, count - done);
      int64_t start = input_line(line, outer_tap);
      int64_t begin = std::clamp<int64_t>(inside.begin - x, 0, length),
              end = std::clamp(inside.end - x, begin, length);
      if (start < 0) end = begin;
      int64_t first =
          channel * channel_size_ + start * g_.input[last] + (x + begin) * step + g_.offset(last, inner_tap);
      visit(done, first, begin, end, step, length);
      done += length;
      x = 0;
    }
  }

  template <class T>
  void read(const T* input, int64_t row, int64_t column, int64_t count, T* elements) const {
    for_each_run(
        row, column, count,
        [&](int64_t offset, int64_t first, int64_t begin, int64_t end, int64_t step, int64_t length) {
          T* y = elements + offset;
          std::fill(y, y + begin, T(0));
          std::fill(y + end, y + length, T(0));
          const int64_t inside = end - begin;
          if (inside == 0) return;
          const T* x = input + first;
          if (step == 1)
            std::copy(x, x + inside, y + begin);
          else
            for (int64_t i = 0; i < inside; ++i) y[begin + i] = x[i * step];
        });
  }

  // The adjoint of read: adds the elements to where they come from.
  template <class T>
  void add(const T* elements, int64_t row, int64_t column, int64_t count, T* input) const {
    for_each_run(row, column, count,
                 [&](int64_t offset, int64_t first, int64_t begin, int64_t end, int64_t step, int64_t) {
                   const int64_t inside = end - begin;
                   if (inside == 0) return;
                   const T* y = elements + offset + begin;
                   T* x = input + first;
#pragma GCC ivdep
                   for (int64_t i = 0; i < inside; ++i) x[i * step] += y[i];
                 });
  }

 private:
  // The row of the input that the windows of result row `line` see through `tap` (both without the last
  // dimension), or -1 when that lies outside.
  int64_t input_line(int64_t line, int64_t tap) const {
    int64_t result = 0, scale = 1;
    for (size_t d = g_.last(); d-- > 0;) {
      int64_t position = line % g_.output[d] * g_.strides[d] + g_.offset(d, tap % g_.kernel[d]);
      if (position < 0 || position >= g_.input[d]) return -1;
      result += position * scale;
      scale *= g_.input[d];
      line /= g_.output[d];
      tap /= g_.kernel[d];
    }
    return result;
  }

  const WindowGeometry& g_;
  int64_t taps_;
  int64_t channel_size_;
  std::vector<IndexRange> inner_;  // of each tap along the last dimension, the windows where it is inside
};

// One input channel to one output channel, added up tap by tap.
template <class T>
void convolve_channel(const WindowGeometry& g, const T* input, const T* weights, T* output) {
  for_each_tap_run(g, [&](const TapRun& run) {
    const T* x = input + run.input;
    T* y = output + run.output;
    const T weight = weights[run.kernel];
    if (run.step == 1) {
#pragma omp simd
      for (int64_t i = 0; i < run.count; ++i) y[i] += weight * x[i];
    } else {
      for (int64_t i = 0; i < run.count; ++i) y[i] += weight * x[i * run.step];
    }
  });
}

template <class T>
void fill_channels(T* data, const T* bias, int64_t batch, int64_t channels, int64_t size) {
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < channels; ++c, data += size) std::fill_n(data, size, bias ? bias[c] : T(0));
  }
}

// Calls visit(input, weights, output offsets) for each group of each batch.
template <class Visit>
void for_each_group(const ConvolutionGeometry& g, Visit visit) {
  const int64_t input_size = g.in_channels * g.window.input_size(),
                output_size = g.out_channels * g.window.output_size();
  const int64_t weights_size = g.out_channels * g.in_channels * g.window.taps();
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t group = 0; group < g.groups; ++group) {
      int64_t i = n * g.groups + group;
      visit(i * input_size, group * weights_size, i * output_size);
    }
  }
}

bool is_empty(const ConvolutionGeometry& g) {
  return g.batch == 0 || g.groups == 0 || g.in_channels == 0 || g.out_channels == 0 ||
         g.window.input_size() == 0 || g.window.output_size() == 0 || g.window.taps() == 0;
}

}  // namespace

template <class T>
void convolve(const ConvolutionGeometry& g, const T* input, const T* weights, const T* bias, T* output) {
  const int64_t pixels = g.window.output_size(), taps = g.window.taps();
  fill_channels(output, bias, g.batch, g.groups * g.out_channels, pixels);
  if (is_empty(g)) return;
  const int64_t k = g.in_channels * taps;
  const Patches patches(g.window);
  constexpr int64_t kFewOutputs = 4;  // too few to repay the making of patches
  const bool direct = g.in_channels == 1 && g.out_channels <= kFewOutputs;
  for_each_group(g, [&](int64_t x, int64_t w, int64_t y) {
    const T* in = input + x;
    if (direct) {
      for (int64_t c = 0; c < g.out_channels; ++c) {
        convolve_channel(g.window, in, weights + w + c * taps, output + y + c * pixels);
      }
      return;
    }
    const ProductExtents extents{g.out_channels, pixels, k};
    const MatrixView<T> left{weights + w, k, 1};
    const ProductTarget<T> target{output + y, pixels, true};
    if (patches.trivial()) {
      multiply<T>(extents, left, MatrixView<T>{in, pixels, 1}, target);
    } else {
      const RowSource<T> rows = [&](int64_t row, int64_t column, int64_t count, T* elements) {
        patches.read(in, row, column, count, elements);
      };
      multiply<T>(extents, left, rows, target);
    }
  });
}

template <class T>
void convolve_back(const ConvolutionGeometry& g, const T* output, const T* weights, const T* bias, T* input) {
  fill_channels(input, bias, g.batch, g.groups * g.in_channels, g.window.input_size());
  if (is_empty(g)) return;
  const int64_t pixels = g.window.output_size(), k = g.in_channels * g.window.taps();
  const Patches patches(g.window);
  const int64_t width = std::min(kBlockColumns, pixels);
  std::unique_ptr<T[]> block(new T[static_cast<size_t>(std::min(kBlockRows, k) * width)]);
  for_each_group(g, [&](int64_t x, int64_t w, int64_t y) {
    for (int64_t column = 0; column < pixels; column += width) {
      int64_t columns = std::min(width, pixels - column);
      for (int64_t row = 0; row < k; row += kBlockRows) {
        int64_t rows = std::min(kBlockRows, k - row);
        multiply<T>({rows, columns, g.out_channels}, MatrixView<T>{weights + w + row, 1, k},
                    MatrixView<T>{output + y + column, pixels, 1}, {block.get(), columns, false});
        for (int64_t r = 0; r < rows; ++r)
          patches.add(block.get() + r * columns, row + r, column, columns, input + x);
      }
    }
  });
}

template <class T>
void convolve_weights(const ConvolutionGeometry& g, const T* input, const T* output, T* weights) {
  const int64_t k = g.in_channels * g.window.taps();
  std::fill_n(weights, g.groups * g.out_channels * k, T(0));
  if (is_empty(g)) return;
  const int64_t pixels = g.window.output_size();
  const Patches patches(g.window);
  const int64_t width = std::min(kBlockColumns, pixels);
  std::unique_ptr<T[]> block(new T[static_cast<size_t>(std::min(kBlockRows, k) * width)]);
  for_each_group(g, [&](int64_t x, int64_t w, int64_t y) {
    for (int64_t column = 0; column < pixels; column += width) {
      int64_t columns = std::min(width, pixels - column);
      for (int64_t row = 0; row < k; row += kBlockRows) {
        int64_t rows = std::min(kBlockRows, k - row);
        for (int64_t r = 0; r < rows; ++r)
          patches.read(input + x, row + r, column, columns, block.get() + r * columns);
        multiply<T>({g.out_channels, rows, columns}, MatrixView<T>{output + y + column, pixels, 1},
                    MatrixView<T>{block.get(), 1, columns}, {weights + w + row, k, true});
      }
    }
  });
}

#define GANNET_INSTANTIATE(T)                                                                   \
  template void convolve<T>(const ConvolutionGeometry&, const T*, const T*, const T*, T*);      \
  template void convolve_back<T>(const ConvolutionGeometry&, const T*, const T*, const T*, T*); \
  template void convolve_weights<T>(const ConvolutionGeometry&, const T*, const T*, T*);
GANNET_INSTANTIATE(float)
GANNET_INSTANTIATE(double)
GANNET_INSTANTIATE(uint32_t)
#undef GANNET_INSTANTIATE

}  // namespace gannet
