// Ops that keep all elements in their order and only change the shape.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/base/checked.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/view.h"

namespace gannet {
namespace {

constexpr AttrDef kReshapeAttrs[] = {int_attr("allowzero", 0)};
constexpr AttrDef kFlattenAttrs[] = {int_attr("axis", 1)};

// The output as inferred, over the elements of operand 0.
Status eval_reinterpreted(EvalContext& c) {
  c.set(c.tensor(0).reshaped(TRY(inferred_extents(c))));
  return {};
}

Status reshaping_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  Value* x = c.operand(0);
  // Of an element of a sequence not even the rank need be known.
  Value* dx = x->type.shape ? c.b.reshape(c.gradient(), *x->type.shape)
                            : c.b.op("Reshape", {c.gradient(), c.b.op("Shape", {x})}, {{"allowzero", int64_t{1}}});
  c.set(0, dx);
  return {};
}

// Elements of a list or scalar stay what they are.
void keep_contents(InferContext& c, size_t rank) {
  if (rank > 1) return;
  if (std::optional<std::vector<Dim>> contents = short_contents(c, 0)) c.set_contents(0, std::move(*contents));
}

Status infer_identity(InferContext& c) {
  c.set(0, c.type(0));
  keep_contents(c, c.shape(0) ? c.shape(0)->size() : 2);
  return {};
}

Status eval_identity(EvalContext& c) {
  c.set(c.datum(0));
  return {};
}

Status identity_vjp(VjpContext& c) {
  c.set(0, c.gradient());
  return {};
}

// Where -1 stands among the wanted dimensions, if anywhere; errors for what no shape can be.
Result<std::optional<size_t>> find_free_dim(const std::vector<Dim>& wanted, bool allow_zero) {
  std::optional<size_t> free;
  bool zero = false;
  const std::string text = to_string(std::span<const Dim>(wanted));
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].is_constant()) continue;
    const int64_t extent = wanted[i].constant();
    zero |= extent == 0;
    if (extent >= 0) continue;
    if (extent < -1) return invalid_model(fmt::format("shape {} has the negative extent {}", text, extent));
    if (free) return invalid_model(fmt::format("shape {} has more than one -1", text));
    free = i;
  }
  if (free && zero && allow_zero) {
    return invalid_model(fmt::format("shape {} has both 0 and -1, which allowzero=1 forbids", text));
  }
  return free;
}

// What -1 stands for: elements of `x` over the product of the other dimensions, equal ones cancelled first.
Result<Dim> free_extent(const Shape& x, const Shape& result, size_t free) {
  std::vector<Dim> numerator = x, denominator;
  for (size_t i = 0; i < result.size(); ++i) {
    if (i == free) continue;
    const auto same = std::ranges::find(numerator, result[i]);
    if (same != numerator.end()) numerator.erase(same);
    else denominator.push_back(result[i]);
  }
  const Dim elements = element_count(numerator), rest = element_count(denominator);
  if (rest.is_constant(0)) {
    return invalid_model(fmt::format("-1 beside a 0 in shape {} stands for any extent", to_string(std::span<const Dim>(result))));
  }
  if (elements.is_constant() && rest.is_constant() && elements.constant() % rest.constant() != 0) {
    return invalid_model(fmt::format("{} elements do not divide into shape {}", element_count(x).to_string(),
                                     to_string(std::span<const Dim>(result))));
  }
  return floordiv(elements, rest);
}

Result<Shape> reshaped_shape(InferContext& c, const Shape* x, Shape wanted, bool allow_zero) {
  const std::optional<size_t> free = TRY(find_free_dim(wanted, allow_zero));
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].is_constant(0) || allow_zero) continue;
    if (!x) {
      wanted[i] = c.fresh("reshaped");
    } else if (i < x->size()) {
      wanted[i] = (*x)[i];
    } else {
      return invalid_model(fmt::format("shape has a 0 at axis {}, but the input has rank {}", i, x->size()));
    }
  }
  if (free) {
    wanted[*free] = x ? TRY(free_extent(*x, wanted, *free)) : c.fresh("reshaped");
  } else if (x && is_static(*x) && is_static(wanted)) {
    const int64_t have = TRY(product_of(static_extents(*x))), want = TRY(product_of(static_extents(wanted)));
    if (have != want) {
      return invalid_model(fmt::format("cannot reshape {} with {} elements to {} with {}",
                                       to_string(std::span<const Dim>(*x)), have, to_string(std::span<const Dim>(wanted)), want));
    }
  }
  return wanted;
}

