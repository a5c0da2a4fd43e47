#include <fmt/format.h>

#include <algorithm>

#include "backend/onednn/contraction.h"
#include "backend/onednn/window_pads.h"
#include "ir/epilogue.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/ops/convolution.h"

namespace gannet::onednn {
namespace {

// ONNX's rule for ConvTranspose: explicit pads, or what output_shape or SAME leave over, split. Only SAME_UPPER puts
// the odd element at the end.
Pads transposed_pads(const Node& core, const Window& window, const MemoryView& x, const MemoryView& y) {
  const std::vector<int64_t>& padding = core.attrs.integers("output_padding");
  const bool explicit_pads = core.attrs.integers("output_shape").empty() && !is_same(window.auto_pad);
  Pads pads;
  for (size_t d = 0; d < window.rank(); ++d) {
    const Dim full = (x.extents[d + 2] - 1) * window.strides[d] + ((padding.empty() ? 0 : padding[d]) + window.span(d));
    const Dim total = max(Dim(0), full - y.extents[d + 2]);
    pads.begin.push_back(explicit_pads ? Dim(window.pads_begin[d]) : same_begin(window.auto_pad, total));
    pads.end.push_back(total - pads.begin.back());
  }
  return pads;
}

// Whether `output_shape` may ask for a stride or more beyond what the input reaches: the library has no such results.
bool may_reach_too_far(const Node& core, const Window& window, const MemoryView& x, const MemoryView& y) {
  const std::vector<int64_t>& padding = core.attrs.integers("output_padding");
  for (size_t d = 0; d < window.rank(); ++d) {
    const Dim full = (x.extents[d + 2] - 1) * window.strides[d] + ((padding.empty() ? 0 : padding[d]) + window.span(d));
    const std::optional<int64_t> least = (full - y.extents[d + 2]).lower_bound();
    if (!least || *least <= -window.strides[d]) return true;
  }
  return false;
}

// True for an operand in f32 with one element a channel.
bool is_bias(const MemoryView& view) {
  if (view.dtype != DType::kF32) return false;
  for (size_t d = 0; d < view.extents.size(); ++d) {
    if (d != 1 && !view.extents[d].is_constant(1)) return false;
  }
  return true;
}

// Inputs of the step that are added to the result element by element: it may take their memory.
std::vector<size_t> whole_addends(const ConvolutionRecipe& recipe) {
  std::vector<size_t> inputs;
  if (recipe.transposed || (recipe.x.dtype != DType::kF32 && recipe.x.dtype != DType::kBF16)) return inputs;
  for (const EpilogueStep& step : recipe.epilogue) {
    const bool whole = step.layout.dtype == recipe.y.dtype && step.layout.extents == recipe.y.extents && step.layout.strides == recipe.y.strides;
    if (step.kind == EpilogueKind::kAdd && whole) inputs.push_back(static_cast<size_t>(step.operand));
  }
  return inputs;
}

// What the library cannot take.
Refusal obstacle(const Contraction& contraction, const MemoryView& x, const MemoryView& w) {
  const size_t rank = x.extents.size();
  if (!sums_integers(contraction.core())) {
    if (Refusal reason = contraction.type_obstacle(); !reason.empty()) return reason;
  }
  if (rank < 3 || rank > 5) return fmt::format("{} spatial dimensions", rank - 2);
  if (w.extents.size() != rank) return fmt::format("weights of rank {} for an input of rank {}", w.extents.size(), rank);
  if (!is_static(w.extents)) return "weights of symbolic extents";
  const int64_t groups = contraction.core().attrs.integer("group");
  if (w.extents[0].constant() % groups != 0) return fmt::format("group {} does not divide {} channels", groups, w.extents[0].constant());
  return "";
}

}  // namespace

Refusal lower_convolution(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  const Node& core = contraction.core();
  const std::optional<MemoryView> x = contraction.operand(0), w = contraction.operand(1);
  const bool codes = sums_integers(core);
  std::optional<MemoryView> bias = codes ? std::nullopt : contraction.operand(2);
  if (!x || !w || (!codes && core.input(2) && !bias)) return "an operand that is neither given nor a Transpose";
  if (Refusal reason = obstacle(contraction, *x, *w); !reason.empty()) return reason;
  const MemoryView& y = contraction.result();
  const Result<std::optional<Window>> window = convolution_window(core.attrs, w->extents);
  if (!window.ok() || !*window) return "a window that is not known";

  ConvolutionRecipe recipe;
  ZeroPoint zero;
  if (codes) {
    if (Refusal reason = read_integer_operands(contraction, *x, *w, zero); !reason.empty()) return reason;
  }
  recipe.transposed = core.op().name == "ConvTranspose";
  recipe.groups = core.attrs.integer("group");
  recipe.strides = (*window)->strides;
  recipe.dilations = (*window)->dilations;
  recipe.constant_weights = w->is_constant();
  std::vector<EpilogueOperand>& epilogue = contraction.epilogue();
  if (!bias && !epilogue.empty() && epilogue[0].step.kind == EpilogueKind::kAdd && is_bias(*epilogue[0].view) &&
      epilogue[0].view->extents[1] == y.extents[1]) {
    bias = epilogue[0].view;
    epilogue.erase(epilogue.begin());
  }
  if (recipe.transposed) {
    for (const EpilogueOperand& operand : epilogue) {
      if (operand.view && !is_bias(*operand.view)) return "a whole tensor in the epilogue of a transposed convolution";
    }
  }
  if (recipe.transposed && may_reach_too_far(core, **window, *x, y)) return "a result that may be larger than its input reaches";
  const Pads pads = recipe.transposed ? transposed_pads(core, **window, *x, y) : pads_of(**window, *x, y);
  recipe.has_bias = bias.has_value();
  const Dim in_channels = recipe.transposed ? w->extents[0] : w->extents[1] * recipe.groups;
  builder.check(x->extents[1], in_channels, false, describe(node) + "input channels");
  recipe.x = layout_of(*x, builder);
  recipe.w = layout_of(*w, builder);
  recipe.y = layout_of(y, builder);
  recipe.pads_begin = builder.sizes(pads.begin);
  recipe.pads_end = builder.sizes(pads.end);
  std::vector<ValueId> inputs{value_of(*x, builder), value_of(*w, builder)};
  if (bias) inputs.push_back(value_of(*bias, builder));
  StepParts parts = finish_epilogue(std::move(inputs), epilogue, builder);
  recipe.epilogue = std::move(parts.epilogue);
  recipe.x_zero = zero.number;
  if (zero.view) {
    recipe.x_zero_input = static_cast<int32_t>(parts.inputs.size());
    parts.inputs.push_back(value_of(*zero.view, builder));
  }
  const std::vector<size_t> addends = whole_addends(recipe);
  add_primitive_step(node, contraction.description(), std::move(parts.inputs), {builder.value(node.output())}, std::move(recipe), builder);
  for (const size_t input : addends) builder.may_run_in_place(builder.program().steps.size() - 1, input, 0);
  return "";
}

// The gradient of the input is a transposed convolution of the result's gradient with the same weights.
Refusal lower_input_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  const Node& core = contraction.core();
  if (!contraction.epilogue().empty()) return "an epilogue after a gradient";
  const std::optional<MemoryView> dy = contraction.operand(0), w = contraction.operand(1);
  if (!dy || !w) return "an operand that is neither given nor a Transpose";
  if (Refusal reason = obstacle(contraction, *dy, *w); !reason.empty()) return reason;
  const MemoryView& dx = contraction.result();
  const Result<std::optional<Window>> window = convolution_window(core.attrs, w->extents);
  if (!window.ok() || !*window) return "a window that is not known";
  ConvolutionRecipe recipe;
  recipe.transposed = true;
  recipe.groups = core.attrs.integer("group");
  recipe.strides = (*window)->strides;
  recipe.dilations = (*window)->dilations;
  recipe.constant_weights = w->is_constant();
  const Pads pads = pads_of(**window, dx, *dy);
  builder.check(dy->extents[1], w->extents[0], false, describe(node) + "channels of the gradient");
  recipe.x = layout_of(*dy, builder);
  recipe.w = layout_of(*w, builder);
  recipe.y = layout_of(dx, builder);
  recipe.pads_begin = builder.sizes(pads.begin);
  recipe.pads_end = builder.sizes(pads.end);
  add_primitive_step(node, contraction.description(), {value_of(*dy, builder), value_of(*w, builder)}, {builder.value(node.output())},
                     std::move(recipe), builder);
  return "";
}

