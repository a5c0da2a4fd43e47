// Ops that repeat elements, and the adjoint of repeating: Expand, Tile, SumTo.
#include <fmt/format.h>

#include <algorithm>
#include <complex>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

Status check_extents(std::span<const Dim> shape) {
  for (const Dim& dim : shape) {
    if (dim.is_constant() && dim.constant() < 0) {
      return invalid_model(fmt::format("shape {} has the negative extent {}", to_string(shape), dim.constant()));
    }
  }
  return {};
}

Status infer_expand(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "shape"));
  TRY(expect_list(c, 1, "shape"));
  const Shape* x = c.shape(0);
  const std::optional<std::vector<Dim>> wanted = short_contents(c, 1);
  if (!x || !wanted) {
    const std::optional<int64_t> length = list_length(c, 1);
    std::optional<Shape> shape;
    if (x && length && *length <= kMaxContents) shape = fresh_shape(c, std::max(static_cast<int64_t>(x->size()), *length), "expanded");
    c.set_tensor(0, c.dtype(0), std::move(shape));
    return {};
  }
  TRY(check_extents(*wanted));
  Shape shape = TRY(broadcast_shapes(*x, *wanted));
  if (shape.size() <= 1) {
    const std::optional<std::vector<Dim>> contents = short_contents(c, 0);
    const bool known = shape.empty() || (shape[0].is_constant() && shape[0].constant() <= kMaxContents);
    if (contents && known) {
      const size_t count = shape.empty() ? 1 : static_cast<size_t>(shape[0].constant());
      c.set_contents(0, contents->size() == count ? *contents : std::vector<Dim>(count, contents->front()));
    }
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// Strides that walk `x` broadcast to `extents`.
std::vector<int64_t> broadcast_strides(const std::vector<int64_t>& x, const std::vector<int64_t>& extents) {
  const std::vector<int64_t> dense = row_major_strides(x);
  std::vector<int64_t> strides(extents.size(), 0);
  const size_t added = extents.size() - x.size();
  for (size_t i = 0; i < x.size(); ++i) strides[added + i] = x[i] == 1 ? 0 : dense[i];
  return strides;
}

Status eval_expand(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    copy_strided(x, y, {y.extents(), broadcast_strides(x.extents(), y.extents()), row_major_strides(y.extents()), 0, 0});
  }
  c.set(std::move(y));
  return {};
}

Status expand_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.sum_to_like(c.gradient(), c.operand(0)));
  return {};
}

Status infer_sum_to(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "shape"));
  TRY(expect_list(c, 1, "shape"));
  if (c.dtype(0) == DType::kString || c.dtype(0) == DType::kBool) return invalid_model("input 0 must be numbers");
  const std::optional<std::vector<Dim>> wanted = short_contents(c, 1);
  if (!wanted) {
    const std::optional<int64_t> length = list_length(c, 1);
    c.set_tensor(0, c.dtype(0), length && *length <= kMaxContents ? std::optional(fresh_shape(c, *length, "summed")) : std::nullopt);
    return {};
  }
  TRY(check_extents(*wanted));
  if (const Shape* x = c.shape(0)) {
    bool fits = wanted->size() <= x->size();
    for (size_t i = 0; fits && i < wanted->size(); ++i) {
      const Dim& from = (*x)[x->size() - wanted->size() + i];
      const Dim& to = (*wanted)[i];
      fits = to.is_constant(1) || !to.is_constant() || !from.is_constant() || from == to;
    }
    if (!fits) {
      return invalid_model(fmt::format("{} does not broadcast to {}", to_string(std::span<const Dim>(*wanted)), to_string(c.type(0))));
    }
  }
  c.set_tensor(0, c.dtype(0), *wanted);
  return {};
}

// What a sum over elements of type T is accumulated in.
template <class T>
auto accumulator() {
  if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) return std::complex<double>();
  else if constexpr (is_int(dtype_of<T>()) || std::is_same_v<T, NarrowInt<4, true>> || std::is_same_v<T, NarrowInt<4, false>> ||
                     std::is_same_v<T, NarrowInt<2, true>> || std::is_same_v<T, NarrowInt<2, false>>) return uint64_t();
  else return double();
}

template <class Wide, class T>
Wide widened_element(const T& value) {
  if constexpr (std::is_same_v<Wide, std::complex<double>>) return Wide(value.real(), value.imag());
  else if constexpr (std::is_same_v<Wide, uint64_t>) return static_cast<uint64_t>(static_cast<int64_t>(value));
  else if constexpr (std::is_arithmetic_v<T>) return static_cast<double>(value);
  else return static_cast<double>(static_cast<float>(value));
}