Status infer_reshape(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "shape"));
  TRY(expect_list(c, 1, "shape"));
  std::optional<std::vector<Dim>> wanted = short_contents(c, 1);
  if (!wanted) {
    const std::optional<int64_t> rank = list_length(c, 1);
    std::optional<Shape> shape;
    if (rank && *rank <= kMaxContents) shape = fresh_shape(c, *rank, "reshaped");
    c.set_tensor(0, c.dtype(0), std::move(shape));
    return {};
  }
  Shape shape = TRY(reshaped_shape(c, c.shape(0), std::move(*wanted), c.attrs().integer("allowzero") != 0));
  keep_contents(c, shape.size());
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status infer_flatten(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), fresh_shape(c, 2, "flattened"));
    return {};
  }
  const int64_t rank = static_cast<int64_t>(x->size());
  int64_t axis = c.attrs().integer("axis");
  if (axis < -rank || axis > rank) return invalid_model(fmt::format("axis {} is outside of [{}, {}]", axis, -rank, rank));
  if (axis < 0) axis += rank;
  const std::span<const Dim> dims(*x);
  const auto split = static_cast<size_t>(axis);
  c.set_tensor(0, c.dtype(0), Shape{element_count(dims.first(split)), element_count(dims.subspan(split))});
  return {};
}

// The axes of Squeeze: as given, or all whose extent is 1; nothing where that is not known.
Result<std::optional<std::vector<int64_t>>> squeezed_axes(const InferContext& c, const Shape& x) {
  if (c.has(1)) {
    const std::optional<std::vector<int64_t>> given = known_ints(c, 1);
    if (!given) return std::optional<std::vector<int64_t>>();
    return std::optional(TRY(ordered_axes(*given, static_cast<int64_t>(x.size()))));
  }
  std::vector<int64_t> axes;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].is_constant(1)) axes.push_back(static_cast<int64_t>(i));
    else if (!x[i].is_constant() && x[i].lower_bound().value_or(0) < 2) return std::optional<std::vector<int64_t>>();
  }
  return std::optional(std::move(axes));
}

Status infer_squeeze(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (c.has(1)) {
    TRY(expect_dtype(c, 1, DType::kI64, "axes"));
    TRY(expect_list(c, 1, "axes"));
  }
  const Shape* x = c.shape(0);
  std::optional<std::vector<int64_t>> axes;
  if (x) axes = TRY(squeezed_axes(c, *x));
  if (!axes) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  Shape shape;
  for (size_t i = 0; i < x->size(); ++i) {
    if (std::ranges::find(*axes, static_cast<int64_t>(i)) == axes->end()) {
      shape.push_back((*x)[i]);
    } else if ((*x)[i].is_constant() && !(*x)[i].is_constant(1)) {
      return invalid_model(fmt::format("cannot squeeze axis {} of extent {} in {}", i, (*x)[i].constant(), to_string(c.type(0))));
    }
  }
  keep_contents(c, shape.size());
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status infer_unsqueeze(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "axes"));
  if (c.shape(1) && c.shape(1)->size() > 1) TRY(expect_list(c, 1, "axes"));
  const std::optional<std::vector<int64_t>> given = known_ints(c, 1);
  const Shape* x = c.shape(0);
  const std::optional<int64_t> count = list_length(c, 1);
  if (!given || !x || given->size() > static_cast<size_t>(kMaxContents)) {
    std::optional<Shape> shape;
    if (x && count && *count <= kMaxContents) shape = fresh_shape(c, static_cast<int64_t>(x->size()) + *count, "unsqueezed");
    c.set_tensor(0, c.dtype(0), std::move(shape));
    return {};
  }
  const size_t rank = x->size() + given->size();
  const std::vector<int64_t> axes = TRY(ordered_axes(*given, static_cast<int64_t>(rank)));
  Shape shape;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) {
    const bool added = std::ranges::find(axes, static_cast<int64_t>(i)) != axes.end();
    shape.push_back(added ? Dim(1) : (*x)[next++]);
  }
  keep_contents(c, rank);
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

}  // namespace

bool is_view(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze" || op == "Identity";
}

constinit const StructuredOp ops::Identity = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_identity, .eval = eval_identity};
constinit const GradientRule gradients::Identity = {.vjp = identity_vjp};
constinit const StructuredOp ops::Reshape = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kReshapeAttrs, .infer = infer_reshape, .eval = eval_reinterpreted};
constinit const GradientRule gradients::Reshape = {.vjp = reshaping_vjp};
constinit const StructuredOp ops::Flatten = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kFlattenAttrs, .infer = infer_flatten, .eval = eval_reinterpreted};
constinit const GradientRule gradients::Flatten = {.vjp = reshaping_vjp};
constinit const StructuredOp ops::Squeeze = {
    .inputs = {1, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_squeeze, .eval = eval_reinterpreted};
constinit const GradientRule gradients::Squeeze = {.vjp = reshaping_vjp};
constinit const StructuredOp ops::Unsqueeze = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_unsqueeze, .eval = eval_reinterpreted};
constinit const GradientRule gradients::Unsqueeze = {.vjp = reshaping_vjp};

}  // namespace gannet
