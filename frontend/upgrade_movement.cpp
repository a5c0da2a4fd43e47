// Movement ops whose parameters were attributes, and fillers and croppers of early exporters.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/upgrades.h"

namespace gannet::upgrades {

Result<Value*> required(const UpgradeContext& c, size_t i) {
  if (Value* value = c.operand(i)) return value;
  return invalid_model(fmt::format("input {} is required", i));
}

Status ints_to_operand(UpgradeContext& c, std::string_view name, size_t i) {
  std::optional<std::vector<int64_t>> values = TRY(c.attrs.take<std::vector<int64_t>>(name));
  if (values) c.set_operand(i, c.b.ints(*values));
  return {};
}

Value* append_unit_axes(UpgradeContext& c, Value* x, int64_t count) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < count; ++i) axes.push_back(x->type.rank() + i);
  return c.b.unsqueeze(x, axes);
}

Status reshape_attr(UpgradeContext& c) { return ints_to_operand(c, "shape", 1); }

// An absent or empty list always meant the same as no operand.
Status axes_attr(UpgradeContext& c) {
  std::optional<std::vector<int64_t>> axes = TRY(c.attrs.take<std::vector<int64_t>>("axes"));
  if (axes && (!axes->empty() || c.op == "Unsqueeze")) c.set_operand(1, c.b.ints(*axes));
  return {};
}

// Tile of opset 1 repeats along one axis: (input, tiles, axis).
Status tile_axis(UpgradeContext& c) {
  if (c.operands.size() != 3) return {};
  const Shape* x = c.shape(0);
  std::optional<std::vector<int64_t>> tiles = c.ints(1), axis = c.ints(2);
  if (!x || !tiles || !axis || tiles->size() != 1 || axis->size() != 1) {
    return unsupported("tiles and axis must be known single integers, and the input of known rank");
  }
  std::vector<int64_t> repeats(x->size(), 1);
  int64_t position = TRY(normalize_axis((*axis)[0], static_cast<int64_t>(x->size())));
  repeats[static_cast<size_t>(position)] = (*tiles)[0];
  c.operands = {c.operand(0), c.b.ints(repeats)};
  return {};
}

Status concat_default_axis(UpgradeContext& c) {
  if (!c.attrs.has("axis")) c.attrs.set("axis", int64_t{1});
  return {};
}

Status slice_attrs(UpgradeContext& c) {
  TRY(ints_to_operand(c, "starts", 1));
  TRY(ints_to_operand(c, "ends", 2));
  return ints_to_operand(c, "axes", 3);
}

Status dynamic_slice(UpgradeContext& c) {
  c.op = "Slice";
  return {};
}

// border is left, top, right, bottom; scale, where given, is height and width of what stays.
Status crop(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  std::vector<int64_t> border = TRY(c.attrs.take_or<std::vector<int64_t>>("border", {0, 0, 0, 0}));
  std::vector<int64_t> scale = TRY(c.attrs.take_or<std::vector<int64_t>>("scale", {}));
  if (border.size() != 4 || (!scale.empty() && scale.size() != 2)) {
    return invalid_model(fmt::format("border must have 4 entries and scale 2, they have {} and {}",
                                     border.size(), scale.size()));
  }
  constexpr int64_t kEnd = INT64_MAX;
  constexpr int64_t kLargest = int64_t{1} << 40;
  for (const auto& list : {border, scale}) {
    for (int64_t value : list) {
      if (value < 0 || value > kLargest)
        return invalid_model(fmt::format("{} is no number of pixels", value));
    }
  }
  std::vector<int64_t> ends = {border[3] == 0 ? kEnd : -border[3], border[2] == 0 ? kEnd : -border[2]};
  if (!scale.empty()) ends = {border[1] + scale[0], border[0] + scale[1]};
  c.set(0, c.b.slice(x, {border[1], border[0]}, std::move(ends), {2, 3}));
  return {};
}

Status pad_paddings(UpgradeContext& c) {
  c.attrs.rename("paddings", "pads");
  return {};
}

Status pad_attrs(UpgradeContext& c) {
  TRY(ints_to_operand(c, "pads", 1));
  float value = TRY(c.attrs.take_or<float>("value", 0));
  if (value != 0) c.set_operand(2, c.number(value, c.operand(0)));
  return {};
}

Status split_attr(UpgradeContext& c) { return ints_to_operand(c, "split", 1); }

// Without sizes the outputs are equal parts.
Status split_count(UpgradeContext& c) {
  if (!c.operand(1) && !c.attrs.has("num_outputs"))
    c.attrs.set("num_outputs", static_cast<int64_t>(c.wanted.size()));
  return {};
}

Status scatter(UpgradeContext& c) {
  c.op = "ScatterElements";
  return {};
}

Status constant_fill(UpgradeContext& c) {
  float value = TRY(c.attrs.take_or<float>("value", 0));
  int64_t dtype = TRY(c.attrs.take_or<int64_t>("dtype", 1));
  int64_t input_as_shape = TRY(c.attrs.take_or<int64_t>("input_as_shape", 0));
  std::vector<int64_t> shape = TRY(c.attrs.take_or<std::vector<int64_t>>("shape", {}));
  std::vector<int64_t> extra = TRY(c.attrs.take_or<std::vector<int64_t>>("extra_shape", {}));
  if (!is_known_dtype(dtype) || dtype == static_cast<int64_t>(DType::kString)) {
    return invalid_model(fmt::format("dtype {} is no element type that can be filled", dtype));
  }
  Value* dims = nullptr;
  if (Value* x = c.operand(0))
    dims = input_as_shape ? x : c.b.op("Shape", {x});
  else
    dims = c.b.ints(shape);
  if (!extra.empty()) dims = c.b.concat({dims, c.b.ints(extra)}, 0);
  Tensor element = Tensor::scalar_of(static_cast<DType>(dtype), value).reshaped({1});
  c.set(0, c.b.op("ConstantOfShape", {dims}, {{"value", std::move(element)}}));
  return {};
}

Status given_tensor_fill(UpgradeContext& c) {
  std::vector<float> values = TRY(c.attrs.take_or<std::vector<float>>("values", {}));
  std::vector<int64_t> shape = TRY(c.attrs.take_or<std::vector<int64_t>>("shape", {}));
  std::vector<int64_t> extra = TRY(c.attrs.take_or<std::vector<int64_t>>("extra_shape", {}));
  if (c.operand(0)) return unsupported("a shape that is computed");
  shape.insert(shape.end(), extra.begin(), extra.end());
  std::optional<int64_t> count = checked_product(shape);
  if (count != static_cast<int64_t>(values.size())) {
    return invalid_model(
        fmt::format("{} values for the shape {}", values.size(), to_string(std::span<const int64_t>(shape))));
  }
  c.set(0, c.b.constant(Tensor::from<float>(std::move(shape), values)));
  return {};
}

}  // namespace gannet::upgrades
