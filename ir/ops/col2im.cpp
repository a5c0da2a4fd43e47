// Col2Im: columns of blocks added back into an image; and Im2Col, its adjoint, which cuts an image into blocks.
#include <fmt/format.h>

#include <algorithm>
#include <complex>

#include "ir/base/checked.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {optional_attr("dilations", AttrKind::kInts), optional_attr("pads", AttrKind::kInts),
                              optional_attr("strides", AttrKind::kInts)};

// Where blocks lie in the image, by spatial axis.
struct Blocks {
  std::vector<int64_t> image, block, strides, dilations, before;
  std::vector<int64_t> counts;  // of block positions
};

std::vector<int64_t> list_or(const Attributes& attrs, std::string_view name, size_t count, int64_t value) {
  return attrs.has(name) ? attrs.integers(name) : std::vector<int64_t>(count, value);
}

Result<Blocks> blocks_of(const Attributes& attrs, std::vector<int64_t> image, std::vector<int64_t> block) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const size_t rank = image.size();
  Blocks b{std::move(image), std::move(block), list_or(attrs, "strides", rank, 1), list_or(attrs, "dilations", rank, 1),
           list_or(attrs, "pads", 2 * rank, 0), {}};
  if (b.block.size() != rank || b.strides.size() != rank || b.dilations.size() != rank || b.before.size() != 2 * rank) {
    return invalid_model(fmt::format("block_shape, strides, dilations and pads have {}, {}, {} and {} elements for {} axes", b.block.size(),
                                     b.strides.size(), b.dilations.size(), b.before.size(), rank));
  }
  for (size_t i = 0; i < rank; ++i) {
    const int64_t after = b.before[rank + i];
    const bool positive = b.image[i] >= 1 && b.block[i] >= 1 && b.strides[i] >= 1 && b.dilations[i] >= 1 && b.before[i] >= 0 && after >= 0;
    const bool small = std::max({b.image[i], b.block[i], b.strides[i], b.dilations[i], b.before[i], after}) <= kMost;
    const int64_t span = positive && small ? b.image[i] + b.before[i] + after - b.dilations[i] * (b.block[i] - 1) - 1 : -1;
    if (span < 0) return invalid_model(fmt::format("a block of {} does not fit an image of {} along axis {}", b.block[i], b.image[i], i));
    b.counts.push_back(span / b.strides[i] + 1);
  }
  b.before.resize(rank);
  return b;
}

Status check_columns(const InferContext& c, const Blocks& b) {
  const int64_t positions = TRY(product_of(b.counts)), block = TRY(product_of(b.block));
  const Shape* x = c.shape(0);
  if (!x) return {};
  if ((*x)[2].is_constant() && (*x)[2].constant() != positions) {
    return invalid_model(fmt::format("input has {} columns, but {} blocks fit the image", (*x)[2].constant(), positions));
  }
  if ((*x)[1].is_constant() && (*x)[1].constant() % block != 0) {
    return invalid_model(fmt::format("a block of {} elements does not divide {} rows", block, (*x)[1].constant()));
  }
  return {};
}

Status infer_col2im(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_rank(c, 0, 3, "input"));
  if (c.dtype(0) == DType::kString || c.dtype(0) == DType::kBool) return invalid_model(fmt::format("{} cannot be added", name_of(c.dtype(0))));
  for (size_t i : {size_t{1}, size_t{2}}) {
    TRY(expect_dtype(c, i, DType::kI64, i == 1 ? "image_shape" : "block_shape"));
    TRY(expect_list(c, i, i == 1 ? "image_shape" : "block_shape"));
  }
  const std::optional<std::vector<Dim>> image = short_contents(c, 1), block = short_contents(c, 2);
  const Shape* x = c.shape(0);
  if (image && block && is_static(*image) && is_static(*block)) {
    TRY(check_columns(c, TRY(blocks_of(c.attrs(), static_extents(*image), static_extents(*block)))));
  }
  std::optional<Shape> shape;
  if (image) {
    shape = Shape{x ? (*x)[0] : c.fresh("batch"), x && block ? floordiv((*x)[1], element_count(*block)) : c.fresh("channels")};
    shape->insert(shape->end(), image->begin(), image->end());
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// The row-major coordinates of `index` within `extents`.
void unravel(int64_t index, const std::vector<int64_t>& extents, std::vector<int64_t>& coordinates) {
  for (size_t i = extents.size(); i-- > 0;) {
    coordinates[i] = index % extents[i];
    index /= extents[i];
  }
}

// For each element of one channel's columns, its place in the image; -1 in the padding.
std::vector<int64_t> image_positions(const Blocks& b, int64_t block_elements, int64_t positions) {
  const std::vector<int64_t> strides = row_major_strides(b.image);
  std::vector<int64_t> inside(b.block.size()), at(b.block.size()), result;
  result.reserve(static_cast<size_t>(block_elements * positions));
  for (int64_t k = 0; k < block_elements; ++k) {
    unravel(k, b.block, inside);
    for (int64_t p = 0; p < positions; ++p) {
      unravel(p, b.counts, at);
      int64_t place = 0;
      for (size_t i = 0; i < at.size() && place >= 0; ++i) {
        const int64_t x = at[i] * b.strides[i] + inside[i] * b.dilations[i] - b.before[i];
        place = x < 0 || x >= b.image[i] ? -1 : place + x * strides[i];
      }
      result.push_back(place);
    }
  }
  return result;
}

template <class T>
void add_columns(const Tensor& x, const std::vector<int64_t>& places, int64_t image_elements, Tensor& y) {
  using Sum = std::conditional_t<std::is_integral_v<T>, uint64_t, std::conditional_t<std::is_constructible_v<T, float> && !std::is_arithmetic_v<T> &&
                                 std::is_convertible_v<T, float>, float, T>>;
  const T* from = x.data<T>().data();
  std::vector<Sum> sums(static_cast<size_t>(image_elements));
  T* to = y.mutable_data<T>().data();
  for (int64_t channel = 0; channel < y.elements() / image_elements; ++channel) {
    std::ranges::fill(sums, Sum(0));
    for (int64_t place : places) {
      if (place >= 0) sums[static_cast<size_t>(place)] += static_cast<Sum>(*from);
      ++from;
    }
    for (const Sum& sum : sums) *to++ = static_cast<T>(sum);
  }
}

Status eval_col2im(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const Blocks b = TRY(blocks_of(c.attrs(), c.tensor(1).ints(), c.tensor(2).ints()));
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const std::vector<int64_t> places = image_positions(b, TRY(product_of(b.block)), TRY(product_of(b.counts)));
    const int64_t image_elements = TRY(product_of(b.image));
    visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
      if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, bool>) add_columns<T>(x, places, image_elements, y);
    });
  }
  c.set(std::move(y));
  return {};
}

