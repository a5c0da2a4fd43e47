// The optimizers of ai.onnx.preview.training. Operands are the learning rate, the number of updates so far,
// then each kind of tensor for all parameters in turn: values, gradients, and the slots that the optimizer
// keeps.
#include <cmath>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAdagradAttrs[] = {float_attr("decay_factor", 0), float_attr("epsilon", 1e-6f),
                                     float_attr("norm_coefficient", 0)};
constexpr AttrDef kAdamAttrs[] = {float_attr("alpha", 0.9f), float_attr("beta", 0.999f),
                                  float_attr("epsilon", 1e-6f), float_attr("norm_coefficient", 0),
                                  float_attr("norm_coefficient_post", 0)};
constexpr AttrDef kMomentumAttrs[] = {
    required_attr("alpha", AttrKind::kFloat), required_attr("beta", AttrKind::kFloat),
    required_attr("mode", AttrKind::kString), required_attr("norm_coefficient", AttrKind::kFloat)};

bool is_f32_or_f64(DType t) { return t == DType::kF32 || t == DType::kF64 || t == DType::kUndefined; }

// `kinds` tensors a parameter come in, values and `kinds` - 2 slots go out.
Status infer_optimizer(InferContext& c, size_t kinds) {
  TRY(expect_tensors(c, c.operand_count()));
  size_t tensors = c.operand_count() - 2, parameters = tensors / kinds;
  if (tensors % kinds != 0)
    return invalid_model(fmt::format("{} tensors are not {} a parameter", tensors, kinds));
  if (!is_f32_or_f64(c.dtype(0))) return expect_dtype(c, 0, DType::kF32, "R");
  TRY(expect_dtype(c, 1, DType::kI64, "T"));
  TRY(expect_single(c, 0, "R"));
  TRY(expect_single(c, 1, "T"));
  for (size_t p = 0; p < parameters; ++p) {
    size_t value = 2 + p;
    if (!is_f32_or_f64(c.dtype(value))) return expect_dtype(c, value, DType::kF32, "value");
    for (size_t k = 1; k < kinds; ++k) {
      size_t other = value + k * parameters;
      TRY(expect_same_dtype(c, value, other));
      if (c.shape(value) && c.shape(other)) TRY(merge_shapes(*c.shape(value), *c.shape(other)));
      if (k > 1) c.set((k - 1) * parameters + p, c.type(other));
    }
    c.set(p, c.type(value));
  }
  return {};
}

// One parameter's elements: value, gradient and slots come in, value and slots go out in place.
struct Element {
  double x, g, slot, slot2;
};

// Calls update(Element&) for every element of every parameter.
template <class Update>
Status eval_optimizer(EvalContext& c, size_t kinds, Update update) {
  size_t parameters = (c.operand_count() - 2) / kinds;
  for (size_t p = 0; p < parameters; ++p) {
    Tensor x = c.tensor(2 + p), slot = c.tensor(2 + 2 * parameters + p);
    Tensor slot2 = kinds > 3 ? c.tensor(2 + 3 * parameters + p) : Tensor();
    const Tensor& g = c.tensor(2 + parameters + p);
    auto run = [&]<class T>(Tag<T>) {
      auto values = x.mutable_data<T>(), slots = slot.mutable_data<T>();
      auto slots2 = slot2.defined() ? slot2.mutable_data<T>() : std::span<T>();
      auto gradients = g.data<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        Element e{static_cast<double>(values[i]), static_cast<double>(gradients[i]),
                  static_cast<double>(slots[i]), slots2.empty() ? 0.0 : static_cast<double>(slots2[i])};
        update(e);
        values[i] = static_cast<T>(e.x);
        slots[i] = static_cast<T>(e.slot);
        if (!slots2.empty()) slots2[i] = static_cast<T>(e.slot2);
      }
    };
    if (x.dtype() == DType::kF64)
      run(Tag<double>{});
    else
      run(Tag<float>{});
    c.set(p, x);
    c.set(parameters + p, slot);
    if (slot2.defined()) c.set(2 * parameters + p, slot2);
  }
  return {};
}

double number(const EvalContext& c, std::string_view name) {
  return static_cast<double>(c.attrs().number(name));
}

Status infer_three(InferContext& c) { return infer_optimizer(c, 3); }
Status infer_four(InferContext& c) { return infer_optimizer(c, 4); }

Status infer_momentum(InferContext& c) {
  TRY(expect_choice(c, "mode", {"standard", "nesterov"}));
  return infer_optimizer(c, 3);
}

Status eval_adagrad(EvalContext& c) {
  double step = static_cast<double>(c.tensor(1).int_at(0));
  double rate = c.tensor(0).double_at(0) / (1 + step * number(c, "decay_factor"));
  double norm = number(c, "norm_coefficient"), epsilon = number(c, "epsilon");
  return eval_optimizer(c, 3, [=](Element& e) {
    double g = norm * e.x + e.g;
    e.slot += g * g;
    e.x -= rate * g / (std::sqrt(e.slot) + epsilon);
  });
}

Status eval_adam(EvalContext& c) {
  double alpha = number(c, "alpha"), beta = number(c, "beta"), epsilon = number(c, "epsilon");
  double norm = number(c, "norm_coefficient"), norm_post = number(c, "norm_coefficient_post");
  double rate = c.tensor(0).double_at(0), step = static_cast<double>(c.tensor(1).int_at(0));
  if (step > 0) rate *= std::sqrt(1 - std::pow(beta, step)) / (1 - std::pow(alpha, step));
  return eval_optimizer(c, 4, [=](Element& e) {
    double g = norm * e.x + e.g;
    e.slot = alpha * e.slot + (1 - alpha) * g;
    e.slot2 = beta * e.slot2 + (1 - beta) * g * g;
    e.x = (1 - norm_post) * (e.x - rate * e.slot / (std::sqrt(e.slot2) + epsilon));
  });
}

Status eval_momentum(EvalContext& c) {
  double alpha = number(c, "alpha"), norm = number(c, "norm_coefficient"), rate = c.tensor(0).double_at(0);
  double beta = c.tensor(1).int_at(0) > 0 ? number(c, "beta") : 1;
  bool nesterov = c.attrs().text("mode") == "nesterov";
  return eval_optimizer(c, 3, [=](Element& e) {
    double g = norm * e.x + e.g;
    e.slot = alpha * e.slot + beta * g;
    e.x -= rate * (nesterov ? g + alpha * e.slot : e.slot);
  });
}

constexpr StructuredOp optimizer(std::span<const AttrDef> attrs, InferFn infer, EvalFn eval) {
  return {.inputs = {3, kVariadic},
          .outputs = {1, kVariadic},
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .no_gradient = "a gradient does not pass an optimizer's step"};
}

}  // namespace

constinit const StructuredOp ops::Adagrad = optimizer(kAdagradAttrs, infer_three, eval_adagrad);
constinit const StructuredOp ops::Adam = optimizer(kAdamAttrs, infer_four, eval_adam);
constinit const StructuredOp ops::Momentum = optimizer(kMomentumAttrs, infer_momentum, eval_momentum);

}  // namespace gannet
