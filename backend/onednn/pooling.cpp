// Poolings and their gradients, and the padding of windows.
#include <fmt/format.h>

#include <algorithm>

#include "backend/onednn/contraction.h"
#include "backend/onednn/window_pads.h"
#include "ir/op.h"

namespace gannet::onednn {

bool is_same(AutoPad mode) { return mode == AutoPad::kSameUpper || mode == AutoPad::kSameLower; }

Dim same_begin(AutoPad mode, const Dim& total) {
  const Dim half = floordiv(total, 2);
  return mode == AutoPad::kSameUpper ? half : total - half;
}

Pads pads_of(const Window& window, const MemoryView& x, const MemoryView& y) {
  Pads pads;
  for (size_t d = 0; d < window.rank(); ++d) {
    if (!is_same(window.auto_pad)) {
      pads.begin.push_back(window.pads_begin[d]);
      pads.end.push_back(window.pads_end[d]);
      continue;
    }
    const Dim total = max(Dim(0), (y.extents[d + 2] - 1) * window.strides[d] + (window.span(d) - x.extents[d + 2]));
    pads.begin.push_back(same_begin(window.auto_pad, total));
    pads.end.push_back(total - pads.begin.back());
  }
  return pads;
}

// What the library cannot take; `window` is filled in where there is nothing.
static Refusal read_pooling(Contraction& contraction, const MemoryView& x, Window& window, PoolingRecipe& recipe) {
  const Node& core = contraction.core();
  if (!contraction.epilogue().empty()) return "an epilogue after a pooling";
  const bool moved = (x.dtype == DType::kI8 || x.dtype == DType::kU8 || x.dtype == DType::kBF16) && core.op().name == "MaxPool";
  if (x.dtype != DType::kF32 && !moved) return std::string(name_of(x.dtype));
  if (contraction.result().dtype != x.dtype) return "a result of another type";
  const size_t rank = x.extents.size();
  if (rank < 3 || rank > 5) return fmt::format("{} spatial dimensions", rank - 2);
  Result<Window> read = read_window(core.attrs, core.attrs.integers("kernel_shape"));
  if (!read.ok()) return read.error().message;
  window = *std::move(read);
  const bool average = core.op().name.starts_with("Average");
  const bool with_padding = average && core.attrs.integer("count_include_pad") != 0;
  recipe.kind = !average ? PoolingKind::kMax : with_padding ? PoolingKind::kAverageWithPadding : PoolingKind::kAverageWithoutPadding;
  if (with_padding && window.ceil_mode) return "ceil_mode that counts padding";
  for (size_t d = 0; d < window.rank(); ++d) {
    if (std::max(window.pads_begin[d], window.pads_end[d]) >= window.kernel[d]) return "padding as wide as the kernel";
    if (window.dilations[d] != 1 && average) return "an average with dilations";
  }
  return "";
}

static void finish_pooling(PoolingRecipe& recipe, const Window& window, const MemoryView& x, const MemoryView& y, ProgramBuilder& builder) {
  const Pads pads = pads_of(window, x, y);
  recipe.x = layout_of(x, builder);
  recipe.y = layout_of(y, builder);
  recipe.kernel = window.kernel;
  recipe.strides = window.strides;
  recipe.dilations = window.dilations;
  recipe.pads_begin = builder.sizes(pads.begin);
  recipe.pads_end = builder.sizes(pads.end);
}

Refusal lower_pooling(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  if (contraction.core().output(1)) return "the indices are wanted";
  const std::optional<MemoryView> x = contraction.operand(0);
  if (!x) return "an operand that is neither given nor a Transpose";
  PoolingRecipe recipe;
  Window window;
  if (Refusal reason = read_pooling(contraction, *x, window, recipe); !reason.empty()) return reason;
  finish_pooling(recipe, window, *x, contraction.result(), builder);
  add_primitive_step(node, contraction.description(), {value_of(*x, builder)}, {builder.value(node.output())}, std::move(recipe), builder);
  return "";
}

// One layout serves x and its gradient.
Refusal lower_pooling_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  const std::optional<MemoryView> x = contraction.operand(0), dy = contraction.operand(1);
  if (!x || !dy) return "an operand that is neither given nor a Transpose";
  PoolingRecipe recipe;
  Window window;
  if (Refusal reason = read_pooling(contraction, *x, window, recipe); !reason.empty()) return reason;
  if (x->strides != contraction.result().strides) return "a gradient in another layout than its operand";
  recipe.gradient = true;
  finish_pooling(recipe, window, *x, *dy, builder);
  add_primitive_step(node, contraction.description(), {value_of(*x, builder), value_of(*dy, builder)}, {builder.value(node.output())},
                     std::move(recipe), builder);
  return "";
}

}  // namespace gannet::onednn
