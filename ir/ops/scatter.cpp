// Ops that write elements by index: ScatterElements, ScatterND, TensorScatter. Updates apply in their order, so that
// duplicates are deterministic: the last one wins, or all are combined from the first to the last.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/scatter_gradients.h"

namespace gannet {
namespace {

constexpr AttrDef kElementsAttrs[] = {int_attr("axis", 0), string_attr("reduction", "none")};
constexpr AttrDef kNdAttrs[] = {string_attr("reduction", "none")};
constexpr AttrDef kCacheAttrs[] = {int_attr("axis", -2), string_attr("mode", "linear")};

template <class T>
constexpr bool is_complex_storage = std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;

Status check_reduction(const InferContext& c) {
  TRY(expect_choice(c, "reduction", {"none", "add", "mul", "min", "max"}));
  const std::string_view reduction = c.attrs().text("reduction");
  const bool ordered = reduction == "min" || reduction == "max";
  if (reduction != "none" && (c.dtype(0) == DType::kString || (ordered && is_complex(c.dtype(0))))) {
    return invalid_model(fmt::format("reduction {} is not defined for {}", reduction, name_of(c.dtype(0))));
  }
  return {};
}

// As the data: all scatter ops keep its type.
void set_like_data(InferContext& c) {
  std::optional<Shape> shape;
  if (c.shape(0)) shape = *c.shape(0);
  c.set_tensor(0, c.dtype(0), std::move(shape));
}

// The sum or product in T's own arithmetic: integers wrap, narrow floats go through f32, bools are or and and.
template <class T>
T added(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, bool>) return a || b;
  else if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else if constexpr (std::is_same_v<T, double> || is_complex_storage<T>) return a + b;
  else return T(static_cast<float>(a) + static_cast<float>(b));
}
template <class T>
T multiplied(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, bool>) return a && b;
  else if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else if constexpr (std::is_same_v<T, double> || is_complex_storage<T>) return a * b;
  else return T(static_cast<float>(a) * static_cast<float>(b));
}
// NaN wins.
template <class T>
T larger(const T& a, const T& b) {
  if constexpr (is_complex_storage<T>) return a;
  else return a > b || a != a ? a : b;
}
template <class T>
T smaller(const T& a, const T& b) {
  if constexpr (is_complex_storage<T>) return a;
  else return a < b || a != a ? a : b;
}

// Calls body(write), where write(to, from, count) combines updates [from, from + count) into the result at `to`.
template <class Body>
Status with_reduction(std::string_view reduction, const Tensor& updates, Tensor& y, Body&& body) {
  if (updates.elements() == 0) return {};
  if (reduction == "none") {
    const ElementMover mover(updates, y);
    return body([&](int64_t to, int64_t from, int64_t count) { mover.copy(to, from, count); });
  }
  return visit_dtype(y.dtype(), [&]<class T>(Tag<T>) -> Status {
    if constexpr (!std::is_same_v<T, std::string>) {
      T (*combine)(const T&, const T&) = reduction == "add"   ? added<T>
                                         : reduction == "mul" ? multiplied<T>
                                         : reduction == "max" ? larger<T>
                                                              : smaller<T>;
      const T* source = updates.data<T>().data();
      T* target = y.mutable_data<T>().data();
      return body([&](int64_t to, int64_t from, int64_t count) {
        for (int64_t i = 0; i < count; ++i) target[to + i] = combine(target[to + i], source[from + i]);
      });
    } else {
      return {};
    }
  });
}

Status infer_scatter_elements(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_index(c, 1, "indices"));
  TRY(expect_same_dtype(c, 0, 2));
  TRY(check_reduction(c));
  TRY(check_element_indices(c, c.attrs().integer("axis")));
  if (c.shape(1) && c.shape(2)) {
    Result<Shape> same = merge_shapes(*c.shape(1), *c.shape(2));
    if (!same.ok()) return with_prefix("indices and updates differ: ", same.error());
  }
  set_like_data(c);
  return {};
}

Status eval_scatter_elements(EvalContext& c) {
  const Tensor &indices = c.tensor(1), &updates = c.tensor(2);
  Tensor y = c.tensor(0);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), y.rank()));
  const std::vector<int64_t> extents = y.extents();
  TRY(with_reduction(c.attrs().text("reduction"), updates, y, [&](auto&& write) {
    return for_each_indexed(extents, indices, axis, [&](int64_t i, int64_t at) { write(at, i, 1); });
  }));
  c.set(std::move(y));
  return {};
}

