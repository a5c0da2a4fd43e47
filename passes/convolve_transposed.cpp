// Transposed convolutions that a convolution computes with less work become one. With stride s, result element
// q s + r is the sum over j of x[q - j] w[j s + r]: for each r a convolution with every s-th element of the kernel. All
// r together are one convolution with s times as many channels, whose pixels are then moved to where they belong. It
// rearranges weights, so it is for inference only.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <set>

#include "ir/ops/window.h"
#include "passes/match.h"

namespace gannet {
namespace {

// oneDNN's own kernels compute channels in blocks of 16; below half of that the convolution wins.
constexpr int64_t kFewChannels = 8;

// Along one spatial axis: taps and pads of the convolution, and what is cut off its moved pixels.
struct AxisPlan {
  int64_t stride = 1, dilation = 1, kernel = 1, taps = 1;
  int64_t pad_begin = 0, pad_end = 0;
  int64_t cut_begin = 0, cut_end = 0;
};

struct Plan {
  std::vector<AxisPlan> axes;
  int64_t in_channels = 0, out_channels = 0;

  bool moves_pixels() const {
    return std::ranges::any_of(axes, [](const AxisPlan& a) { return a.stride > 1; });
  }
  bool cuts() const {
    return std::ranges::any_of(axes, [](const AxisPlan& a) { return a.cut_begin > 0 || a.cut_end > 0; });
  }
  int64_t phases() const {
    return std::transform_reduce(axes.begin(), axes.end(), int64_t{1}, std::multiplies(), [](const AxisPlan& a) { return a.stride; });
  }
};

AxisPlan axis_plan(const Window& window, size_t d, int64_t output_padding) {
  AxisPlan axis;
  axis.stride = window.strides[d];
  axis.dilation = window.dilations[d];
  axis.kernel = window.kernel[d];
  axis.taps = (axis.kernel + axis.stride - 1) / axis.stride;
  const int64_t reach = (axis.taps - 1) * axis.dilation;
  const int64_t skipped = window.pads_begin[d] / axis.stride;
  const int64_t end = window.span(d) + output_padding - window.pads_end[d];
  axis.pad_begin = reach - skipped;
  axis.pad_end = (end + axis.stride - 1) / axis.stride - 1;
  axis.cut_begin = window.pads_begin[d] % axis.stride;
  axis.cut_end = (axis.pad_end + 1) * axis.stride - end;
  return axis;
}

// Why the node stays as it is; empty where `plan` replaces it.
std::string plan_of(const Node& node, Plan& plan) {
  const Type &x = node.input(0)->type, &y = node.output()->type;
  const Tensor *w = node.input(1)->constant(), *bias = node.input(2) ? node.input(2)->constant() : nullptr;
  if (!w || (node.input(2) && !bias)) return "its weights are not constant";
  if (!x.shape || !y.shape || x.dtype != DType::kF32 || w->elements() == 0) return "it is not of known rank and f32";
  if (node.attrs.integer("group") != 1) return "it has groups";
  if (!node.attrs.integers("output_shape").empty()) return "its pads follow from output_shape";
  const Result<Window> window = read_window(node.attrs, {w->extents().begin() + 2, w->extents().end()});
  if (!window.ok() || (window->auto_pad != AutoPad::kNotSet && window->auto_pad != AutoPad::kValid)) return "its pads follow from shapes";
  const std::vector<int64_t>& padding = node.attrs.integers("output_padding");
  plan.in_channels = w->extent(0);
  plan.out_channels = w->extent(1);
  bool overlaps = false;
  for (size_t d = 0; d < window->rank(); ++d) {
    plan.axes.push_back(axis_plan(*window, d, padding.empty() ? 0 : padding[d]));
    const AxisPlan& axis = plan.axes.back();
    if (axis.dilation > 1 && axis.stride > 1) return "it has both a stride and a dilation";
    if (axis.pad_begin < 0 || axis.pad_end < 0) return "it cuts off more than its kernel reaches";
    overlaps |= axis.taps > 1;
  }
  if (!plan.moves_pixels()) return "";
  if (overlaps && plan.out_channels > kFewChannels) return fmt::format("{} channels are enough for a kernel of its own", plan.out_channels);
  const bool is_static = std::ranges::all_of(x.shape->begin() + 2, x.shape->end(), [](const Dim& dim) { return dim.is_constant(); });
  if (plan.cuts() && !is_static) return "its extents are symbols";
  return "";
}

// [phases..., out, in, taps...] out of [in, out, kernel...].
Tensor convolution_weights(const Tensor& w, const Plan& plan) {
  const size_t rank = plan.axes.size();
  std::vector<int64_t> extents{plan.phases() * plan.out_channels, plan.in_channels};
  for (const AxisPlan& axis : plan.axes) extents.push_back(axis.taps);
  Tensor result = Tensor::zeros(DType::kF32, extents);
  const float* from = w.data<float>().data();
  float* to = result.mutable_data<float>().data();
  const int64_t kernel = w.elements() / (plan.in_channels * plan.out_channels);
  const int64_t taps = result.elements() / (extents[0] * extents[1]);
  std::vector<int64_t> k(rank, 0);
  for (int64_t at = 0; at < kernel; ++at) {
    int64_t phase = 0, tap = 0;
    for (size_t d = 0; d < rank; ++d) {
      const AxisPlan& axis = plan.axes[d];
      phase = phase * axis.stride + k[d] % axis.stride;
      tap = tap * axis.taps + (axis.taps - 1 - k[d] / axis.stride);
    }
    for (int64_t o = 0; o < plan.out_channels; ++o) {
      for (int64_t i = 0; i < plan.in_channels; ++i) {
        to[((phase * plan.out_channels + o) * plan.in_channels + i) * taps + tap] = from[(i * plan.out_channels + o) * kernel + at];
      }
    }
    for (size_t d = rank; d-- > 0;) {
      if (++k[d] < plan.axes[d].kernel) break;
      k[d] = 0;
    }
  }
  return result;
}

Tensor repeated_bias(const Tensor& bias, const Plan& plan) {
  Tensor result = Tensor::zeros(DType::kF32, {plan.phases() * plan.out_channels});
  for (int64_t i = 0; i < result.elements(); ++i) {
    result.mutable_data<float>()[static_cast<size_t>(i)] = bias.data<float>()[static_cast<size_t>(i % plan.out_channels)];
  }
  return result;
}

// From [batch, phases channels, spatial...] to [batch, channels, larger spatial...], by way of channels last.
Value* move_pixels(GraphBuilder& b, Value* x, const Plan& plan) {
  const auto rank = static_cast<int64_t>(plan.axes.size());
  std::vector<int64_t> last{0}, first{0, rank + 1}, interleaved{0};
  for (int64_t d = 0; d < rank; ++d) {
    last.push_back(d + 2);
    first.push_back(d + 1);
    interleaved.insert(interleaved.end(), {1 + d, 1 + rank + d});
  }
  last.push_back(1);
  interleaved.push_back(1 + 2 * rank);
  x = b.transpose(x, last);
  if (!x->type.shape) return x;
  Shape apart(x->type.shape->begin(), x->type.shape->end() - 1), together = apart;
  for (const AxisPlan& axis : plan.axes) apart.push_back(axis.stride);
  apart.push_back(plan.out_channels);
  for (size_t d = 0; d < plan.axes.size(); ++d) together[d + 1] = together[d + 1] * plan.axes[d].stride;
  together.push_back(plan.out_channels);
  x = b.reshape(b.transpose(b.reshape(x, apart), interleaved), together);
  std::vector<int64_t> begins, ends, axes;
  for (size_t d = 0; d < plan.axes.size(); ++d) {
    const AxisPlan& axis = plan.axes[d];
    if (axis.cut_begin == 0 && axis.cut_end == 0) continue;
    begins.push_back(axis.cut_begin);
    ends.push_back(axis.cut_end == 0 ? std::numeric_limits<int64_t>::max() : -axis.cut_end);
    axes.push_back(static_cast<int64_t>(d) + 1);
  }
  if (!axes.empty()) x = b.slice(x, begins, ends, axes);
  return b.transpose(x, first);
}

bool is_bound(const Shape& shape, const std::set<std::string>& bound) {
  std::vector<std::string> names;
  for (const Dim& dim : shape) dim.collect_symbols(names);
  return std::ranges::all_of(names, [&](const std::string& name) { return bound.contains(name); });
}

Status replace(Replacer& replacer, Node& node, const Plan& plan) {
  GraphBuilder b(replacer.graph(), &node);
  std::vector<int64_t> taps, pads, dilations;
  for (const AxisPlan& axis : plan.axes) {
    taps.push_back(axis.taps);
    pads.push_back(axis.pad_begin);
    dilations.push_back(axis.dilation);
  }
  for (const AxisPlan& axis : plan.axes) pads.push_back(axis.pad_end);
  std::vector<Value*> operands{node.input(0), b.constant(convolution_weights(*node.input(1)->constant(), plan))};
  if (node.input(2)) operands.push_back(b.constant(repeated_bias(*node.input(2)->constant(), plan)));
  Value* y = b.op("Conv", operands, {{"kernel_shape", taps}, {"pads", pads}, {"dilations", dilations}});
  TRY(b.status());
  y->producer()->name = node.name;
  if (plan.moves_pixels()) y = move_pixels(b, y, plan);
  TRY(b.status());
  if (y->type != node.output()->type) {
    replacer.remark(node, "stays a transposed convolution: the type of its result would be another");
    erase_dead_nodes(replacer.graph());
    return {};
  }
  replacer.replace(node, y);
  return {};
}

}  // namespace

Result<bool> convolve_transposed(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  const std::set<std::string> bound = symbols_of_inputs(graph);
  for (Node* node : replacer.nodes({"ConvTranspose"})) {
    Plan plan;
    std::string reason = plan_of(*node, plan);
    if (reason.empty() && plan.moves_pixels() && !is_bound(*node->input(0)->type.shape, bound)) reason = "an extent is known only while the graph runs";
    if (!reason.empty()) {
      replacer.remark(*node, "stays a transposed convolution: " + reason);
      continue;
    }
    TRY(replace(replacer, *node, plan));
  }
  return replacer.finish();
}

}  // namespace gannet
