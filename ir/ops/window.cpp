#include "ir/ops/window.h"

#include <fmt/format.h>

namespace gannet {
namespace {

// Kernel extents, strides, dilations and pads beyond this are refused, so that sums and products of two of
// them and an extent stay far from overflow.
constexpr int64_t kMostWindow = int64_t{1} << 30;

bool declares(const Attributes& attrs, std::string_view name) {
  return std::ranges::any_of(attrs.defs(), [&](const AttrDef& def) { return def.name == name; });
}

Result<std::vector<int64_t>> read_list(const Attributes& attrs, std::string_view name, size_t count,
                                       int64_t absent, int64_t least) {
  if (!declares(attrs, name) || !attrs.has(name) || attrs.integers(name).empty()) {
    return std::vector<int64_t>(count, absent);
  }
  const std::vector<int64_t>& values = attrs.integers(name);
  if (values.size() != count) {
    return invalid_model(fmt::format("{} has {} entries where {} are expected", name, values.size(), count));
  }
  for (int64_t value : values) {
    if (value < least) return invalid_model(fmt::format("{} holds {}, less than {}", name, value, least));
    if (value > kMostWindow)
      return invalid_model(fmt::format("{} holds {}, more than {}", name, value, kMostWindow));
  }
  return values;
}

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// Of extents that may be those of an empty tensor, where the others can be anything: wraps.
int64_t product(const std::vector<int64_t>& extents) {
  uint64_t result = 1;
  for (int64_t extent : extents) result *= static_cast<uint64_t>(extent);
  return static_cast<int64_t>(result);
}

}  // namespace

Result<Window> read_window(const Attributes& attrs, std::vector<int64_t> kernel) {
  Window window;
  const size_t rank = kernel.size();
  if (rank == 0) return invalid_model("needs at least one spatial dimension");
  for (int64_t extent : kernel) {
    if (extent < 1 || extent > kMostWindow) {
      return invalid_model(fmt::format("kernel extent {} is not between 1 and {}", extent, kMostWindow));
    }
  }
  window.kernel = std::move(kernel);
  window.strides = TRY(read_list(attrs, "strides", rank, 1, 1));
  window.dilations = TRY(read_list(attrs, "dilations", rank, 1, 1));
  std::vector<int64_t> pads = TRY(read_list(attrs, "pads", 2 * rank, 0, 0));
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<int64_t>(rank));
  window.pads_end.assign(pads.begin() + static_cast<int64_t>(rank), pads.end());
  if (declares(attrs, "auto_pad")) {
    std::string_view mode = attrs.text("auto_pad");
    if (mode == "SAME_UPPER")
      window.auto_pad = AutoPad::kSameUpper;
    else if (mode == "SAME_LOWER")
      window.auto_pad = AutoPad::kSameLower;
    else if (mode == "VALID")
      window.auto_pad = AutoPad::kValid;
    else if (!mode.empty() && mode != "NOTSET") {
      return invalid_model(
          fmt::format("auto_pad '{}' is none of NOTSET, SAME_UPPER, SAME_LOWER, VALID", mode));
    }
  }
  if (window.auto_pad != AutoPad::kNotSet) {
    window.pads_begin.assign(rank, 0);
    window.pads_end.assign(rank, 0);
  }
  window.ceil_mode = declares(attrs, "ceil_mode") && attrs.integer("ceil_mode") != 0;
  return window;
}

Error no_window(int64_t span, size_t d, int64_t input, int64_t padding) {
  const std::string with = padding > 0 ? fmt::format(", {} of them padding", padding) : "";
  return invalid_model(fmt::format("the kernel spans {} elements along spatial dimension {}, the padded input has {}{}", span, d, input + padding, with));
}

Result<Dim> window_output(const Window& window, size_t d, const Dim& input) {
  const int64_t stride = window.strides[d];
  if (window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower)
    return ceildiv(input, stride);
  const int64_t begin = window.pads_begin[d], end = window.pads_end[d], span = window.span(d);
  // Rounded up, the first window may reach beyond the padding by what would hold no second one.
  const int64_t least = window.ceil_mode ? span - stride + 1 : span;
  if (input.is_constant() && input.constant() + begin + end < least) return no_window(span, d, input.constant(), begin + end);
  // Rounded up, the last window must still start before the padding at the end.
  if (window.ceil_mode) return ceildiv(input + begin + std::min<int64_t>(end - span + stride, 0), stride);
  return floordiv(input + (begin + end - span), stride) + 1;
}

Window with_pads(Window window, std::span<const int64_t> input) {
  if (window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower) {
    for (size_t d = 0; d < window.rank(); ++d) {
      int64_t output = ceil_div(input[d], window.strides[d]);
      int64_t total = std::max<int64_t>(0, (output - 1) * window.strides[d] + window.span(d) - input[d]);
      int64_t less = total / 2;
      window.pads_begin[d] = window.auto_pad == AutoPad::kSameUpper ? less : total - less;
      window.pads_end[d] = total - window.pads_begin[d];
    }
  }
  window.auto_pad = AutoPad::kNotSet;
  return window;
}

int64_t WindowGeometry::input_size() const { return product(input); }
int64_t WindowGeometry::output_size() const { return product(output); }
int64_t WindowGeometry::taps() const { return product(kernel); }

WindowGeometry geometry_of(const Window& window, std::span<const int64_t> input,
                           std::span<const int64_t> output) {
  Window padded = with_pads(window, input);
  return {{input.begin(), input.end()},
          {output.begin(), output.end()},
          padded.kernel,
          padded.strides,
          padded.dilations,
          padded.pads_begin};
}

IndexRange windows_with(const WindowGeometry& g, size_t d, int64_t tap) {
  const int64_t offset = g.offset(d, tap), stride = g.strides[d];
  int64_t begin = std::max<int64_t>(0, ceil_div(-offset, stride));
  int64_t end = std::min(g.output[d], floor_div(g.input[d] - 1 - offset, stride) + 1);
  return {begin, std::max(begin, end)};
}

IndexRange taps_inside(const WindowGeometry& g, size_t d, int64_t o) {
  const int64_t start = o * g.strides[d] - g.pads[d];
  int64_t begin = std::clamp<int64_t>(ceil_div(-start, g.dilations[d]), 0, g.kernel[d]);
  int64_t end = std::min(g.kernel[d], floor_div(g.input[d] - 1 - start, g.dilations[d]) + 1);
  return {begin, std::max(begin, end)};
}

IndexRange useful_taps(const WindowGeometry& g, size_t d) {
  if (g.output[d] == 0 || g.input[d] == 0) return {};
  int64_t begin = taps_inside(g, d, g.output[d] - 1).begin;
  int64_t end = taps_inside(g, d, 0).end;
  return {begin, std::max(begin, end)};
}

}  // namespace gannet
