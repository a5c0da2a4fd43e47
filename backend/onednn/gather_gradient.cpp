// The gradient of Gather, which the library of primitives computes itself.
#include "backend/onednn/contraction.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {

Refusal lower_gather_gradient(const Node& node, ProgramBuilder& builder) {
  const Type &dy = node.input(0)->type, &positions = node.input(1)->type;
  if (dy.dtype != DType::kF32) return std::string(name_of(dy.dtype));
  if (positions.dtype != DType::kI64 && positions.dtype != DType::kI32) return std::string(name_of(positions.dtype));
  const Shape& dx = *node.output()->type.shape;
  const Result<int64_t> axis = normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(dx.size()));
  if (!axis.ok()) return axis.error().message;
  const auto a = static_cast<size_t>(*axis);
  ScatterRowsRecipe recipe;
  recipe.positions = positions.dtype;
  recipe.outer = builder.size(element_count(std::span<const Dim>(dx.data(), a)));
  recipe.rows = builder.size(dx[a]);
  recipe.inner = builder.size(element_count(std::span<const Dim>(dx.data() + a + 1, dx.size() - a - 1)));
  recipe.count = builder.size(element_count(*positions.shape));
  add_primitive_step(node, "GatherGradient", {builder.value(node.input(0)), builder.value(node.input(1))}, {builder.value(node.output())},
                     recipe, builder);
  return "";
}

}  // namespace gannet::onednn