template <class T, class Wide>
T narrowed_element(Wide value) {
  if constexpr (std::is_same_v<Wide, std::complex<double>>) {
    return T(static_cast<typename T::value_type>(value.real()), static_cast<typename T::value_type>(value.imag()));
  } else if constexpr (std::is_same_v<Wide, uint64_t>) {
    return T(static_cast<int64_t>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(value);
  } else {
    return T(double_to_float_odd(value));
  }
}

template <class T>
void sum_into(const Tensor& x, Tensor& y) {
  using Wide = decltype(accumulator<T>());
  const std::vector<int64_t> strides = broadcast_strides(y.extents(), x.extents());
  std::vector<Wide> sums(static_cast<size_t>(y.elements()), Wide());
  std::vector<int64_t> position(x.extents().size(), 0);
  const std::span<const T> values = x.data<T>();
  const size_t rank = position.size();
  const int64_t run = rank ? x.extents()[rank - 1] : 1, stride = rank ? strides[rank - 1] : 0;
  int64_t target = 0;
  for (int64_t first = 0; first < x.elements(); first += run) {
    for (int64_t i = 0; i < run; ++i) {
      sums[static_cast<size_t>(target + i * stride)] += widened_element<Wide>(values[static_cast<size_t>(first + i)]);
    }
    for (size_t axis = rank; axis-- > 1;) {
      target += strides[axis - 1];
      if (++position[axis - 1] < x.extents()[axis - 1]) break;
      target -= strides[axis - 1] * x.extents()[axis - 1];
      position[axis - 1] = 0;
    }
  }
  const std::span<T> result = y.mutable_data<T>();
  for (size_t i = 0; i < sums.size(); ++i) result[i] = narrowed_element<T>(sums[i]);
}

Status eval_sum_to(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, bool>) sum_into<T>(x, y);
  });
  c.set(std::move(y));
  return {};
}

Status sum_to_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.expand_like(c.gradient(), c.operand(0)));
  return {};
}

Status infer_tile(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "repeats"));
  TRY(expect_list(c, 1, "repeats"));
  const Shape* x = c.shape(0);
  const std::optional<int64_t> length = list_length(c, 1);
  if (x && length && *length != static_cast<int64_t>(x->size())) {
    return invalid_model(fmt::format("repeats has {} elements for an input of rank {}", *length, x->size()));
  }
  const std::optional<std::vector<Dim>> repeats = short_contents(c, 1);
  if (!repeats || !x) {
    const std::optional<int64_t> rank = x ? static_cast<int64_t>(x->size()) : length;
    c.set_tensor(0, c.dtype(0), rank && *rank <= kMaxContents ? std::optional(fresh_shape(c, *rank, "tiled")) : std::nullopt);
    return {};
  }
  Shape shape = *x;
  for (size_t i = 0; i < shape.size(); ++i) {
    const Dim& times = (*repeats)[i];
    if (times.is_constant() && times.constant() < 0) return invalid_model(fmt::format("repeats has the negative count {}", times.constant()));
    shape[i] = shape[i] * times;
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_tile(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() == 0) {
    c.set(std::move(y));
    return {};
  }
  const std::vector<int64_t> dense = row_major_strides(x.extents());
  StridedWalk walk;
  for (size_t i = 0; i < dense.size(); ++i) {
    walk.extents.insert(walk.extents.end(), {y.extents()[i] / x.extents()[i], x.extents()[i]});
    walk.source_strides.insert(walk.source_strides.end(), {0, dense[i]});
  }
  walk.target_strides = row_major_strides(walk.extents);
  copy_strided(x, y, walk);
  c.set(std::move(y));
  return {};
}

// Splits every axis into (repeat, element) and sums over the repeats.
Status tile_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape x = TRY(known_shape(c.operand(0), "the input"));
  const std::optional<std::vector<Dim>> repeats = dims_of(c.operand(1));
  if (!repeats) return unsupported("the gradient needs repeats, which are not known");
  Shape split;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < x.size(); ++i) {
    axes.push_back(static_cast<int64_t>(split.size()));
    split.insert(split.end(), {(*repeats)[i], x[i]});
  }
  c.set(0, c.b.reduce_sum(c.b.reshape(c.gradient(), split), axes, false));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Expand = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_expand, .eval = eval_expand};
constinit const GradientRule gradients::Expand = {.vjp = expand_vjp};
constinit const StructuredOp ops::SumTo = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_sum_to, .eval = eval_sum_to};
constinit const GradientRule gradients::SumTo = {.vjp = sum_to_vjp};
constinit const StructuredOp ops::Tile = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_tile, .eval = eval_tile};
constinit const GradientRule gradients::Tile = {.vjp = tile_vjp};

}  // namespace gannet
