#include <algorithm>
#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kLossAttrs[] = {optional_attr("ignore_index", AttrKind::kInt),
                                  string_attr("reduction", "mean")};

Result<Dim> agreeing(const Dim& a, const Dim& b, std::string_view what) {
  if (a.is_constant() && b.is_constant() && a != b) {
    return invalid_model(fmt::format("{}: {} against {}", what, a.to_string(), b.to_string()));
  }
  return a.is_constant() ? a : b;
}

// scores: [batch, classes, d...]; targets: [batch, d...]; weights: [classes].
Status infer_likelihood(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_index(c, 1, "target"));
  TRY(expect_choice(c, "reduction", {"none", "sum", "mean"}));
  const Shape *scores = c.shape(0), *targets = c.shape(1);
  if (scores && scores->size() < 2) {
    return invalid_model(
        fmt::format("input 0 (input) must have a rank of 2 or more, got {}", scores->size()));
  }
  std::optional<Shape> losses;
  if (targets) losses = *targets;
  if (scores && targets) {
    if (targets->size() + 1 != scores->size()) {
      return invalid_model(fmt::format("a target of rank {} does not fit an input of rank {}",
                                       targets->size(), scores->size()));
    }
    for (size_t i = 0; i < targets->size(); ++i) {
      (*losses)[i] =
          TRY(agreeing((*targets)[i], (*scores)[i == 0 ? 0 : i + 1], "extents of target and input differ"));
    }
  }
  if (c.has(2)) {
    TRY(expect_float(c, 2, "weight"));
    TRY(expect_rank(c, 2, 1, "weight"));
    if (scores && c.shape(2)) TRY(agreeing((*c.shape(2))[0], (*scores)[1], "weights and classes differ"));
  }
  if (c.attrs().text("reduction") != "none") losses = Shape{};
  c.set_tensor(0, c.dtype(0), losses);
  return {};
}

// Calls visit(target index, flat index of the target class's score, class) for each target that is not
// ignored.
template <class Visit>
Status for_each_target(const EvalContext& c, Visit visit) {
  const Tensor &scores = c.tensor(0), &targets = c.tensor(1);
  int64_t classes = scores.extent(1);
  bool ignores = c.attrs().has("ignore_index");
  int64_t ignored = c.attrs().integer("ignore_index");
  int64_t pixels = targets.elements() == 0 ? 1 : targets.elements() / targets.extent(0);
  for (int64_t i = 0; i < targets.elements(); ++i) {
    int64_t label = targets.int_at(i);
    if (ignores && label == ignored) continue;
    if (label < 0 || label >= classes) {
      return invalid_input(
          fmt::format("target {} at element {} is not one of {} classes", label, i, classes));
    }
    int64_t sample = i / pixels, pixel = i % pixels;
    visit(i, (sample * classes + label) * pixels + pixel, label);
  }
  return {};
}

Status eval_likelihood(EvalContext& c) {
  bool each = c.attrs().text("reduction") == "none";
  Tensor losses = TRY(c.allocate(DType::kF64, static_extents(*c.output_type(0).shape)));
  auto out = losses.mutable_data<double>();
  std::fill(out.begin(), out.end(), 0.0);
  double weights = 0;
  Status walked = for_each_target(c, [&](int64_t i, int64_t score, int64_t label) {
    double weight = c.has(2) ? c.tensor(2).double_at(label) : 1.0;
    out[each ? static_cast<size_t>(i) : 0] -= weight * c.tensor(0).double_at(score);
    weights += weight;
  });
  TRY(walked);
  if (c.attrs().text("reduction") == "mean") out[0] /= weights;
  c.set(TRY(as_dtype(losses, c.tensor(0).dtype())));
  return {};
}

// The weight of each score in the loss: [batch, classes, d...], 0 but at the target classes.
Result<Value*> weights_of_scores(VjpContext& c, const Shape& shape, DType dtype) {
  GraphBuilder& b = c.b;
  std::vector<int64_t> not_classes = {0};
  for (int64_t i = 2; i < static_cast<int64_t>(shape.size()); ++i) not_classes.push_back(i);
  auto integer = [&](int64_t value) { return b.constant(Tensor::scalar<int64_t>(value)); };
  Value* classes = b.op("Range", {integer(0), b.squeeze(b.dims({shape[1]}), {0}), integer(1)});
  Value* targets = b.unsqueeze(b.cast(c.operand(1), DType::kI64), {1});
  Value* hits = b.op("Equal", {targets, b.unsqueeze(classes, not_classes)});
  if (c.attrs().has("ignore_index")) {
    Value* ignored = b.op("Equal", {targets, integer(c.attrs().integer("ignore_index"))});
    hits = b.op("And", {hits, b.op("Not", {ignored})});
  }
  Value* weights = b.cast(hits, dtype);
  if (c.operand(2)) weights = b.mul(weights, b.unsqueeze(b.cast(c.operand(2), dtype), not_classes));
  return b.expand(weights, shape);
}

// Class weights are settings of the loss and get no gradient, as in PyTorch.
Status likelihood_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  Value* dy = c.gradient();
  DType dtype = c.operand(0)->type.dtype;
  Shape shape = TRY(known_shape(c.operand(0), "input"));
  Value* weights = TRY(weights_of_scores(c, shape, dtype));
  if (c.attrs().text("reduction") == "none") {
    dy = b.unsqueeze(dy, {1});
  } else if (c.attrs().text("reduction") == "mean") {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) all.push_back(i);
    dy = b.div(dy, b.reduce_sum(weights, all, false));
  }
  c.set(0, b.neg(b.mul(weights, dy)));
  return b.status();
}

Status decompose_cross_entropy(DecomposeContext& c) {
  Value* log_probability = c.b.op("LogSoftmax", {c.operand(0)}, {{"axis", int64_t{1}}});
  Attributes attrs = {{"reduction", std::string(c.attrs().text("reduction"))}};
  if (c.attrs().has("ignore_index")) attrs.set("ignore_index", c.attrs().integer("ignore_index"));
  c.set(0,
        c.b.op("NegativeLogLikelihoodLoss", {log_probability, c.operand(1), c.operand(2)}, std::move(attrs)));
  c.set(1, log_probability);
  return {};
}

}  // namespace

constinit const StructuredOp ops::NegativeLogLikelihoodLoss = {.inputs = {2, 3},
                                                               .outputs = {1, 1},
                                                               .attrs = kLossAttrs,
                                                               .infer = infer_likelihood,
                                                               .eval = eval_likelihood};
constinit const GradientRule gradients::NegativeLogLikelihoodLoss = {.vjp = likelihood_vjp};
constinit const StructuredOp ops::SoftmaxCrossEntropyLoss = {
    .inputs = {2, 3}, .outputs = {1, 2}, .attrs = kLossAttrs, .decompose = decompose_cross_entropy};

}  // namespace gannet
