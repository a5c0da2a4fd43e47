// Layers of neural networks: normalization, dropout, pooling, recurrence, resizing, scans.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "frontend/upgrades.h"

namespace gannet::upgrades {
namespace {

constexpr float kBatchEpsilon = 1e-5f;

// All axes but that of the channels.
Result<std::vector<int64_t>> batch_axes(const UpgradeContext& c) {
  const Shape* x = c.shape(0);
  if (!x) return unsupported("needs an input of known rank");
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < static_cast<int64_t>(x->size()); ++i) {
    if (i != 1) axes.push_back(i);
  }
  return axes;
}

// spatial = 0: statistics for each activation, not for each channel.
Status normalize_each_activation(UpgradeContext& c, float epsilon) {
  if (c.wanted.size() > 1) return unsupported("training with spatial = 0");
  Value* x = TRY(required(c, 0));
  Value* scale = TRY(required(c, 1));
  Value* bias = TRY(required(c, 2));
  Value* mean = TRY(required(c, 3));
  Value* variance = TRY(required(c, 4));
  Value* deviation = c.b.op("Sqrt", {c.b.add(variance, c.number(epsilon, variance))});
  Value* standard = c.b.div(c.b.sub(x, mean), deviation);
  c.set(0, c.b.add(c.b.mul(standard, scale), bias));
  return {};
}

// Outputs 3 and 4 were the statistics of the batch itself.
Status train_batch_normalization(UpgradeContext& c, float epsilon, float momentum) {
  Value* x = TRY(required(c, 0));
  auto results = c.b.op_n("BatchNormalization", c.operands,
                          {{"epsilon", epsilon}, {"momentum", momentum}, {"training_mode", int64_t{1}}}, 3);
  for (size_t i = 0; i < results.size(); ++i) c.set(i, results[i]);
  if (!c.wants(3) && !c.wants(4)) return {};
  std::vector<int64_t> axes = TRY(batch_axes(c));
  Value* mean = c.b.reduce_mean(x, axes, true);
  Value* centered = c.b.sub(x, mean);
  c.set(3, c.b.squeeze(mean, axes));
  c.set(4, c.b.reduce_mean(c.b.mul(centered, centered), axes, false));
  return {};
}

}  // namespace

Status drop_broadcast(UpgradeContext& c) {
  c.attrs.erase("broadcast");
  return {};
}

Status batch_normalization(UpgradeContext& c) {
  int64_t spatial = TRY(c.attrs.take_or<int64_t>("spatial", 1));
  int64_t is_test = TRY(c.attrs.take_or<int64_t>("is_test", 0));
  float epsilon = TRY(c.attrs.take_or<float>("epsilon", kBatchEpsilon));
  float momentum = TRY(c.attrs.take_or<float>("momentum", 0.9f));
  c.attrs.erase("consumed_inputs");
  const Shape* mean = c.shape(3);
  if (spatial == 0 && !(mean && mean->size() == 1)) return normalize_each_activation(c, epsilon);
  if (c.wanted.size() > 1 && is_test == 0) return train_batch_normalization(c, epsilon, momentum);
  Value* y = c.b.op("BatchNormalization", c.operands, {{"epsilon", epsilon}, {"momentum", momentum}});
  c.set(0, y);
  for (size_t i = 1; i < 5; ++i) c.set(i, c.operand(i % 2 == 1 ? 3 : 4));
  return {};
}

// Scale and bias were given for each group, now for each channel.
Status group_normalization(UpgradeContext& c) {
  const int64_t* groups = c.attrs.get<int64_t>("num_groups");
  const Shape* x = c.shape(0);
  if (!groups || *groups < 1) return {};
  if (!x || x->size() < 2 || !(*x)[1].is_constant()) return unsupported("needs a known number of channels");
  int64_t channels = (*x)[1].constant();
  if (channels % *groups != 0)
    return invalid_model(fmt::format("{} groups do not divide {} channels", *groups, channels));
  for (size_t i = 1; i <= 2; ++i) {
    Value* value = TRY(required(c, i));
    const Shape* shape = c.shape(i);
    if (!shape || *shape != Shape{Dim(*groups)}) continue;
    Value* column = c.b.unsqueeze(value, {1});
    c.set_operand(i,
                  c.b.reshape(c.b.expand(column, {Dim(*groups), Dim(channels / *groups)}), {Dim(channels)}));
  }
  return {};
}

Status mean_variance_normalization(UpgradeContext& c) {
  int64_t across = TRY(c.attrs.take_or<int64_t>("across_channels", 0));
  int64_t scale = TRY(c.attrs.take_or<int64_t>("normalize_variance", 1));
  std::vector<int64_t> axes = across ? std::vector<int64_t>{0, 1, 2, 3} : std::vector<int64_t>{0, 2, 3};
  if (scale != 0) {
    c.attrs.set("axes", axes);
    return {};
  }
  Value* x = TRY(required(c, 0));
  c.set(0, c.b.sub(x, c.b.reduce_mean(x, axes, true)));
  return {};
}

// Files that old have no training mode: what is_test says was never obeyed by whoever ran them.
Status dropout_attrs(UpgradeContext& c) {
  c.attrs.erase("is_test");
  float ratio = TRY(c.attrs.take_or<float>("ratio", 0.5f));
  Value* x = TRY(required(c, 0));
  c.set_operand(1, c.number(ratio, x));
  if (!c.wants(1) || c.opset >= 10) return {};
  auto results = c.b.op_n("Dropout", c.operands, {}, 2);
  c.set(0, results[0]);
  c.set(1, c.b.cast(results[1], x->type.dtype == DType::kUndefined ? DType::kF32 : x->type.dtype));
  return {};
}

