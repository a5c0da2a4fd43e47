#include "passes/gradient_penalty.h"

#include "passes/differentiate.h"

namespace gannet {

namespace {

using E = ScalarExpr;

std::vector<int64_t> axes_of(const Value* x, int64_t first) {
  std::vector<int64_t> axes;
  for (int64_t i = first; i < x->type.rank(); ++i) axes.push_back(i);
  return axes;
}

}  // namespace

Result<Value*> score_gradient(Graph& graph, Value* scores, Value* pictures) {
  GraphBuilder b(graph);
  Value* sum = b.reduce_sum(scores, axes_of(scores, 0), false);
  TRY(Status(b.status()));
  Value* const variables[] = {pictures};
  Value* gradient = TRY(differentiate(graph, sum, variables))[0];
  if (gradient == nullptr) return invalid_input("the discriminator's scores do not depend on its pictures differentiably");
  return gradient;
}

Value* distance_from_unit_slope(GraphBuilder& b, Value* gradient) {
  Value* norms = b.reduce("ReduceL2", gradient, axes_of(gradient, 1), false);
  return b.reduce_mean(b.map((E::arg(0) - 1.0) * (E::arg(0) - 1.0), {norms}), {0}, false);
}

Value* squared_slope(GraphBuilder& b, Value* gradient) {
  Value* squares = b.reduce_sum(b.mul(gradient, gradient), axes_of(gradient, 1), false);
  return b.reduce_mean(squares, {0}, false);
}

Value* between(GraphBuilder& b, Value* real, Value* fake, Value* share) {
  Shape shape(real->type.shape->size(), Dim(1));
  shape[0] = (*real->type.shape)[0];
  return b.map(E::arg(2) * E::arg(0) + (1.0 - E::arg(2)) * E::arg(1), {real, fake, b.reshape(share, shape)});
}

}  // namespace gannet
