// What the infer functions of movement, indexing and sequence ops ask of their operands: presence and kind, and short
// integer lists (axes, shapes, repeats) whose elements may be symbolic.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "ir/eval.h"
#include "ir/infer.h"

namespace gannet {

// Lists longer than this are data, not shape arithmetic: nobody follows their contents.
inline constexpr int64_t kMaxContents = 1024;

// The first `required` operands are present, and every present one is a tensor.
Status expect_tensors(const InferContext& c, size_t required);
Status expect_dtype(const InferContext& c, size_t i, DType dtype, std::string_view role);
// Operand i is i32 or i64.
Status expect_index(const InferContext& c, size_t i, std::string_view role);
// Operand i has rank 0, or rank 1 with one element, as far as is known.
Status expect_single(const InferContext& c, size_t i, std::string_view role);
// Operand i has rank 1, as far as is known.
Status expect_list(const InferContext& c, size_t i, std::string_view role);
// The attribute is one of `allowed`.
Status expect_choice(const InferContext& c, std::string_view attr, std::initializer_list<std::string_view> allowed);

// Contents of operand i where it is present and short.
std::optional<std::vector<Dim>> short_contents(const InferContext& c, size_t i);
// The same where all are integers; lists of any length.
std::optional<std::vector<int64_t>> known_ints(const InferContext& c, size_t i);
// How many elements operand i has, a list, where that is known.
std::optional<int64_t> list_length(const InferContext& c, size_t i);
// Elements of `value` as dimensions, in a gradient rule.
std::optional<std::vector<Dim>> dims_of(const Value* value);
// The shape of `value`; an Unsupported error when its rank is not known.
Result<Shape> known_shape(const Value* value, std::string_view role);

// Dimensions of which nothing but their number is known.
Shape fresh_shape(InferContext& c, int64_t rank, const std::string& prefix);
// Each axis normalized, in the given order; an error on a duplicate.
Result<std::vector<int64_t>> ordered_axes(std::span<const int64_t> axes, int64_t rank);
// The more precise of two dimensions that must be equal; an error names the axis and both when integers differ.
Result<Dim> same_dim(const Dim& a, const Dim& b, int64_t axis);
// The product of extents, or an error that names them when it overflows.
Result<int64_t> product_of(std::span<const int64_t> extents);

// The extents that infer gave output i; an error where their arithmetic overflowed, so that they are no integers.
Result<std::vector<int64_t>> inferred_extents(const EvalContext& c, size_t i = 0);
Result<Tensor> allocate_inferred(EvalContext& c, size_t i = 0);

}  // namespace gannet