Status lp_order(UpgradeContext& c) {
  const float* p = c.attrs.get<float>("p");
  if (!p) return {};
  constexpr float kLargest = 1 << 20;
  if (!(*p >= 1 && *p <= kLargest) || *p != static_cast<float>(static_cast<int64_t>(*p))) {
    return unsupported(fmt::format("p = {}, which is no positive integer,", *p));
  }
  c.attrs.set("p", static_cast<int64_t>(*p));
  return {};
}

Status recurrent_outputs(UpgradeContext& c) {
  c.attrs.erase("output_sequence");
  const auto* direction = c.attrs.get<std::string>("direction");
  if (direction && *direction == "foward") c.attrs.set("direction", "forward");
  return {};
}

// A copy of `scales` that holds 1 where they shrink (or, without `growing`, grow) an axis.
static Value* scales_of_one_kind(UpgradeContext& c, Value* scales, bool growing) {
  return c.b.op(growing ? "Max" : "Min", {scales, c.number(1, scales)});
}

static void resize_nearest_before_11(UpgradeContext& c) {
  const Tensor* known = c.operand(1) ? c.operand(1)->constant() : nullptr;
  bool grows = !known, shrinks = !known;
  if (known && known->dtype() == DType::kF32) {
    grows = std::ranges::any_of(known->data<float>(), [](float scale) { return scale > 1; });
    shrinks = std::ranges::any_of(known->data<float>(), [](float scale) { return scale < 1; });
  }
  c.attrs.set("nearest_mode", std::string(shrinks ? "ceil" : "floor"));
  if (!c.operand(0) || !c.operand(1) || !grows || !shrinks) return;
  Value* scales = c.operand(1);
  Value* grown = c.b.op("Resize", {c.operand(0), nullptr, scales_of_one_kind(c, scales, true)},
                        {{"coordinate_transformation_mode", std::string("asymmetric")},
                         {"nearest_mode", std::string("floor")},
                         {"mode", std::string("nearest")}});
  c.operands = {grown, scales_of_one_kind(c, scales, false)};
}

static Status resize_asymmetric(UpgradeContext& c) {
  c.operands = {c.operand(0), nullptr, c.operand(1)};
  c.attrs.set("coordinate_transformation_mode", std::string("asymmetric"));
  if (!c.attrs.has("nearest_mode")) c.attrs.set("nearest_mode", std::string("floor"));
  const auto* mode = c.attrs.get<std::string>("mode");
  if (mode && *mode == "bilinear") c.attrs.set("mode", std::string("linear"));
  return {};
}

// Nearest of opset 10 rounded down along axes that grow and up along those that shrink: two resizes, unless
// the scales tell that one will do.
Status resize_scales(UpgradeContext& c) {
  const auto* mode = c.attrs.get<std::string>("mode");
  if (!mode || *mode == "nearest") resize_nearest_before_11(c);
  return resize_asymmetric(c);
}

Status upsample(UpgradeContext& c) {
  c.op = "Resize";
  std::optional<float> height = TRY(c.attrs.take<float>("height_scale"));
  std::optional<float> width = TRY(c.attrs.take<float>("width_scale"));
  std::optional<std::vector<float>> scales = TRY(c.attrs.take<std::vector<float>>("scales"));
  if (height && width) scales = {1, 1, *height, *width};
  if (scales)
    c.set_operand(1, c.b.constant(Tensor::from<float>({static_cast<int64_t>(scales->size())}, *scales)));
  return resize_asymmetric(c);
}

// Empty tensors stood for absent operands.
Status resize_operands(UpgradeContext& c) {
  if (c.opset < 11) return {};
  for (size_t i = 1; i < c.operands.size(); ++i) {
    const Shape* shape = c.shape(i);
    if (shape && shape->size() == 1 && (*shape)[0].is_constant(0)) c.operands[i] = nullptr;
  }
  while (c.operands.size() > 1 && !c.operands.back()) c.operands.pop_back();
  return {};
}

Status grid_sample_mode(UpgradeContext& c) {
  const auto* mode = c.attrs.get<std::string>("mode");
  bool is_linear = mode && *mode == "bilinear", is_cubic = mode && *mode == "bicubic";
  if (is_linear) c.attrs.set("mode", std::string("linear"));
  if (is_cubic) c.attrs.set("mode", std::string("cubic"));
  return {};
}

Status roi_align_coordinates(UpgradeContext& c) {
  c.attrs.set("coordinate_transformation_mode", std::string("output_half_pixel"));
  return {};
}

// Scan of opset 8 ran each element of a batch by itself; for a batch of one that is a Scan without the batch
// axis.
Status scan_batch(UpgradeContext& c) {
  if (c.operand(0)) return unsupported("sequence_lens");
  if (c.operands.empty()) return invalid_model("has no inputs");
  c.operands.erase(c.operands.begin());
  c.attrs.rename("directions", "scan_input_directions");
  for (size_t i = 0; i < c.operands.size(); ++i) {
    const Shape* shape = c.shape(i);
    if (!shape || shape->empty() || !(*shape)[0].is_constant(1))
      return unsupported("a batch other than 1 before opset 9");
    c.operands[i] = c.b.squeeze(c.operands[i], {0});
  }
  c.finish = [&c](Value* result) { return c.b.unsqueeze(result, {0}); };
  return {};
}

}  // namespace gannet::upgrades
