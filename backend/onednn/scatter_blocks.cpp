// ScatterND, which the library of primitives computes itself.
#include <algorithm>

#include "backend/onednn/contraction.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {

Refusal lower_scatter_blocks(const Node& node, ProgramBuilder& builder) {
  using Row = std::pair<std::string_view, ScatterReduction>;
  constexpr Row kReductions[] = {{"none", ScatterReduction::kNone}, {"add", ScatterReduction::kAdd}, {"mul", ScatterReduction::kMul},
                                 {"min", ScatterReduction::kMin},   {"max", ScatterReduction::kMax}};
  const Shape &data = *node.input(0)->type.shape, &indices = *node.input(1)->type.shape, &updates = *node.input(2)->type.shape;
  if (!indices.back().is_constant()) return "indices that name it is not known how many axes";
  ScatterBlocksRecipe recipe;
  recipe.dtype = node.output()->type.dtype;
  recipe.reduction = std::ranges::find(kReductions, node.attrs.text("reduction"), &Row::first)->second;
  const bool combines = recipe.reduction != ScatterReduction::kNone;
  const DType dtype = recipe.dtype;
  const bool has_arithmetic = dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kI32 || dtype == DType::kI64;
  if ((combines && !has_arithmetic) || element_size(dtype) > 8) return std::string(name_of(dtype));
  const auto depth = static_cast<size_t>(indices.back().constant());
  const std::span<const Dim> rows(indices.data(), indices.size() - 1), block(data.data() + depth, data.size() - depth);
  recipe.rows = builder.size(element_count(rows));
  recipe.block = builder.size(element_count(block));
  recipe.extents = builder.sizes(std::span<const Dim>(data.data(), depth));
  for (size_t i = 0; i < updates.size(); ++i) {
    builder.check(updates[i], i < rows.size() ? rows[i] : block[i - rows.size()], false, describe(node) + fmt::format("dimension {} of the updates", i));
  }
  std::vector<ValueId> inputs;
  for (const Value* operand : node.inputs()) inputs.push_back(builder.value(operand));
  const size_t step = add_primitive_step(node, "ScatterND", std::move(inputs), {builder.value(node.output())}, std::move(recipe), builder);
  builder.may_run_in_place(step, 0, 0);
  return "";
}

}  // namespace gannet::onednn
