#include <algorithm>

#include "ir/base/random.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kDropoutAttrs[] = {optional_attr("seed", AttrKind::kInt)};
constexpr double kDefaultRatio = 0.5;

bool is_any_float(DType t) { return is_float(t) || is_small_float(t) || t == DType::kUndefined; }

Status infer_dropout(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (!is_any_float(c.dtype(0))) return expect_float(c, 0, "data");
  if (c.has(1)) {
    if (!is_any_float(c.dtype(1))) return expect_float(c, 1, "ratio");
    TRY(expect_single(c, 1, "ratio"));
  }
  if (c.has(2)) {
    TRY(expect_dtype(c, 2, DType::kBool, "training_mode"));
    TRY(expect_single(c, 2, "training_mode"));
  }
  c.set(0, c.type(0));
  c.set_tensor(1, DType::kBool, c.type(0).shape);
  return {};
}

Result<double> ratio_of(const EvalContext& c) {
  if (!c.has(1)) return kDefaultRatio;
  double ratio = c.tensor(1).double_at(0);
  if (ratio >= 0 && ratio < 1) return ratio;
  return invalid_model(fmt::format("ratio must be in [0, 1), got {}", ratio));
}

// Kept elements grow by 1 / (1 - ratio), so that the expectation stays.
Status eval_dropout(EvalContext& c) {
  bool training = c.has(2) && c.tensor(2).int_at(0) != 0;
  double ratio = training ? TRY(ratio_of(c)) : 0;
  Tensor mask = TRY(c.allocate(DType::kBool, c.tensor(0).extents()));
  auto kept = mask.mutable_data<bool>();
  std::fill(kept.begin(), kept.end(), true);
  if (ratio == 0) {
    c.set(0, c.tensor(0));
    c.set(1, mask);
    return {};
  }
  Random random(c.attrs().has("seed") ? static_cast<uint64_t>(c.attrs().integer("seed"))
                                      : c.services().next_random_seed());
  for (bool& keep : kept) keep = random.uniform_double() >= ratio;
  Tensor y = TRY(widened(c.tensor(0)));
  visit_compute(y.dtype(), [&]<class T>(Tag<T>) {
    T scale = static_cast<T>(1 / (1 - ratio));
    auto values = y.mutable_data<T>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = kept[i] ? values[i] * scale : T(0);
  });
  c.set(0, TRY(as_dtype(y, c.tensor(0).dtype())));
  c.set(1, mask);
  return {};
}

// In training the rule reads the mask.
Status dropout_for_gradient(DecomposeContext& c) {
  const Tensor* known = c.operand(2) ? c.operand(2)->constant() : nullptr;
  if (c.output_count() > 1 || !c.operand(2) || (known && known->int_at(0) == 0)) return {};
  c.set(0, c.b.op_n("Dropout", {c.operand(0), c.operand(1), c.operand(2)}, c.attrs(), 2)[0]);
  return {};
}

// In inference the identity; in training what was kept is in the mask.
Status dropout_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  Value *ratio = c.operand(1), *training = c.operand(2), *mask = c.output(1), *dy = c.gradient();
  const Tensor* known = training ? training->constant() : nullptr;
  if (!training || (known && known->int_at(0) == 0)) {
    c.set(0, dy);
    return b.status();
  }
  CHECK(mask != nullptr, "Dropout was not made ready for its gradient");
  DType dtype = dy->type.dtype;
  Value* ratio_value = ratio ? b.cast(b.reshape(ratio, {}), dtype) : b.number(kDefaultRatio, dy);
  Value* scale = b.map(select(ScalarExpr::arg(1), 1.0 / (1.0 - ScalarExpr::arg(0)), 1.0),
                       {ratio_value, b.reshape(training, {})});
  c.set(0, b.mul(b.mul(dy, b.cast(mask, dtype)), scale));
  return b.status();
}

}  // namespace

constinit const StructuredOp ops::Dropout = {.inputs = {1, 3},
                                             .outputs = {1, 2},
                                             .attrs = kDropoutAttrs,
                                             .infer = infer_dropout,
                                             .eval = eval_dropout,
                                             .random = true};
constinit const GradientRule gradients::Dropout = {.vjp = dropout_vjp, .for_gradient = dropout_for_gradient};

}  // namespace gannet
