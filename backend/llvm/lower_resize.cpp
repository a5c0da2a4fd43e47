#include "backend/llvm/lower_resize.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "ir/infer.h"
#include "ir/ops/resize_axis.h"

namespace gannet {
namespace {

constexpr int64_t kMostTaps = 64;

// What an axis takes from the operand: for each tap an offset in elements and, where it interpolates, a weight.
struct Taps {
  double growth = 1;
  std::vector<Element> offsets, weights;
};

// The axes in the order of their entries in scales, sizes and roi.
Result<std::vector<size_t>> resized_axes(const Node& node) {
  const int64_t rank = node.input(0)->type.rank();
  std::vector<size_t> axes;
  for (int64_t axis : TRY(normalize_axes(node.attrs.integers("axes"), rank))) axes.push_back(static_cast<size_t>(axis));
  if (!axes.empty()) return axes;
  axes.resize(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), size_t{0});
  return axes;
}

// Nothing for an axis that stays as it is.
Result<std::optional<ResizeAxis>> sampling(const Node& node, size_t entry, const Dim& from, const Dim& to) {
  const Tensor* scales = node.input(2) ? node.input(2)->constant() : nullptr;
  const bool with_scales = node.input(2) && (!node.input(2)->type.shape || *node.input(2)->type.shape != Shape{0});
  if (with_scales && (!scales || scales->elements() <= static_cast<int64_t>(entry))) return unsupported("scales that are not known");
  if (!with_scales && node.attrs.text("keep_aspect_ratio_policy") != "stretch") return unsupported("extents that follow from one ratio");
  const auto scale = with_scales ? static_cast<float>(scales->double_at(static_cast<int64_t>(entry))) : 1.0f;
  if (from == to && scale == 1) return std::optional<ResizeAxis>();
  if (!from.is_constant() || !to.is_constant() || from.constant() == 0) return unsupported("a symbolic extent that changes");
  ResizeAxis axis{from.constant(), to.constant(), scale, 0, 1};
  if (!with_scales) axis.scale = static_cast<float>(axis.output) / static_cast<float>(axis.input);
  return std::optional(axis);
}

template <class T>
Element table(RegionBuilder& builder, size_t rank, size_t axis, int64_t count, DType dtype, const std::function<T(int64_t)>& at) {
  std::vector<int64_t> extents(rank, 1);
  extents[axis] = count;
  Tensor tensor = Tensor::zeros(dtype, std::move(extents));
  for (int64_t i = 0; i < count; ++i) tensor.mutable_data<T>()[static_cast<size_t>(i)] = at(i);
  return builder.constant(tensor);
}

Taps taps_of(RegionBuilder& builder, const Node& node, const ResizeAxis& axis, size_t rank, size_t position, int64_t stride) {
  Taps taps;
  taps.growth = static_cast<double>(axis.output) / static_cast<double>(axis.input);
  if (node.attrs.text("mode") == "nearest") {
    std::vector<int64_t> coordinates(static_cast<size_t>(axis.output));
    nearest_coordinates(axis, node.attrs, coordinates);
    taps.offsets.push_back(table<int64_t>(builder, rank, position, axis.output, DType::kI64,
                                          [&](int64_t o) { return coordinates[static_cast<size_t>(o)] * stride; }));
    return taps;
  }
  const ResizeWeights weights = interpolation_weights(axis, node.attrs, 0, axis.output);
  for (int64_t tap = 0; tap < weights.count; ++tap) {
    auto at = [&](int64_t o) { return static_cast<size_t>(o * weights.count + tap); };
    taps.offsets.push_back(table<int64_t>(builder, rank, position, axis.output, DType::kI64,
                                          [&](int64_t o) { return weights.indices[at(o)] * stride; }));
    taps.weights.push_back(table<float>(builder, rank, position, axis.output, DType::kF32, [&](int64_t o) { return weights.weights[at(o)]; }));
  }
  return taps;
}

class Sampler {
 public:
  Sampler(RegionBuilder& builder, const Element& x, Shape extents, std::vector<bool> by_table, std::vector<Taps> axes)
      : builder_(builder), x_(x), extents_(std::move(extents)), by_table_(std::move(by_table)), axes_(std::move(axes)) {}

  Result<Element> value() { return sum(0, nullptr); }

 private:
  static ScalarExpr arg(int i) { return ScalarExpr::arg(i); }

  Result<Element> map(const ScalarExpr& body, std::vector<Element> operands) {
    Shape extents = operands[0].extents;
    for (const Element& operand : operands) extents = TRY(broadcast_shapes(extents, operand.extents));
    return builder_.map(body, operands, extents);
  }

  // Over the taps of the axes from `level` on; the last of them is interpolated first.
  Result<Element> sum(size_t level, Element* offset) {
    if (level == axes_.size()) {
      Element sampled = builder_.sample(x_, *offset, extents_, by_table_);
      return builder_.cast(sampled, compute_type_of(x_.dtype));
    }
    Taps& taps = axes_[level];
    std::optional<Element> total;
    for (size_t tap = 0; tap < taps.offsets.size(); ++tap) {
      Element at = offset ? TRY(map(arg(0) + arg(1), {*offset, taps.offsets[tap]})) : taps.offsets[tap];
      Element value = TRY(sum(level + 1, &at));
      if (!taps.weights.empty()) {
        Element weight = builder_.cast(taps.weights[tap], value.dtype);
        value = total ? TRY(map(arg(0) * arg(1) + arg(2), {value, weight, *total})) : TRY(map(arg(0) * arg(1), {value, weight}));
      }
      total = std::move(value);
    }
    return *total;
  }

  RegionBuilder& builder_;
  const Element& x_;
  const Shape extents_;
  const std::vector<bool> by_table_;
  std::vector<Taps> axes_;
};

}  // namespace

Result<Element> resize_by_tables(RegionBuilder& builder, const Node& node, const Element& x) {
  if (!x.view) return unsupported("an operand that is no memory");
  if (node.attrs.text("coordinate_transformation_mode") == "tf_crop_and_resize") return unsupported("a crop");
  if (node.attrs.text("mode") != "nearest" && !is_float(x.dtype)) return unsupported("interpolation between integers");
  const Shape& shape = *node.output()->type.shape;
  const std::vector<size_t> axes = TRY(resized_axes(node));
  std::vector<bool> by_table(shape.size(), false);
  std::vector<Taps> taps;
  int64_t count = 1;
  for (size_t entry = 0; entry < axes.size(); ++entry) {
    const size_t axis = axes[entry];
    const std::optional<ResizeAxis> plan = TRY(sampling(node, entry, x.extents[axis], shape[axis]));
    if (!plan) continue;
    if (!x.view->strides[axis].is_constant()) return unsupported("a symbolic extent behind one that changes");
    by_table[axis] = true;
    taps.push_back(taps_of(builder, node, *plan, shape.size(), axis, x.view->strides[axis].constant()));
    count *= static_cast<int64_t>(taps.back().offsets.size());
    if (count > kMostTaps) return unsupported("a window of many elements");
  }
  if (taps.empty()) return unsupported("nothing to resize");
  std::stable_sort(taps.begin(), taps.end(), [](const Taps& a, const Taps& b) { return a.growth > b.growth; });
  return Sampler(builder, x, shape, std::move(by_table), std::move(taps)).value();
}

}  // namespace gannet
