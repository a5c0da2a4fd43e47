// Ops that make tensors from nothing but parameters: Constant, ConstantOfShape, Range, EyeLike.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kConstantAttrs[] = {required_attr("value", AttrKind::kTensor)};
constexpr AttrDef kFillAttrs[] = {optional_attr("value", AttrKind::kTensor)};
constexpr AttrDef kRangeAttrs[] = {int_attr("stash_type", 1)};
constexpr AttrDef kEyeAttrs[] = {optional_attr("dtype", AttrKind::kDType), int_attr("k", 0)};

Status infer_constant(InferContext& c) {
  const Tensor& value = c.attrs().tensor("value");
  if (!value.defined()) return invalid_model("attribute 'value' holds no tensor");
  c.set_tensor(0, value.dtype(), to_shape(value.extents()));
  if (is_int(value.dtype()) && value.rank() <= 1 && value.elements() <= kMaxContents) c.set_contents(0, to_shape(value.ints()));
  return {};
}

Status eval_constant(EvalContext& c) {
  c.set(c.attrs().tensor("value"));
  return {};
}

// What ConstantOfShape fills with.
Tensor fill_value(const Attributes& attrs) {
  return attrs.has("value") ? attrs.tensor("value") : Tensor::scalar<float>(0);
}

Status infer_constant_of_shape(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_dtype(c, 0, DType::kI64, "shape"));
  TRY(expect_list(c, 0, "shape"));
  const Tensor value = fill_value(c.attrs());
  if (value.elements() != 1) return invalid_model(fmt::format("value must have one element, got {}", value.elements()));
  const std::optional<std::vector<Dim>> shape = short_contents(c, 0);
  if (!shape) {
    const std::optional<int64_t> rank = list_length(c, 0);
    c.set_tensor(0, value.dtype(), rank && *rank <= kMaxContents ? std::optional(fresh_shape(c, *rank, "filled")) : std::nullopt);
    return {};
  }
  for (const Dim& dim : *shape) {
    if (dim.is_constant() && dim.constant() < 0) return invalid_model(fmt::format("shape has the negative extent {}", dim.constant()));
  }
  if (is_int(value.dtype()) && shape->size() <= 1) {
    const Dim count = shape->empty() ? Dim(1) : shape->front();
    if (count.is_constant() && count.constant() <= kMaxContents) {
      c.set_contents(0, std::vector<Dim>(static_cast<size_t>(count.constant()), Dim(value.int_at(0))));
    }
  }
  c.set_tensor(0, value.dtype(), *shape);
  return {};
}

Status eval_constant_of_shape(EvalContext& c) {
  Tensor y = TRY(allocate_inferred(c));
  fill_with(y, fill_value(c.attrs()));
  c.set(std::move(y));
  return {};
}

// Steps from `start` to before `limit`; exact for integers.
Result<int64_t> range_length(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  if (is_int(start.dtype())) {
    const __int128 first = start.int_at(0), end = limit.int_at(0), step = delta.int_at(0);
    if (step == 0) return invalid_input("delta is 0");
    const __int128 span = step > 0 ? end - first : first - end, size = step > 0 ? step : -step;
    const __int128 count = span <= 0 ? 0 : (span + size - 1) / size;
    return static_cast<int64_t>(std::min<__int128>(count, int64_t{1} << 62));
  }
  const double first = start.double_at(0), end = limit.double_at(0), step = delta.double_at(0);
  if (step == 0) return invalid_input("delta is 0");
  const double count = std::ceil((end - first) / step);
  if (std::isnan(count) || count > 0x1p62) return invalid_input(fmt::format("a range from {} to {} by {} does not end", first, end, step));
  return count > 0 ? static_cast<int64_t>(count) : 0;
}

// The length of an integer range with symbolic ends; nothing where the step is not known.
std::optional<Dim> symbolic_range_length(const InferContext& c) {
  const std::optional<std::vector<Dim>> start = short_contents(c, 0), limit = short_contents(c, 1);
  const std::optional<std::vector<int64_t>> step = known_ints(c, 2);
  if (!start || !limit || !step || start->size() != 1 || limit->size() != 1 || step->size() != 1) return std::nullopt;
  const int64_t delta = (*step)[0];
  if (delta == 0 || delta == std::numeric_limits<int64_t>::min()) return std::nullopt;
  const Dim span = delta > 0 ? (*limit)[0] - (*start)[0] : (*start)[0] - (*limit)[0];
  const Dim count = ceildiv(span, Dim(delta > 0 ? delta : -delta));
  return count.lower_bound().value_or(-1) >= 0 ? count : max(count, Dim(0));
}

