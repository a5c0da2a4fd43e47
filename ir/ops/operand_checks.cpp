#include "ir/ops/operand_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/base/checked.h"

namespace gannet {

Status expect_tensors(const InferContext& c, size_t required) {
  for (size_t i = 0; i < std::max(required, c.operand_count()); ++i) {
    if (!c.has(i)) {
      if (i < required) return invalid_model(fmt::format("input {} is absent", i));
      continue;
    }
    if (!c.type(i).is_tensor()) {
      return invalid_model(fmt::format("input {} must be a tensor, got {}", i, to_string(c.type(i))));
    }
  }
  return {};
}

Status expect_dtype(const InferContext& c, size_t i, DType dtype, std::string_view role) {
  if (c.dtype(i) == dtype) return {};
  return invalid_model(fmt::format("input {} ({}) must be {}, got {}", i, role, name_of(dtype), to_string(c.type(i))));
}

Status expect_index(const InferContext& c, size_t i, std::string_view role) {
  if (c.dtype(i) == DType::kI64 || c.dtype(i) == DType::kI32) return {};
  return invalid_model(fmt::format("input {} ({}) must be i32 or i64, got {}", i, role, to_string(c.type(i))));
}

Status expect_single(const InferContext& c, size_t i, std::string_view role) {
  const Shape* shape = c.shape(i);
  if (!shape) return {};
  bool single = true;
  for (const Dim& dim : *shape) single &= !dim.is_constant() || dim.constant() == 1;
  if (single && shape->size() <= 1) return {};
  return invalid_model(fmt::format("input {} ({}) must have one element, got {}", i, role, to_string(c.type(i))));
}

Status expect_list(const InferContext& c, size_t i, std::string_view role) { return expect_rank(c, i, 1, role); }

Status expect_choice(const InferContext& c, std::string_view attr, std::initializer_list<std::string_view> allowed) {
  const std::string_view text = c.attrs().text(attr);
  if (std::ranges::find(allowed, text) != allowed.end()) return {};
  return invalid_model(fmt::format("{} '{}' is none of {}", attr, text, fmt::join(allowed, ", ")));
}

std::optional<std::vector<Dim>> short_contents(const InferContext& c, size_t i) {
  if (!c.has(i) || !is_int(c.dtype(i))) return std::nullopt;
  const std::optional<int64_t> length = list_length(c, i);
  if (!length || *length > kMaxContents) return std::nullopt;
  return c.contents(i);
}

std::optional<std::vector<int64_t>> known_ints(const InferContext& c, size_t i) {
  if (!c.has(i)) return std::nullopt;
  return c.ints(i);
}

std::optional<int64_t> list_length(const InferContext& c, size_t i) {
  if (!c.has(i)) return std::nullopt;
  if (const Tensor* constant = c.constant(i)) return constant->elements();
  const Shape* shape = c.shape(i);
  if (!shape || shape->size() > 1) return std::nullopt;
  if (shape->empty()) return 1;
  if (!shape->front().is_constant()) return std::nullopt;
  return shape->front().constant();
}

std::optional<std::vector<Dim>> dims_of(const Value* value) {
  if (!value) return std::nullopt;
  if (const std::optional<std::vector<int64_t>> ints = constant_ints(value)) return to_shape(*ints);
  return value->contents;
}

Result<Shape> known_shape(const Value* value, std::string_view role) {
  if (value && value->type.shape) return *value->type.shape;
  return unsupported(fmt::format("the gradient needs the rank of {}, which is not known", role));
}

Shape fresh_shape(InferContext& c, int64_t rank, const std::string& prefix) {
  Shape shape;
  for (int64_t i = 0; i < rank; ++i) shape.push_back(c.fresh(prefix));
  return shape;
}

Result<std::vector<int64_t>> ordered_axes(std::span<const int64_t> axes, int64_t rank) {
  std::vector<int64_t> result;
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  for (int64_t axis : axes) {
    const int64_t normalized = TRY(normalize_axis(axis, rank));
    if (seen[static_cast<size_t>(normalized)]) return invalid_model(fmt::format("axis {} is given twice", axis));
    seen[static_cast<size_t>(normalized)] = true;
    result.push_back(normalized);
  }
  return result;
}

Result<Dim> same_dim(const Dim& a, const Dim& b, int64_t axis) {
  if (a.is_constant() && b.is_constant() && a != b) {
    return invalid_model(fmt::format("axis {} has extents {} and {}", axis, a.constant(), b.constant()));
  }
  return a.is_constant() ? a : b.is_constant() ? b : a;
}

Result<int64_t> product_of(std::span<const int64_t> extents) {
  const std::optional<int64_t> product = checked_product(extents);
  if (!product) return unsupported(fmt::format("the element count of {} overflows", to_string(extents)));
  return *product;
}

Result<std::vector<int64_t>> inferred_extents(const EvalContext& c, size_t i) {
  const Type& type = c.output_type(i);
  if (!type.is_static()) return unsupported(fmt::format("the size of the result {} overflows", to_string(type)));
  return static_extents(*type.shape);
}

Result<Tensor> allocate_inferred(EvalContext& c, size_t i) {
  return c.allocate(c.output_type(i).dtype, TRY(inferred_extents(c, i)));
}

}  // namespace gannet
