#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <numeric>

#include "ir/ops/concat.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kUniqueAttrs[] = {optional_attr("axis", AttrKind::kInt), int_attr("sorted", 1)};

Status infer_unique(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const Dim count = c.fresh("unique");
  const Shape* x = c.shape(0);
  std::optional<Shape> shape;
  Dim inverse;
  if (!c.attrs().has("axis")) {
    shape = Shape{count};
    inverse = x ? element_count(*x) : c.fresh("elements");
  } else if (x) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
    shape = *x;
    inverse = (*x)[static_cast<size_t>(axis)];
    (*shape)[static_cast<size_t>(axis)] = count;
  } else {
    inverse = c.fresh("elements");
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  c.set_tensor(1, DType::kI64, Shape{count});
  c.set_tensor(2, DType::kI64, Shape{inverse});
  c.set_tensor(3, DType::kI64, Shape{count});
  return {};
}

// A total order of elements; NaN equals NaN and comes last.
template <class T>
int compare_elements(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, std::string>) {
    return a.compare(b);
  } else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
    const int real = compare_elements(a.real(), b.real());
    return real ? real : compare_elements(a.imag(), b.imag());
  } else if constexpr (std::is_arithmetic_v<T>) {
    const bool a_nan = a != a, b_nan = b != b;
    if (a_nan || b_nan) return static_cast<int>(a_nan) - static_cast<int>(b_nan);
    return a < b ? -1 : a > b;
  } else {
    return compare_elements(static_cast<float>(a), static_cast<float>(b));
  }
}

// Compares slices i and j of a row-major tensor along the axis that `split` describes.
template <class T>
int compare_slices(const Tensor& x, const AxisSplit& split, int64_t i, int64_t j) {
  const T* values = static_cast<const T*>(x.raw());
  for (int64_t outer = 0; outer < split.outer; ++outer) {
    const T* base = values + outer * split.extent * split.inner;
    for (int64_t k = 0; k < split.inner; ++k) {
      const int order = compare_elements(base[i * split.inner + k], base[j * split.inner + k]);
      if (order) return order;
    }
  }
  return 0;
}

struct Groups {
  std::vector<int64_t> first;    // of each group, the first slice that belongs to it
  std::vector<int64_t> count;
  std::vector<int64_t> inverse;  // the group of each slice
};

// Sorting is compiled once for all types of elements.
using CompareFn = int (*)(const Tensor& x, const AxisSplit& split, int64_t i, int64_t j);

// Equal slices grouped; groups in the order of their values, or of their first slices.
Groups group_slices(const Tensor& x, CompareFn compare, const AxisSplit& split, bool sorted) {
  std::vector<int64_t> order(static_cast<size_t>(split.extent));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t i, int64_t j) { return compare(x, split, i, j) < 0; });
  Groups groups;
  groups.inverse.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(x, split, order[i - 1], order[i]) != 0) {
      groups.first.push_back(order[i]);
      groups.count.push_back(0);
    }
    ++groups.count.back();
    groups.inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(groups.first.size()) - 1;
  }
  if (sorted) return groups;
  std::vector<size_t> by_first(groups.first.size());
  std::iota(by_first.begin(), by_first.end(), 0);
  std::ranges::sort(by_first, {}, [&](size_t group) { return groups.first[group]; });
  Groups result;
  std::vector<int64_t> renamed(by_first.size());
  for (size_t i = 0; i < by_first.size(); ++i) {
    result.first.push_back(groups.first[by_first[i]]);
    result.count.push_back(groups.count[by_first[i]]);
    renamed[by_first[i]] = static_cast<int64_t>(i);
  }
  for (int64_t group : groups.inverse) result.inverse.push_back(renamed[static_cast<size_t>(group)]);
  return result;
}

Status eval_unique(EvalContext& c) {
  const bool flat = !c.attrs().has("axis");
  const Tensor x = flat ? c.tensor(0).reshaped({c.tensor(0).elements()}) : c.tensor(0);
  const int64_t axis = flat ? 0 : TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  AxisSplit split(x.extents(), axis);
  // Beside an extent of 0 the others may be of any length; slices without elements are all equal.
  if (x.elements() == 0) split.outer = 0;
  constexpr int64_t kMostSlices = int64_t{1} << 24;
  if (x.elements() == 0 && split.extent > kMostSlices) return unsupported(fmt::format("unique slices of {}", type_string(x)));
  const bool sorted = c.attrs().integer("sorted") != 0;
  const CompareFn compare = visit_dtype(x.dtype(), []<class T>(Tag<T>) -> CompareFn { return compare_slices<T>; });
  const Groups groups = group_slices(x, compare, split, sorted);
  std::vector<int64_t> extents = x.extents();
  extents[static_cast<size_t>(axis)] = static_cast<int64_t>(groups.first.size());
  Tensor y = TRY(c.allocate(x.dtype(), extents));
  if (y.elements() > 0) {
    const ElementMover mover(x, y);
    int64_t written = 0;
    for (int64_t outer = 0; outer < split.outer; ++outer) {
      for (int64_t slice : groups.first) {
        mover.copy(written, (outer * split.extent + slice) * split.inner, split.inner);
        written += split.inner;
      }
    }
  }
  c.set(0, std::move(y));
  c.set(1, Tensor::of_ints(groups.first));
  c.set(2, Tensor::of_ints(groups.inverse));
  c.set(3, Tensor::of_ints(groups.count));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Unique = {
    .inputs = {1, 1}, .outputs = {1, 4}, .attrs = kUniqueAttrs, .infer = infer_unique, .eval = eval_unique, .no_gradient = "the number of elements jumps where two become equal"};

}  // namespace gannet
