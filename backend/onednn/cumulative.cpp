// CumSum and CumProd, which the library of primitives computes itself.
#include "backend/onednn/contraction.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {

Refusal lower_cumulative(const Node& node, ProgramBuilder& builder) {
  const Type& x = node.input(0)->type;
  if (x.dtype == DType::kF16 || x.dtype == DType::kBF16) return std::string(name_of(x.dtype));
  const auto given = constant_ints(node.input(1));
  if (!given || given->size() != 1) return "an axis that is not constant";
  const Result<int64_t> axis = normalize_axis(given->front(), x.rank());
  if (!axis.ok()) return axis.error().message;
  const std::span<const Dim> shape = *x.shape;
  const auto a = static_cast<size_t>(*axis);
  CumulativeRecipe recipe;
  recipe.dtype = x.dtype;
  recipe.outer = builder.size(element_count(shape.first(a)));
  recipe.length = builder.size(shape[a]);
  recipe.inner = builder.size(element_count(shape.subspan(a + 1)));
  recipe.product = node.op().name == "CumProd";
  recipe.exclusive = node.attrs.integer("exclusive") != 0;
  recipe.reverse = node.attrs.integer("reverse") != 0;
  const size_t step =
      add_primitive_step(node, std::string(node.op().name), {builder.value(node.input(0))}, {builder.value(node.output())}, recipe, builder);
  builder.may_run_in_place(step, 0, 0);
  return "";
}

}  // namespace gannet::onednn
