#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/base/random.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kNormalAttrs[] = {dtype_attr("dtype", DType::kF32), float_attr("mean", 0),
                                    float_attr("scale", 1), optional_attr("seed", AttrKind::kFloat),
                                    required_attr("shape", AttrKind::kInts)};
constexpr AttrDef kUniformAttrs[] = {dtype_attr("dtype", DType::kF32), float_attr("high", 1),
                                     float_attr("low", 0), optional_attr("seed", AttrKind::kFloat),
                                     required_attr("shape", AttrKind::kInts)};
constexpr AttrDef kNormalLikeAttrs[] = {optional_attr("dtype", AttrKind::kDType), float_attr("mean", 0),
                                        float_attr("scale", 1), optional_attr("seed", AttrKind::kFloat)};
constexpr AttrDef kUniformLikeAttrs[] = {optional_attr("dtype", AttrKind::kDType), float_attr("high", 1),
                                         float_attr("low", 0), optional_attr("seed", AttrKind::kFloat)};
constexpr AttrDef kBernoulliAttrs[] = {optional_attr("dtype", AttrKind::kDType),
                                       optional_attr("seed", AttrKind::kFloat)};
constexpr AttrDef kMultinomialAttrs[] = {dtype_attr("dtype", DType::kI32), int_attr("sample_size", 1),
                                         optional_attr("seed", AttrKind::kFloat)};

// The generator of a node: from its own seed, else from the run's.
Random generator(EvalContext& c) {
  if (!c.attrs().has("seed")) return Random(c.services().next_random_seed());
  float seed = c.attrs().number("seed");
  uint32_t bits = 0;
  std::memcpy(&bits, &seed, sizeof(bits));
  return Random(bits);
}

Status expect_float_dtype(DType dtype) {
  if (is_float(dtype) || dtype == DType::kUndefined) return {};
  return invalid_model(fmt::format("dtype must be floating point, got {}", name_of(dtype)));
}

Status infer_shaped(InferContext& c) {
  TRY(expect_float_dtype(c.attrs().dtype("dtype")));
  for (int64_t extent : c.attrs().integers("shape")) {
    if (extent < 0) return invalid_model(fmt::format("shape holds the extent {}", extent));
  }
  c.set_tensor(0, c.attrs().dtype("dtype"), to_shape(c.attrs().integers("shape")));
  return {};
}

Status infer_like(InferContext& c) {
  TRY(expect_tensors(c, 1));
  DType dtype = c.attrs().has("dtype") ? c.attrs().dtype("dtype") : c.dtype(0);
  TRY(expect_float_dtype(dtype));
  c.set_tensor(0, dtype, c.type(0).shape);
  return {};
}

Status infer_bernoulli(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  DType dtype = c.attrs().has("dtype") ? c.attrs().dtype("dtype") : c.dtype(0);
  if (dtype == DType::kString || is_complex(dtype)) {
    return invalid_model(fmt::format("dtype must be a number or bool, got {}", name_of(dtype)));
  }
  c.set_tensor(0, dtype, c.type(0).shape);
  return {};
}

Status infer_multinomial(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_rank(c, 0, 2, "input"));
  DType dtype = c.attrs().dtype("dtype");
  if (dtype != DType::kI32 && dtype != DType::kI64) {
    return invalid_model(fmt::format("dtype must be i32 or i64, got {}", name_of(dtype)));
  }
  int64_t samples = c.attrs().integer("sample_size");
  if (samples < 0) return invalid_model(fmt::format("sample_size must not be negative, got {}", samples));
  Dim batch = c.shape(0) ? (*c.shape(0))[0] : c.fresh("batch");
  c.set_tensor(0, dtype, Shape{batch, samples});
  return {};
}

// Fills output 0 with draws in order.
template <class Draw>
Status eval_draws(EvalContext& c, Draw draw) {
  DType dtype = c.output_type(0).dtype;
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  Random random = generator(c);
  visit_compute(y.dtype(), [&]<class T>(Tag<T>) {
    for (T& value : y.mutable_data<T>()) value = static_cast<T>(draw(random));
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

Status eval_normal(EvalContext& c) {
  double mean = static_cast<double>(c.attrs().number("mean")),
         scale = static_cast<double>(c.attrs().number("scale"));
  return eval_draws(c, [=](Random& random) { return mean + scale * random.normal(); });
}

Status eval_uniform(EvalContext& c) {
  double low = static_cast<double>(c.attrs().number("low")),
         high = static_cast<double>(c.attrs().number("high"));
  return eval_draws(c, [=](Random& random) { return random.uniform(low, high); });
}

Status eval_bernoulli(EvalContext& c) {
  const Tensor& probability = c.tensor(0);
  Tensor y = TRY(c.allocate(DType::kBool, probability.extents()));
  auto values = y.mutable_data<bool>();
  Random random = generator(c);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = random.uniform_double() < probability.double_at(static_cast<int64_t>(i));
  }
  c.set(TRY(as_dtype(y, c.output_type(0).dtype)));
  return {};
}

// Each row holds unnormalized logarithms of probabilities; a draw is the first class whose cumulated share
// passes a uniform number.
Status eval_multinomial(EvalContext& c) {
  const Tensor& logits = c.tensor(0);
  int64_t classes = logits.extent(1), samples = c.attrs().integer("sample_size");
  Tensor y = TRY(c.allocate(DType::kI64, {logits.extent(0), samples}));
  if (y.elements() > 0 && classes == 0) return invalid_input("no classes to draw from");
  auto values = y.mutable_data<int64_t>();
  Random random = generator(c);
  std::vector<double> cumulated(static_cast<size_t>(classes));
  for (int64_t row = 0; row < logits.extent(0) && samples > 0; ++row) {
    double largest = logits.double_at(row * classes), total = 0;
    for (int64_t k = 1; k < classes; ++k) largest = std::max(largest, logits.double_at(row * classes + k));
    for (int64_t k = 0; k < classes; ++k) {
      total += std::exp(logits.double_at(row * classes + k) - largest);
      cumulated[static_cast<size_t>(k)] = total;
    }
    for (int64_t s = 0; s < samples; ++s) {
      auto passed = std::upper_bound(cumulated.begin(), cumulated.end(), random.uniform_double() * total);
      values[static_cast<size_t>(row * samples + s)] =
          std::min<int64_t>(passed - cumulated.begin(), classes - 1);
    }
  }
  c.set(TRY(as_dtype(y, c.output_type(0).dtype)));
  return {};
}

constexpr StructuredOp random_op(int inputs, std::span<const AttrDef> attrs, InferFn infer, EvalFn eval) {
  return {.inputs = {inputs, inputs},
          .outputs = {1, 1},
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .no_gradient = "draws do not follow from the operands smoothly",
          .random = true};
}

}  // namespace

constinit const StructuredOp ops::RandomNormal = random_op(0, kNormalAttrs, infer_shaped, eval_normal);
constinit const StructuredOp ops::RandomUniform = random_op(0, kUniformAttrs, infer_shaped, eval_uniform);
constinit const StructuredOp ops::RandomNormalLike = random_op(1, kNormalLikeAttrs, infer_like, eval_normal);
constinit const StructuredOp ops::RandomUniformLike =
    random_op(1, kUniformLikeAttrs, infer_like, eval_uniform);
constinit const StructuredOp ops::Bernoulli = random_op(1, kBernoulliAttrs, infer_bernoulli, eval_bernoulli);
constinit const StructuredOp ops::Multinomial =
    random_op(1, kMultinomialAttrs, infer_multinomial, eval_multinomial);

}  // namespace gannet
