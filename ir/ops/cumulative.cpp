#include <type_traits>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kCumulativeAttrs[] = {int_attr("exclusive", 0), int_attr("reverse", 0)};

Status infer_cumulative(InferContext& c) {
  TRY(expect_tensors(c, 2));
  DType t = c.dtype(0);
  bool number = is_float(t) || t == DType::kI32 || t == DType::kI64 || t == DType::kU32 || t == DType::kU64;
  if (!number && t != DType::kUndefined)
    return invalid_model(fmt::format("input 0 (x) cannot be {}", name_of(t)));
  TRY(expect_index(c, 1, "axis"));
  TRY(expect_single(c, 1, "axis"));
  auto axis = c.ints(1);
  if (axis && axis->size() == 1 && c.shape(0)) TRY(normalize_axis((*axis)[0], c.type(0).rank()));
  c.set(0, c.type(0));
  return {};
}

// Steps through each line along the axis; y holds the total up to each element, without it when exclusive.
template <class A, class T, class Step>
void accumulate(std::span<const T> x, std::span<T> y, const AxisView& view, const Attributes& attrs,
                A identity, Step step) {
  bool exclusive = attrs.integer("exclusive") != 0, reverse = attrs.integer("reverse") != 0;
  int64_t stride = reverse ? -view.inner : view.inner;
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t i = 0; i < view.inner; ++i) {
      int64_t at = (o * view.length + (reverse ? view.length - 1 : 0)) * view.inner + i;
      A total = identity;
      for (int64_t k = 0; k < view.length; ++k, at += stride) {
        A next = step(total, static_cast<A>(x[static_cast<size_t>(at)]));
        y[static_cast<size_t>(at)] = static_cast<T>(exclusive ? total : next);
        total = next;
      }
    }
  }
}

template <bool product>
Status eval_cumulative(EvalContext& c) {
  const Tensor& operand = c.tensor(0);
  AxisView view = view_axis(operand.extents(), TRY(normalize_axis(c.tensor(1).int_at(0), operand.rank())));
  Tensor x = is_float(operand.dtype()) ? TRY(widened(operand)) : operand;
  Tensor y = TRY(c.allocate(x.dtype(), x.extents()));
  auto run = [&]<class T>(Tag<T>) {
    using A = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    auto step = [](A a, A b) { return product ? a * b : a + b; };
    accumulate<A>(x.data<T>(), y.mutable_data<T>(), view, c.attrs(), A(product ? 1 : 0), step);
  };
  if (x.elements() > 0) {
    switch (x.dtype()) {
      case DType::kF32:
        run(Tag<float>{});
        break;
      case DType::kF64:
        run(Tag<double>{});
        break;
      case DType::kI32:
        run(Tag<int32_t>{});
        break;
      case DType::kI64:
        run(Tag<int64_t>{});
        break;
      case DType::kU32:
        run(Tag<uint32_t>{});
        break;
      case DType::kU64:
        run(Tag<uint64_t>{});
        break;
      default:
        CHECK(false, "cumulative total of {}", name_of(x.dtype()));
    }
  }
  c.set(TRY(as_dtype(y, operand.dtype())));
  return {};
}

// Each element counts in the totals on its other side: the same sum, in the other direction.
Status cumsum_vjp(VjpContext& c) {
  int64_t reverse = c.attrs().integer("reverse") != 0 ? 0 : 1;
  c.set(0, c.b.op("CumSum", {c.gradient(), c.operand(1)},
                  {{"exclusive", c.attrs().integer("exclusive")}, {"reverse", reverse}}));
  return c.b.status();
}

Status decompose_mean(DecomposeContext& c) {
  std::vector<Value*> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) operands.push_back(c.operand(i));
  Value* count = c.b.number(static_cast<double>(operands.size()), operands[0]);
  c.set(0, c.b.div(c.b.op("Sum", std::move(operands)), count));
  return {};
}

}  // namespace

constinit const StructuredOp ops::CumSum = {.inputs = {2, 2},
                                            .outputs = {1, 1},
                                            .attrs = kCumulativeAttrs,
                                            .infer = infer_cumulative,
                                            .eval = eval_cumulative<false>,
                                            .vjp = cumsum_vjp};
constinit const StructuredOp ops::CumProd = {.inputs = {2, 2},
                                             .outputs = {1, 1},
                                             .attrs = kCumulativeAttrs,
                                             .infer = infer_cumulative,
                                             .eval = eval_cumulative<true>,
                                             .vjp = missing_gradient};
constinit const StructuredOp ops::Mean = {
    .inputs = {1, kVariadic}, .outputs = {1, 1}, .attrs = {}, .decompose = decompose_mean};

}  // namespace gannet
