#include "passes/weak_loss.h"

#include "ir/op.h"

namespace gannet {

namespace {

using E = ScalarExpr;

Status check(const LossOptions& loss, const WeakLossOptions& options, const Value* prediction) {
  if (loss.kind != Loss::kCrossEntropy)
    return invalid_input(
        fmt::format("rows without labels need the loss cross entropy, not {}", name_of(loss.kind)));
  if (options.ratio < 1)
    return invalid_input(
        fmt::format("{} rows without a label for each labelled one; there must be one", options.ratio));
  if (!(options.threshold >= 0 && options.threshold <= 1))
    return invalid_input(
        fmt::format("the threshold of pseudo labels must be from 0 to 1, got {}", options.threshold));
  const auto& shape = prediction->type.shape;
  bool fits = shape && shape->size() >= 2;
  for (size_t i = 2; fits && i < shape->size(); ++i) fits = (*shape)[i].is_constant(1);
  const auto rank = shape ? static_cast<int64_t>(shape->size()) : 0;
  const int64_t axis = loss.class_axis < 0 ? loss.class_axis + rank : loss.class_axis;
  if (!fits || axis != 1) {
    return invalid_input(fmt::format("rows without labels need an output [batch, classes], '{}' is {}",
                                     prediction->name, to_string(prediction->type)));
  }
  if ((*shape)[0].is_constant()) {
    return unsupported(fmt::format("rows without labels need batches of any size, '{}' is {}",
                                   prediction->name, to_string(prediction->type)));
  }
  return {};
}

class WeakLossBuilder {
 public:
  WeakLossBuilder(GraphBuilder& builder, const LossOptions& loss, const WeakLossOptions& options)
      : b(builder), loss_(loss), options_(options), each_(rows_for_each_label(options)) {}

  Result<WeakLoss> build(Value* prediction, Value* teacher) {
    TRY(check(loss_, options_, prediction));
    dtype_ = prediction->type.dtype;
    classes_ = (*prediction->type.shape)[1];
    groups_ = floordiv((*prediction->type.shape)[0], Dim(each_));
    Value* scores = grouped(prediction);
    Value* hidden =
        b.graph().add_input("hidden_label", Type::tensor(DType::kI64, Shape{groups_, options_.ratio}));
    Value* weight = b.graph().add_input("unlabeled_weight", Type::tensor(dtype_, Shape{groups_}));
    Value* labelled = TRY(build_loss(b, loss_, b.reshape(rows(scores, 0, 1), {groups_, classes_})));
    Value* of_others = teacher ? consistency(scores, grouped(teacher)) : pseudo_labels(scores);
    Value* terms = b.mul(of_others, above_);
    Value* weighted = b.mul(terms, b.unsqueeze(weight, {1}));
    WeakLoss result;
    Value* count = elements(of_others);
    result.loss = b.add(labelled, b.div(sum(weighted), count));
    result.measures = {{"measure/unlabeled_loss", fraction(sum(terms), count)}};
    measure_labels(hidden, result.measures);
    TRY(Status(b.status()));
    return result;
  }

 private:
  Value* grouped(Value* x) { return b.reshape(x, {groups_, each_, classes_}); }
  // [groups, end - begin, classes]
  Value* rows(Value* scores, int64_t begin, int64_t end) { return b.slice(scores, {begin}, {end}, {1}); }
  Value* softmax(Value* scores) { return b.op("Softmax", {scores}, {{"axis", int64_t{2}}}); }

  // Whether a class is likely enough, as 0 or 1, and which one it is. Neither carries a gradient.
  void judge(Value* probabilities) {
    Value* confidence = b.reduce("ReduceMax", probabilities, {2}, false);
    Value* threshold = b.number(options_.threshold, confidence);
    above_ = b.cast(b.op("GreaterOrEqual", {confidence, threshold}), dtype_);
    label_ = b.op("ArgMax", {probabilities}, {{"axis", int64_t{2}}, {"keepdims", int64_t{0}}});
  }

  // Cross entropy of each row with the class that the model names: [groups, ratio].
  Value* pseudo_labels(Value* scores) {
    const int64_t ratio = options_.ratio;
    judge(softmax(rows(scores, 1, 1 + ratio)));
    Value* learner = options_.method == WeakMethod::kFixMatch ? rows(scores, 1 + ratio, each_)
                                                              : rows(scores, 1, 1 + ratio);
    const Dim all = groups_ * Dim(ratio);
    Value* log_probability =
        b.op("LogSoftmax", {b.reshape(learner, {all, classes_})}, {{"axis", int64_t{1}}});
    Value* terms = b.op("NegativeLogLikelihoodLoss", {log_probability, b.reshape(label_, {all})},
                        {{"reduction", std::string("none")}});
    return b.reshape(terms, {groups_, ratio});
  }

  // [groups, 1 + ratio]
  Value* consistency(Value* scores, Value* teacher) {
    Value* wanted = softmax(teacher);
    judge(wanted);
    const E d = E::arg(0) - E::arg(1);
    return b.reduce_mean(b.map(d * d, {softmax(scores), wanted}), {2}, false);
  }

  void measure_labels(Value* hidden, std::vector<GraphOutput>& measures) {
    Value *above = above_, *label = label_;
    if (options_.method == WeakMethod::kMeanTeacher) {  // not of labelled rows
      above = b.slice(above, {1}, {each_}, {1});
      label = b.slice(label, {1}, {each_}, {1});
    }
    measures.push_back({"measure/above_threshold", fraction(sum(above), elements(above))});
    Value* known = b.cast(b.op("GreaterOrEqual", {hidden, b.constant(Tensor::scalar<int64_t>(0))}), dtype_);
    Value* counted = b.mul(known, above);
    Value* right = b.mul(counted, b.cast(b.op("Equal", {hidden, label}), dtype_));
    measures.push_back({"measure/pseudo_label_accuracy", fraction(sum(right), sum(counted))});
  }

  Value* fraction(Value* part, Value* whole) {
    return b.concat({b.unsqueeze(part, {0}), b.unsqueeze(whole, {0})}, 0);
  }
  Value* sum(Value* value) { return b.reduce_sum(value, {0, 1}, false); }
  Value* elements(const Value* value) {
    return b.cast(b.squeeze(b.dims({element_count(*value->type.shape)}), {0}), dtype_);
  }

  GraphBuilder& b;
  const LossOptions& loss_;
  const WeakLossOptions& options_;
  const int64_t each_;
  DType dtype_ = DType::kUndefined;
  Dim classes_, groups_;
  Value* above_ = nullptr;  // of the rows that judge saw
  Value* label_ = nullptr;
};

}  // namespace

int64_t rows_for_each_label(const WeakLossOptions& options) {
  return 1 + (options.method == WeakMethod::kFixMatch ? 2 : 1) * options.ratio;
}

Result<WeakLoss> build_weak_loss(GraphBuilder& b, const LossOptions& loss, const WeakLossOptions& options,
                                 Value* prediction, Value* teacher) {
  return WeakLossBuilder(b, loss, options).build(prediction, teacher);
}

}  // namespace gannet
