// NegativeLogLikelihoodLoss, which the library of primitives computes itself.
#include "backend/onednn/contraction.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {

Refusal lower_likelihood(const Node& node, ProgramBuilder& builder) {
  const Type &scores = node.input(0)->type, &targets = node.input(1)->type;
  const Value* weights = node.input(2);
  if (scores.dtype != DType::kF32 && scores.dtype != DType::kF64) return std::string(name_of(scores.dtype));
  if (weights && weights->type.dtype != scores.dtype) return "weights of another type";
  const std::span<const Dim> shape = *scores.shape;
  const std::string_view reduction = node.attrs.text("reduction");
  LikelihoodRecipe recipe;
  recipe.dtype = scores.dtype;
  recipe.targets = targets.dtype;
  recipe.samples = builder.size(shape[0]);
  recipe.classes = builder.size(shape[1]);
  recipe.pixels = builder.size(element_count(shape.subspan(2)));
  recipe.reduction = reduction == "none" ? LossReduction::kNone : reduction == "sum" ? LossReduction::kSum : LossReduction::kMean;
  recipe.ignores = node.attrs.has("ignore_index");
  recipe.ignored = recipe.ignores ? node.attrs.integer("ignore_index") : 0;
  for (size_t i = 0; i < targets.shape->size(); ++i) {
    builder.check((*targets.shape)[i], shape[i == 0 ? 0 : i + 1], false, describe(node) + fmt::format("dimension {} of the targets", i));
  }
  if (weights) builder.check((*weights->type.shape)[0], shape[1], false, describe(node) + "weights of the classes");
  add_primitive_step(node, "NegativeLogLikelihoodLoss", {builder.value(node.input(0)), builder.value(node.input(1)), builder.value(weights)},
                     {builder.value(node.output())}, recipe, builder);
  return "";
}

}  // namespace gannet::onednn