Refusal lower_weight_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  const Node& core = contraction.core();
  if (!contraction.epilogue().empty()) return "an epilogue after a gradient";
  const std::optional<MemoryView> x = contraction.operand(0), dy = contraction.operand(1);
  if (!x || !dy) return "an operand that is neither given nor a Transpose";
  const MemoryView& dw = contraction.result();
  if (Refusal reason = obstacle(contraction, *x, dw); !reason.empty()) return reason;
  const Result<Window> window = read_window(core.attrs, core.attrs.integers("kernel_shape"));
  if (!window.ok()) return window.error().message;
  WeightGradientRecipe recipe;
  recipe.groups = core.attrs.integer("group");
  recipe.strides = window->strides;
  recipe.dilations = window->dilations;
  recipe.x = layout_of(*x, builder);
  recipe.w = layout_of(dw, builder);
  recipe.y = layout_of(*dy, builder);
  recipe.pads_begin = builder.sizes(pads_of(*window, *x, *dy).begin);
  builder.check(x->extents[0], dy->extents[0], false, describe(node) + "batch");
  add_primitive_step(node, contraction.description(), {value_of(*x, builder), value_of(*dy, builder)}, {builder.value(node.output())},
                     std::move(recipe), builder);
  return "";
}

}  // namespace gannet::onednn