Status infer_scatter_nd(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_dtype(c, 1, DType::kI64, "indices"));
  TRY(expect_same_dtype(c, 0, 2));
  TRY(check_reduction(c));
  set_like_data(c);
  const Shape *x = c.shape(0), *indices = c.shape(1), *updates = c.shape(2);
  if (indices && indices->empty()) return invalid_model("input 1 (indices) must have a rank of at least 1, got 0");
  if (!x || !indices || !indices->back().is_constant()) return {};
  const int64_t depth = indices->back().constant();
  if (depth > static_cast<int64_t>(x->size())) {
    return invalid_model(fmt::format("indices name {} axes, but the data has rank {}", depth, x->size()));
  }
  Shape expected(indices->begin(), indices->end() - 1);
  expected.insert(expected.end(), x->begin() + depth, x->end());
  if (updates) {
    Result<Shape> same = merge_shapes(expected, *updates);
    if (!same.ok()) return with_prefix("updates do not fit data and indices: ", same.error());
  }
  return {};
}

Status eval_scatter_nd(EvalContext& c) {
  const Tensor &indices = c.tensor(1), &updates = c.tensor(2);
  Tensor y = c.tensor(0);
  const TupleIndex tuple(y.extents(), 0, static_cast<size_t>(indices.extents().back()));
  TRY(with_reduction(c.attrs().text("reduction"), updates, y, [&](auto&& write) -> Status {
    const int64_t rows = updates.elements() / tuple.block;
    for (int64_t row = 0; row < rows; ++row) {
      write(TRY(tuple.locate(indices.data<int64_t>().data(), row)), row * tuple.block, tuple.block);
    }
    return {};
  }));
  c.set(std::move(y));
  return {};
}

Status infer_tensor_scatter(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_same_dtype(c, 0, 1));
  TRY(expect_choice(c, "mode", {"linear", "circular"}));
  if (c.has(2)) {
    TRY(expect_dtype(c, 2, DType::kI64, "write_indices"));
    TRY(expect_list(c, 2, "write_indices"));
  }
  set_like_data(c);
  const Shape *cache = c.shape(0), *update = c.shape(1);
  if (!cache) return {};
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(cache->size())));
  if (axis == 0) return invalid_model("axis 0 is the batch, which cannot be the sequence axis");
  if (c.has(2) && c.shape(2)) TRY(same_dim(cache->front(), c.shape(2)->front(), 0));
  if (!update) return {};
  TRY(expect_rank(c, 1, static_cast<int64_t>(cache->size()), "update"));
  for (size_t i = 0; i < cache->size(); ++i) {
    const Dim &have = (*cache)[i], &want = (*update)[i];
    if (static_cast<int64_t>(i) != axis) {
      TRY(same_dim(have, want, static_cast<int64_t>(i)));
    } else if (have.is_constant() && want.is_constant() && want.constant() > have.constant()) {
      return invalid_model(fmt::format("an update of {} positions does not fit a cache of {}", want.constant(), have.constant()));
    }
  }
  return {};
}

Status eval_tensor_scatter(EvalContext& c) {
  const Tensor& update = c.tensor(1);
  Tensor y = c.tensor(0);
  if (update.elements() == 0) {
    c.set(std::move(y));
    return {};
  }
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), y.rank()));
  const AxisSplit split(y.extents(), axis);
  const bool circular = c.attrs().text("mode") == "circular";
  const int64_t length = update.extent(axis), rows_per_sample = split.outer / y.extent(0);
  const ElementMover mover(update, y);
  for (int64_t outer = 0; outer < split.outer; ++outer) {
    int64_t first = c.has(2) ? c.tensor(2).int_at(outer / rows_per_sample) : 0;
    if (circular) first = ((first % split.extent) + split.extent) % split.extent;
    if (first < 0 || (!circular && first > split.extent - length)) {
      return invalid_input(fmt::format("{} positions from {} on do not fit a cache of {}", length, first, split.extent));
    }
    for (int64_t i = 0; i < length; ++i) {
      const int64_t at = (first + i) % split.extent;
      mover.copy((outer * split.extent + at) * split.inner, (outer * length + i) * split.inner, split.inner);
    }
  }
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::ScatterElements = {.inputs = {3, 3}, .outputs = {1, 1}, .attrs = kElementsAttrs,
    .infer = infer_scatter_elements, .eval = eval_scatter_elements};
constinit const GradientRule gradients::ScatterElements = {.vjp = scatter_elements_vjp};
constinit const StructuredOp ops::ScatterND = {
    .inputs = {3, 3}, .outputs = {1, 1}, .attrs = kNdAttrs, .infer = infer_scatter_nd, .eval = eval_scatter_nd};
constinit const GradientRule gradients::ScatterND = {.vjp = scatter_nd_vjp};
constinit const StructuredOp ops::TensorScatter = {.inputs = {2, 3}, .outputs = {1, 1}, .attrs = kCacheAttrs,
    .infer = infer_tensor_scatter, .eval = eval_tensor_scatter};
constinit const GradientRule gradients::TensorScatter = {.vjp = tensor_scatter_vjp};

}  // namespace gannet
