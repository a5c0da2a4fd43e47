#include "ir/ops/concat.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/base/checked.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kConcatAttrs[] = {required_attr("axis", AttrKind::kInt)};
constexpr AttrDef kSplitAttrs[] = {int_attr("axis", 0), optional_attr("num_outputs", AttrKind::kInt)};

// Contents of all operands in a row, where all are known lists.
void join_contents(InferContext& c) {
  std::vector<Dim> joined;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    const std::optional<std::vector<Dim>> part = short_contents(c, i);
    if (!part || joined.size() + part->size() > static_cast<size_t>(kMaxContents)) return;
    joined.insert(joined.end(), part->begin(), part->end());
  }
  c.set_contents(0, std::move(joined));
}

// Adds operand `x` to the shape joined so far.
Status join_shape(Shape& joined, const Shape& x, size_t axis, size_t operand) {
  if (x.size() != joined.size()) {
    return invalid_model(fmt::format("input {} has rank {}, input 0 has rank {}", operand, x.size(), joined.size()));
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (i == axis) {
      joined[i] = joined[i] + x[i];
      continue;
    }
    Result<Dim> dim = same_dim(joined[i], x[i], static_cast<int64_t>(i));
    if (!dim.ok()) return with_prefix(fmt::format("input {}: ", operand), dim.error());
    joined[i] = *dim;
  }
  return {};
}

Status infer_concat(InferContext& c) {
  TRY(expect_tensors(c, c.operand_count()));
  const Shape* known = nullptr;
  bool all_known = true;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    TRY(expect_same_dtype(c, 0, i));
    if (!known) known = c.shape(i);
    all_known &= c.shape(i) != nullptr;
  }
  if (!known) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(known->size())));
  Shape joined = *known;
  joined[static_cast<size_t>(axis)] = Dim(0);
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (c.shape(i)) TRY(join_shape(joined, *c.shape(i), static_cast<size_t>(axis), i));
  }
  if (!all_known) joined[static_cast<size_t>(axis)] = c.fresh("joined");
  if (joined.size() == 1) join_contents(c);
  c.set_tensor(0, c.dtype(0), std::move(joined));
  return {};
}

Status eval_concat(EvalContext& c) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < c.operand_count(); ++i) parts.push_back(c.tensor(i));
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), parts[0].rank()));
  c.set(TRY(concat_tensors(c, parts, axis)));
  return {};
}

// Gives each operand its stretch of the gradient.
Status concat_vjp(VjpContext& c) {
  const Shape y = TRY(known_shape(c.output(), "the result"));
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(y.size())));
  std::vector<Dim> extents;
  for (const Value* x : c.node().inputs()) extents.push_back(TRY(known_shape(x, "the inputs"))[static_cast<size_t>(axis)]);
  const std::vector<Value*> parts =
      c.b.op_n("Split", {c.gradient(), c.b.dims(extents)}, {{"axis", axis}}, c.node().inputs().size());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (c.wants(i)) c.set(i, parts[i]);
  }
  return {};
}

// Extents of the parts that Split makes of an axis.
Result<std::vector<Dim>> split_extents(InferContext& c, const Dim& extent) {
  const int64_t count = static_cast<int64_t>(c.output_count());
  if (count == 0) return std::vector<Dim>();
  if (c.has(1)) {
    const std::optional<int64_t> length = list_length(c, 1);
    if (length && *length != count) return invalid_model(fmt::format("split has {} extents for {} outputs", *length, count));
    const std::optional<std::vector<Dim>> given = short_contents(c, 1);
    if (!given) return fresh_shape(c, count, "part");
    Dim sum = 0;
    for (const Dim& part : *given) {
      if (part.is_constant() && part.constant() < 0) return invalid_model(fmt::format("split has the negative extent {}", part.constant()));
      sum = sum + part;
    }
    // A sum of integers that is none has overflowed.
    const bool known = is_static(*given) || sum.is_constant();
    if (known && extent.is_constant() && sum != extent) {
      return invalid_model(fmt::format("split sums to {}, but the axis has extent {}", sum.to_string(), extent.constant()));
    }
    return *given;
  }
  if (c.attrs().has("num_outputs") && c.attrs().integer("num_outputs") != count) {
    return invalid_model(fmt::format("num_outputs is {}, but there are {} outputs", c.attrs().integer("num_outputs"), count));
  }
  const Dim chunk = ceildiv(extent, count);
  std::vector<Dim> parts;
  for (int64_t i = 0; i < count; ++i) {
    // Earlier parts are full unless the axis has fewer elements than rounding up to equal parts takes.
    const Dim rest = extent - chunk * i;
    if (rest.is_constant()) parts.push_back(max(min(rest, chunk), Dim(0)));
    else parts.push_back(i + 1 < count ? chunk : rest);
  }
  return parts;
}