Status infer_range(InferContext& c) {
  static constexpr std::string_view kRoles[] = {"start", "limit", "delta"};
  TRY(expect_tensors(c, 3));
  for (size_t i = 0; i < 3; ++i) {
    TRY(expect_single(c, i, kRoles[i]));
    TRY(expect_same_dtype(c, 0, i));
  }
  const DType dtype = c.dtype(0);
  const bool number = (is_int(dtype) && element_bits(dtype) >= 8) || is_float(dtype);
  if (dtype != DType::kUndefined && !number) return invalid_model(fmt::format("a range of {} does not exist", name_of(dtype)));
  const Tensor *start = c.constant(0), *limit = c.constant(1), *delta = c.constant(2);
  std::optional<Dim> length;
  if (start && limit && delta) {
    if (start->elements() != 1 || limit->elements() != 1 || delta->elements() != 1) return invalid_model("start, limit and delta must have one element each");
    length = Dim(TRY(range_length(*start, *limit, *delta)));
  } else {
    length = symbolic_range_length(c);
  }
  if (length && length->is_constant() && length->constant() <= kMaxContents) {
    const std::optional<std::vector<Dim>> first = short_contents(c, 0), step = short_contents(c, 2);
    if (first && step && first->size() == 1 && step->size() == 1) {
      std::vector<Dim> contents;
      for (int64_t i = 0; i < length->constant(); ++i) contents.push_back((*first)[0] + (*step)[0] * i);
      c.set_contents(0, std::move(contents));
    }
  }
  c.set_tensor(0, dtype, Shape{length ? *length : c.fresh("range")});
  return {};
}

Status eval_range(EvalContext& c) {
  Tensor y = TRY(allocate_inferred(c));
  visit_dtype(y.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      uint64_t value = static_cast<uint64_t>(c.tensor(0).int_at(0));
      const uint64_t step = static_cast<uint64_t>(c.tensor(2).int_at(0));
      for (T& element : y.mutable_data<T>()) {
        element = static_cast<T>(value);
        value += step;
      }
    } else if constexpr (is_float(dtype_of<T>())) {
      using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
      const double first = c.tensor(0).double_at(0), step = c.tensor(2).double_at(0);
      int64_t i = 0;
      for (T& element : y.mutable_data<T>()) element = T(static_cast<Wide>(first + static_cast<double>(i++) * step));
    }
  });
  c.set(std::move(y));
  return {};
}

Status infer_eye_like(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_rank(c, 0, 2, "input"));
  const DType dtype = c.attrs().has("dtype") ? c.attrs().dtype("dtype") : c.dtype(0);
  if (dtype == DType::kString || is_complex(dtype)) return invalid_model(fmt::format("an identity matrix of {} does not exist", name_of(dtype)));
  c.set_tensor(0, dtype, c.shape(0) ? *c.shape(0) : fresh_shape(c, 2, "eye"));
  return {};
}

Status eval_eye_like(EvalContext& c) {
  Tensor y = TRY(allocate_inferred(c));
  fill_zero(y);
  const int64_t k = c.attrs().integer("k"), rows = y.extent(0), columns = y.extent(1);
  const Tensor one = Tensor::scalar_of(y.dtype(), 1);
  if (y.elements() > 0 && k > -rows && k < columns) {
    const int64_t first_row = std::max<int64_t>(0, -k), first_column = std::max<int64_t>(0, k);
    const int64_t count = std::min(rows - first_row, columns - first_column);
    copy_strided(one, y, {{count}, {0}, {columns + 1}, 0, first_row * columns + first_column});
  }
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Constant = {
    .inputs = {0, 0}, .outputs = {1, 1}, .attrs = kConstantAttrs, .infer = infer_constant, .eval = eval_constant, .no_gradient = "no operands"};
constinit const StructuredOp ops::ConstantOfShape = {.inputs = {1, 1}, .outputs = {1, 1}, .attrs = kFillAttrs,
    .infer = infer_constant_of_shape, .eval = eval_constant_of_shape, .no_gradient = "only the shape follows from the operand"};
constinit const StructuredOp ops::Range = {
    .inputs = {3, 3}, .outputs = {1, 1}, .attrs = kRangeAttrs, .infer = infer_range, .eval = eval_range, .no_gradient = "the number of elements jumps with the operands"};
constinit const StructuredOp ops::EyeLike = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kEyeAttrs, .infer = infer_eye_like, .eval = eval_eye_like, .no_gradient = "only the shape follows from the operand"};

}  // namespace gannet