// Operands: the image [batch, channels, extents...] and the block's shape.
Status infer_im2col(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "image"));
  TRY(expect_dtype(c, 1, DType::kI64, "block_shape"));
  TRY(expect_list(c, 1, "block_shape"));
  const Shape* x = c.shape(0);
  const std::optional<std::vector<Dim>> block = short_contents(c, 1);
  Shape shape = fresh_shape(c, 3, "columns");
  if (x && x->size() < 3) return invalid_model(fmt::format("the image must have rank 3 or more, got {}", x->size()));
  if (x) shape[0] = (*x)[0];
  if (x && block && is_static(*block)) {
    const std::span<const Dim> image = std::span<const Dim>(*x).subspan(2);
    if (is_static(image)) TRY(blocks_of(c.attrs(), static_extents(image), static_extents(*block)));
    if (block->size() != image.size()) return invalid_model(fmt::format("a block of rank {} in an image of rank {}", block->size(), image.size()));
    const auto strides = list_or(c.attrs(), "strides", image.size(), 1), dilations = list_or(c.attrs(), "dilations", image.size(), 1),
               pads = list_or(c.attrs(), "pads", 2 * image.size(), 0);
    shape[1] = (*x)[1] * element_count(*block);
    shape[2] = Dim(1);
    for (size_t i = 0; i < image.size(); ++i) {
      const Dim span = image[i] + (pads[i] + pads[image.size() + i] - 1) - ((*block)[i] - 1) * dilations[i];
      shape[2] = shape[2] * (floordiv(span, strides[i]) + 1);
    }
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_im2col(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const Blocks b = TRY(blocks_of(c.attrs(), {x.extents().begin() + 2, x.extents().end()}, c.tensor(1).ints()));
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    fill_zero(y);
    const std::vector<int64_t> places = image_positions(b, TRY(product_of(b.block)), TRY(product_of(b.counts)));
    const int64_t image_elements = TRY(product_of(b.image)), planes = x.elements() / image_elements;
    const ElementMover mover(x, y);
    for (int64_t plane = 0; plane < planes; ++plane) {
      for (size_t i = 0; i < places.size(); ++i) {
        if (places[i] >= 0) mover.copy(plane * static_cast<int64_t>(places.size()) + static_cast<int64_t>(i), plane * image_elements + places[i]);
      }
    }
  }
  c.set(std::move(y));
  return {};
}

Status col2im_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.op("Im2Col", {c.gradient(), c.operand(2)}, c.attrs()));
  return c.b.status();
}

Status im2col_vjp(VjpContext& c) {
  const Shape shape = TRY(known_shape(c.operand(0), "the image"));
  c.set(0, c.b.op("Col2Im", {c.gradient(), c.b.dims(Shape(shape.begin() + 2, shape.end())), c.operand(1)}, c.attrs()));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::Col2Im = {
    .inputs = {3, 3}, .outputs = {1, 1}, .attrs = kAttrs, .infer = infer_col2im, .eval = eval_col2im};
constinit const GradientRule gradients::Col2Im = {.vjp = col2im_vjp};
constinit const StructuredOp ops::Im2Col = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kAttrs, .infer = infer_im2col, .eval = eval_im2col};
constinit const GradientRule gradients::Im2Col = {.vjp = im2col_vjp};

}  // namespace gannet