Status infer_split(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (c.has(1)) {
    TRY(expect_dtype(c, 1, DType::kI64, "split"));
    TRY(expect_list(c, 1, "split"));
  }
  const Shape* x = c.shape(0);
  if (!x) {
    for (size_t i = 0; i < c.output_count(); ++i) c.set_tensor(i, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
  const std::vector<Dim> parts = TRY(split_extents(c, (*x)[static_cast<size_t>(axis)]));
  const std::optional<std::vector<Dim>> contents = x->size() == 1 ? short_contents(c, 0) : std::nullopt;
  size_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    Shape shape = *x;
    shape[static_cast<size_t>(axis)] = parts[i];
    c.set_tensor(i, c.dtype(0), std::move(shape));
    if (!contents || !is_static(parts)) continue;
    const auto count = static_cast<size_t>(parts[i].constant());
    if (first + count > contents->size()) continue;
    c.set_contents(i, {contents->begin() + static_cast<ptrdiff_t>(first), contents->begin() + static_cast<ptrdiff_t>(first + count)});
    first += count;
  }
  return {};
}

Status eval_split(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  int64_t first = 0;
  for (size_t i = 0; i < c.output_count(); ++i) {
    const int64_t count = TRY(inferred_extents(c, i))[static_cast<size_t>(axis)];
    c.set(i, TRY(take_along(c, x, axis, first, count)));
    first += count;
  }
  return {};
}

// Joins the gradients of the parts; parts that nothing depends on give zeros.
Status split_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  std::vector<Value*> parts;
  for (size_t i = 0; i < c.node().outputs().size(); ++i) {
    Value* gradient = c.gradient(i);
    if (!gradient) {
      if (!c.output(i)) return unsupported("a part of the split that is not wanted has no known shape");
      gradient = c.b.full(TRY(known_shape(c.output(i), "the parts")), c.operand(0)->type.dtype, 0);
    }
    parts.push_back(gradient);
  }
  c.set(0, c.b.concat(std::move(parts), c.attrs().integer("axis")));
  return {};
}

}  // namespace

Result<Tensor> concat_tensors(EvalContext& c, std::span<const Tensor> parts, int64_t axis) {
  std::vector<int64_t> extents = parts[0].extents();
  int64_t& total = extents[static_cast<size_t>(axis)];
  total = 0;
  for (const Tensor& part : parts) {
    std::vector<int64_t> expected = part.extents();
    if (part.dtype() != parts[0].dtype() || part.rank() != parts[0].rank()) {
      return invalid_input(fmt::format("cannot join {} and {}", type_string(parts[0]), type_string(part)));
    }
    expected[static_cast<size_t>(axis)] = parts[0].extent(axis);
    if (expected != parts[0].extents()) {
      return invalid_input(fmt::format("cannot join {} and {} along axis {}", type_string(parts[0]), type_string(part), axis));
    }
    const std::optional<int64_t> sum = checked_add(total, part.extent(axis));
    if (!sum) return unsupported("the extent of the joined axis overflows");
    total = *sum;
  }
  Tensor result = TRY(c.allocate(parts[0].dtype(), extents));
  if (result.elements() == 0) return result;
  int64_t outer = 1, inner = 1, first = 0;
  for (int64_t i = 0; i < axis; ++i) outer *= parts[0].extent(i);
  for (int64_t i = axis + 1; i < parts[0].rank(); ++i) inner *= parts[0].extent(i);
  for (const Tensor& part : parts) {
    const int64_t run = part.extent(axis) * inner;
    copy_strided(part, result, {{outer, run}, {run, 1}, {total * inner, 1}, 0, first});
    first += run;
  }
  return result;
}

Result<Tensor> take_along(EvalContext& c, const Tensor& x, int64_t axis, int64_t first, int64_t count) {
  std::vector<int64_t> extents = x.extents();
  extents[static_cast<size_t>(axis)] = count;
  Tensor result = TRY(c.allocate(x.dtype(), extents));
  std::vector<int64_t> offsets(extents.size(), 0);
  offsets[static_cast<size_t>(axis)] = first;
  copy_window(x, result, offsets);
  return result;
}

constinit const StructuredOp ops::Concat = {
    .inputs = {1, kVariadic}, .outputs = {1, 1}, .attrs = kConcatAttrs, .infer = infer_concat, .eval = eval_concat};
constinit const GradientRule gradients::Concat = {.vjp = concat_vjp};
constinit const StructuredOp ops::Split = {
    .inputs = {1, 2}, .outputs = {1, kVariadic}, .attrs = kSplitAttrs, .infer = infer_split, .eval = eval_split};
constinit const GradientRule gradients::Split = {.vjp = split_vjp};

}  // namespace gannet
