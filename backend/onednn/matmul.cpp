#include <fmt/format.h>

#include <algorithm>

#include "backend/onednn/contraction.h"
#include "ir/epilogue.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {
namespace {

bool is_unit(const Dim& stride, const Dim& extent) { return stride.is_constant(1) || extent.is_constant(1); }

// One of the last two axes must be that of neighbours in memory.
bool has_rows_or_columns(const MemoryView& view) {
  const size_t rank = view.extents.size();
  return is_unit(view.strides[rank - 1], view.extents[rank - 1]) || is_unit(view.strides[rank - 2], view.extents[rank - 2]);
}

bool has_rows(const MemoryView& view) { return is_unit(view.strides.back(), view.extents.back()); }

// `view` with batch axes put in front until it has `rank` axes.
MemoryView with_batch(MemoryView view, size_t rank) {
  while (view.extents.size() < rank) view = with_axis(std::move(view), 0);
  return view;
}

bool is_constant_row(const MemoryView& view) {
  auto is_one = [](const Dim& extent) { return extent.is_constant(1); };
  return view.is_constant() && has_rows(view) && std::all_of(view.extents.begin(), view.extents.end() - 1, is_one);
}

// What the product is made of: all views over batch..., rows, columns.
struct Product {
  MemoryView x, w, y;
  std::optional<MemoryView> bias;
  float alpha = 1;
};

Refusal read_gemm(const Contraction& contraction, Product& p) {
  const Node& core = contraction.core();
  constexpr int64_t kExchanged[] = {1, 0};
  if (core.attrs.integer("transA") != 0) p.x = permuted(p.x, kExchanged);
  if (core.attrs.integer("transB") != 0) p.w = permuted(p.w, kExchanged);
  p.alpha = core.attrs.number("alpha");
  const float beta = core.attrs.number("beta");
  if (!core.input(2) || beta == 0) return "";
  if (beta != 1) return fmt::format("beta {}", beta);
  p.bias = contraction.operand(2);
  if (!p.bias) return "an operand that is neither given nor a Transpose";
  p.bias = with_batch(*p.bias, 2);
  return "";
}

// Batch extents must be known to be equal or 1; inner extents are checked in each run where they are not known.
Refusal check_extents(const Product& p) {
  const size_t rank = p.y.extents.size();
  for (const MemoryView* view : {&p.x, &p.w}) {
    for (size_t d = 0; d + 2 < rank; ++d) {
      if (!view->extents[d].is_constant(1) && view->extents[d] != p.y.extents[d]) {
        return fmt::format("batch extent {} against {}", view->extents[d].to_string(), p.y.extents[d].to_string());
      }
    }
  }
  if (p.bias) {
    for (size_t d = 0; d < rank; ++d) {
      if (!p.bias->extents[d].is_constant(1) && p.bias->extents[d] != p.y.extents[d]) {
        return fmt::format("bias extent {} against {}", p.bias->extents[d].to_string(), p.y.extents[d].to_string());
      }
    }
  }
  if (rank > 6) return fmt::format("{} dimensions", rank);
  if (!has_rows_or_columns(p.x) || !has_rows(p.y)) return "an operand whose rows and columns are both apart in memory";
  if (!p.w.is_constant() && !has_rows_or_columns(p.w)) return "weights whose rows and columns are both apart in memory";
  return "";
}

}  // namespace

Refusal lower_matmul(const Node& node, Contraction& contraction, ProgramBuilder& builder) {
  const std::optional<MemoryView> x = contraction.operand(0), w = contraction.operand(1);
  if (!x || !w) return "an operand that is neither given nor a Transpose";
  const bool codes = sums_integers(contraction.core());
  if (!codes) {
    if (Refusal reason = contraction.type_obstacle(); !reason.empty()) return reason;
  }
  MatmulRecipe recipe;
  ZeroPoint zero;
  if (codes) {
    if (Refusal reason = read_integer_operands(contraction, *x, *w, zero); !reason.empty()) return reason;
  }
  Product p{*x, *w, contraction.result(), std::nullopt, 1};
  std::vector<EpilogueOperand>& epilogue = contraction.epilogue();
  if (contraction.core().op().name == "Gemm") {
    if (Refusal reason = read_gemm(contraction, p); !reason.empty()) return reason;
  }
  const bool row = p.x.extents.size() == 1, column = p.w.extents.size() == 1;
  if (row) p.x = with_axis(p.x, 0);
  if (column) p.w = with_axis(p.w, 1);
  const size_t rank = std::max(p.x.extents.size(), p.w.extents.size());
  p.x = with_batch(p.x, rank);
  p.w = with_batch(p.w, rank);
  // The result lacks the axis that a vector lacks.
  auto completed = [&](MemoryView view) {
    if (column) view = with_axis(std::move(view), view.extents.size());
    if (row) view = with_axis(std::move(view), rank - 2);
    return view;
  };
  p.y = completed(p.y);
  for (EpilogueOperand& operand : epilogue) {
    if (operand.view) operand.view = completed(*operand.view);
  }
  // Sums of integers have factors after the bias, which the library applies to a row of it only.
  const bool has_summand = !epilogue.empty() && epilogue[0].step.kind == EpilogueKind::kAdd && epilogue[0].view->dtype == DType::kF32;
  if (!p.bias && has_summand && (!codes || is_constant_row(*epilogue[0].view))) {
    p.bias = epilogue[0].view;
    epilogue.erase(epilogue.begin());
  }
  if (Refusal reason = check_extents(p); !reason.empty()) return reason;

  builder.check(p.x.extents[rank - 1], p.w.extents[rank - 2], false, describe(node) + "inner extents");
  recipe.x = layout_of(p.x, builder);
  recipe.w = layout_of(p.w, builder);
  recipe.y = layout_of(p.y, builder);
  recipe.has_bias = p.bias.has_value();
  recipe.alpha = p.alpha;
  recipe.constant_weights = p.w.is_constant();
  std::vector<ValueId> inputs{value_of(p.x, builder), value_of(p.w, builder)};
  if (p.bias) {
    recipe.bias = layout_of(*p.bias, builder);
    inputs.push_back(value_of(*p.bias, builder));
  }
  StepParts parts = finish_epilogue(std::move(inputs), epilogue, builder);
  recipe.epilogue = std::move(parts.epilogue);
  recipe.x_zero = zero.number;
  if (zero.view) {
    recipe.x_zero_input = static_cast<int32_t>(parts.inputs.size());
    parts.inputs.push_back(value_of(*zero.view, builder));
  }
  add_primitive_step(node, contraction.description(), std::move(parts.inputs), {builder.value(node.output())}, std::move(recipe), builder);
  return "";
}

}  // namespace gannet::onednn
