#include <fmt/format.h>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/window.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {required_attr("kernel_shape", AttrKind::kInts),
                              optional_attr("pads", AttrKind::kInts),
                              optional_attr("strides", AttrKind::kInts)};

// The shape that the pooling had as its input, as far as the window tells.
Result<Shape> pooled_from(const Attributes& attrs, const Shape& x) {
  const Window window = TRY(read_window(attrs, attrs.integers("kernel_shape")));
  if (x.size() != window.rank() + 2) {
    return invalid_model(
        fmt::format("input 0 has rank {}, kernel_shape has {} entries", x.size(), window.rank()));
  }
  Shape shape(x.begin(), x.begin() + 2);
  for (size_t d = 0; d < window.rank(); ++d) {
    shape.push_back((x[d + 2] - 1) * window.strides[d] +
                    (window.kernel[d] - window.pads_begin[d] - window.pads_end[d]));
    if (shape.back().is_constant() && shape.back().constant() < 0) {
      return invalid_model(fmt::format("spatial dimension {} of the result would have the extent {}", d,
                                       shape.back().to_string()));
    }
  }
  return shape;
}

Status infer_max_unpool(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_dtype(c, 1, DType::kI64, "indices"));
  if (c.shape(0) && c.shape(1)) TRY(merge_shapes(*c.shape(0), *c.shape(1)));
  c.set_tensor(0, c.dtype(0), std::nullopt);
  if (!c.shape(0)) return {};
  Shape shape = TRY(pooled_from(c.attrs(), *c.shape(0)));
  if (c.has(2)) {
    TRY(expect_dtype(c, 2, DType::kI64, "output shape"));
    TRY(expect_list(c, 2, "output shape"));
    const std::optional<int64_t> length = list_length(c, 2);
    if (length && *length != static_cast<int64_t>(shape.size())) {
      return invalid_model(
          fmt::format("the output shape has {} elements for rank {}", *length, shape.size()));
    }
    const std::optional<std::vector<Dim>> wanted = c.contents(2);
    shape = wanted ? *wanted : fresh_shape(c, static_cast<int64_t>(shape.size()), "unpooled");
    for (const Dim& extent : shape) {
      if (extent.is_constant() && extent.constant() < 0)
        return invalid_model(fmt::format("the output shape holds {}", extent.to_string()));
    }
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// Each element's gradient is the one where it went. Of several that went to one place, all get it, as in PyTorch.
Status max_unpool_vjp(VjpContext& c) {
  const Shape inner = TRY(pooled_from(c.attrs(), TRY(known_shape(c.operand(0), "the input"))));
  const Shape outer = TRY(known_shape(c.output(), "the result"));
  std::vector<Dim> pads(2 * inner.size(), Dim(0));
  for (size_t d = 0; d < inner.size(); ++d) pads[inner.size() + d] = inner[d] - outer[d];
  Value* dy = inner == outer ? c.gradient() : c.b.op("Pad", {c.gradient(), c.b.dims(pads)});
  c.set(0, c.b.op("Gather", {c.b.reshape(dy, {element_count(inner)}), c.operand(1)}));
  return {};
}

// Indices count the elements of the shape that the window tells; where a larger result is wanted, that shape
// is its first corner.
Status eval_max_unpool(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const std::vector<int64_t> inner = static_extents(TRY(pooled_from(c.attrs(), to_shape(x.extents()))));
  Tensor small = TRY(c.allocate(x.dtype(), inner));
  fill_zero(small);
  const std::span<const int64_t> indices = c.tensor(1).data<int64_t>();
  const int64_t count = small.elements();
  {
    const ElementMover mover(x, small);
    for (size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] < 0 || indices[i] >= count)
        return invalid_input(fmt::format("index {} is outside of {} elements", indices[i], count));
      mover.copy(indices[i], static_cast<int64_t>(i));
    }
  }
  const std::vector<int64_t> extents = static_extents(*c.output_type(0).shape);
  if (extents == inner) return c.set(std::move(small)), Status();
  Tensor y = TRY(c.allocate());
  fill_zero(y);
  copy_window(small, y, std::vector<int64_t>(extents.size(), 0));
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::MaxUnpool = {.inputs = {2, 3},
                                               .outputs = {1, 1},
                                               .attrs = kAttrs,
                                               .infer = infer_max_unpool,
                                               .eval = eval_max_unpool};
constinit const GradientRule gradients::MaxUnpool = {.vjp = max_unpool_vjp};

}  // namespace gannet
