// Dropout of training steps: which elements go follows from a seed that is an operand, so the gradient asks
// the same question again instead of keeping a mask. Element i is kept when word i of the generator
// (random.h), of that seed and the attribute `stream`, is at least ratio * 2^32; kept ones grow by 1 / (1 -
// ratio).
#include "ir/base/random.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kSeededAttrs[] = {float_attr("ratio", 0.5f), int_attr("stream", 0)};

Status infer_seeded(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "data"));
  TRY(expect_dtype(c, 1, DType::kI64, "seed"));
  TRY(expect_single(c, 1, "seed"));
  float ratio = c.attrs().number("ratio");
  if (!(ratio >= 0 && ratio < 1)) return invalid_model(fmt::format("ratio must be in [0, 1), got {}", ratio));
  c.set(0, c.type(0));
  return {};
}

Status eval_seeded(EvalContext& c) {
  Tensor y = TRY(widened(c.tensor(0)));
  double ratio = static_cast<double>(c.attrs().number("ratio"));
  auto bound = static_cast<uint64_t>(ratio * 0x1p32);
  Random random(static_cast<uint64_t>(c.tensor(1).int_at(0)),
                static_cast<uint64_t>(c.attrs().integer("stream")));
  visit_compute(y.dtype(), [&]<class T>(Tag<T>) {
    T scale = static_cast<T>(1 / (1 - ratio));
    for (T& value : y.mutable_data<T>()) value = random.next_u32() >= bound ? value * scale : T(0);
  });
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

// Linear in the data.
Status seeded_vjp(VjpContext& c) {
  c.set(0, c.b.op("SeededDropout", {c.gradient(), c.operand(1)}, c.attrs()));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::SeededDropout = {.inputs = {2, 2},
                                                   .outputs = {1, 1},
                                                   .attrs = kSeededAttrs,
                                                   .infer = infer_seeded,
                                                   .eval = eval_seeded};
constinit const GradientRule gradients::SeededDropout = {.vjp = seeded_vjp};

}  // namespace gannet
