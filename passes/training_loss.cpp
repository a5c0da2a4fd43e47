#include "passes/training_loss.h"

#include "ir/op.h"

namespace gannet {

namespace {

using E = ScalarExpr;

bool bootstraps(Loss loss) { return loss == Loss::kBootstrapSoft || loss == Loss::kBootstrapHard; }

Status check_options(const LossOptions& options) {
  bool cross_entropy = takes_classes(options.kind);
  auto refuse = [&](std::string_view option) {
    return invalid_input(fmt::format("{} is no option of {}", option, name_of(options.kind)));
  };
  if (options.soft_labels && !cross_entropy) return refuse("soft labels");
  if (options.label_smoothing != 0 && !cross_entropy) return refuse("label smoothing");
  if (options.ignore_index && !cross_entropy) return refuse("an ignored class");
  if (options.ignore_index && options.soft_labels) return invalid_input("soft labels have no ignored class");
  if (!options.class_weights.empty() && !cross_entropy && options.kind != Loss::kBinaryCrossEntropy) {
    return refuse("a weight for each class");
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    return invalid_input(fmt::format("label smoothing must be from 0 to 1, got {}", options.label_smoothing));
  }
  if (options.beta && !bootstraps(options.kind)) return refuse("a share of the labels (beta)");
  if (options.q && options.kind != Loss::kGeneralizedCrossEntropy) return refuse("a power (q)");
  if (options.beta && !(*options.beta >= 0 && *options.beta <= 1))
    return invalid_input(fmt::format("the share of the labels must be from 0 to 1, got {}", *options.beta));
  if (options.q && !(*options.q > 0 && *options.q <= 1))
    return invalid_input(fmt::format("the power must be above 0 and at most 1, got {}", *options.q));
  if (!(options.huber_delta > 0)) {
    return invalid_input(
        fmt::format("the delta of the Huber loss must be positive, got {}", options.huber_delta));
  }
  return {};
}

class LossBuilder {
 public:
  LossBuilder(GraphBuilder& builder, const LossOptions& loss_options) : b(builder), options_(loss_options) {}

  Result<Value*> build(Value* prediction) {
    Value* terms = TRY(build_terms(prediction));
    Value* loss = total(terms);
    TRY(Status(b.status()));
    return loss;
  }

  Result<RowLosses> build_rows(Value* prediction, Value* target) {
    target_ = target;
    by_rows_ = true;
    Value* terms = TRY(build_terms(prediction));
    std::vector<int64_t> others;
    for (int64_t i = 1; i < terms->type.rank(); ++i) others.push_back(i);
    if (!others.empty()) terms = b.reduce_mean(terms, others, false);
    TRY(Status(b.status()));
    return RowLosses{terms, target_};
  }

 private:
  // A term for each position: [batch, ...]; or where nothing speaks against it their mean (is_mean_).
  Result<Value*> build_terms(Value* prediction) {
    TRY(check_options(options_));
    if (!prediction->type.shape)
      return unsupported(fmt::format("the rank of '{}' is not known", prediction->name));
    if (prediction->type.shape->empty()) {
      return invalid_input(fmt::format("a loss needs outputs with a batch axis, '{}' is {}", prediction->name,
                                       to_string(prediction->type)));
    }
    dtype_ = prediction->type.dtype;
    x_ = prediction;
    shape_ = *prediction->type.shape;
    if (has_classes(options_.kind)) TRY(bring_classes_second());
    TRY(make_class_weights());
    Value* terms = has_classes(options_.kind) ? TRY(class_terms()) : elementwise_terms();
    TRY(Status(b.status()));
    return terms;
  }

  std::vector<int64_t> axes_without(int64_t left_out) const {
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < rank(); ++i) {
      if (i != left_out) axes.push_back(i);
    }
    return axes;
  }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }

  Status bring_classes_second() {
    if (rank() < 2) {
      return invalid_input(fmt::format("{} needs logits of shape [batch, classes], the output is {}",
                                       name_of(options_.kind), to_string(x_->type)));
    }
    int64_t axis = options_.class_axis < 0 ? options_.class_axis + rank() : options_.class_axis;
    if (axis < 1 || axis >= rank()) {
      return invalid_input(fmt::format("classes on axis {} do not fit an output of {}", options_.class_axis,
                                       to_string(x_->type)));
    }
    if (axis == 1) {
      Shape trimmed = shape_;
      while (trimmed.size() > 2 && trimmed.back().is_constant(1)) trimmed.pop_back();
      if (trimmed.size() < shape_.size()) x_ = b.reshape(x_, trimmed);
      shape_ = trimmed;
      return {};
    }
    permutation_ = {0, axis};
    for (int64_t i = 1; i < rank(); ++i) {
      if (i != axis) permutation_.push_back(i);
    }
    x_ = b.transpose(x_, permutation_);
    shape_ = *x_->type.shape;
    return {};
  }

  Status make_class_weights() {
    if (options_.class_weights.empty()) return {};
    int64_t count = static_cast<int64_t>(options_.class_weights.size());
    int64_t axis = has_classes(options_.kind) ? 1
                   : rank() == 1              ? -1
                   : options_.class_axis < 0  ? options_.class_axis + rank()
                                              : options_.class_axis;
    if (axis >= rank())
      return invalid_input(
          fmt::format("classes on axis {} do not fit an output of {}", axis, to_string(x_->type)));
    Dim classes = axis < 0 ? Dim(1) : shape_[static_cast<size_t>(axis)];
    if (!classes.is_constant(count)) {
      return invalid_input(fmt::format("{} class weights do not fit {} classes", count, classes.to_string()));
    }
    Tensor weights = Tensor::from<double>({count}, options_.class_weights);
    class_weights_ = b.constant(TRY(convert(weights, dtype_)));
    if (axis >= 0)
      wide_class_weights_ = b.unsqueeze(class_weights_, axes_without(axis));
    else
      wide_class_weights_ = class_weights_;
    return {};
  }

  Value* target_like(const Shape& shape, DType dtype) {
    if (target_ == nullptr) target_ = b.graph().add_input("target", Type::tensor(dtype, shape));
    return target_;
  }

  // Probabilities in the order of the model's axes.
  Value* soft_target() {
    if (permutation_.empty()) return target_like(shape_, dtype_);
    Shape own(shape_.size());
    for (size_t i = 0; i < permutation_.size(); ++i) own[static_cast<size_t>(permutation_[i])] = shape_[i];
    return b.transpose(target_like(own, dtype_), permutation_);
  }

  Result<Value*> class_terms() {
    if (options_.kind == Loss::kKl) {
      Value* log_probability = b.op("LogSoftmax", {x_}, {{"axis", int64_t{1}}});
      E t = E::arg(0), y = E::arg(1);
      E term = select(t <= 0, 0.0, t * scalar::log(select(t <= 0, 1.0, t))) - t * y;
      divisor_ = batch();
      return b.reduce_sum(b.map(term, {soft_target(), log_probability}), {1}, false);
    }
    return options_.soft_labels ? soft_terms() : hard_terms();
  }

  // What the loss gains from each class being right: log p, or (p^q - 1) / q.
  Value* gains() {
    Value* log_probability = b.op("LogSoftmax", {x_}, {{"axis", int64_t{1}}});
    if (options_.kind != Loss::kGeneralizedCrossEntropy) return log_probability;
    constexpr double kUsual = 0.7;
    const double q = options_.q.value_or(kUsual);
    return b.map(scalar::expm1(q * E::arg(0)) / q, {log_probability});
  }

  // With bootstrapping the rest of each target is what the model says itself.
  Value* with_own(Value* terms, Value* log_probability) {
    if (!bootstraps(options_.kind)) return terms;
    const bool soft = options_.kind == Loss::kBootstrapSoft;
    Value* own = nullptr;
    if (soft) {
      E y = E::arg(0);
      own = b.map(-scalar::exp(y) * y, {log_probability});
      if (wide_class_weights_) own = b.mul(own, wide_class_weights_);
      own = b.reduce_sum(own, {1}, false);
    } else {
      Value* likeliest = b.op("ArgMax", {log_probability}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
      own = b.op("NegativeLogLikelihoodLoss", with_weights(log_probability, likeliest),
                 {{"reduction", std::string("none")}});
    }
    if (options_.ignore_index) own = b.mul(own, counted(target_));
    const double beta = options_.beta.value_or(soft ? 0.95 : 0.8);
    return b.map(beta * E::arg(0) + (1 - beta) * E::arg(1), {terms, own});
  }

  Value* soft_terms() {
    Value* target = soft_target();
    Value* gained = gains();
    double smoothing = options_.label_smoothing;
    if (smoothing > 0)
      target =
          b.add(b.mul(target, b.number(1 - smoothing, x_)), b.div(b.number(smoothing, x_), class_count()));
    Value* terms = b.mul(gained, target);
    if (wide_class_weights_) terms = b.mul(terms, wide_class_weights_);
    return with_own(b.neg(b.reduce_sum(terms, {1}, false)), gained);
  }

  Result<Value*> hard_terms() {
    Shape label_shape = shape_;
    label_shape.erase(label_shape.begin() + 1);
    Value* target = target_like(label_shape, DType::kI64);
    Attributes attrs = {{"reduction", std::string("none")}};
    if (options_.ignore_index) attrs.set("ignore_index", *options_.ignore_index);
    const bool whole = !options_.sample_weights && !by_rows_;
    if (options_.kind == Loss::kCrossEntropy && options_.label_smoothing == 0 && whole) {
      attrs.set("reduction", std::string("mean"));
      is_mean_ = true;
      return b.op("SoftmaxCrossEntropyLoss", with_weights(x_, target), std::move(attrs));
    }
    Value* gained = gains();
    Value* terms = b.op("NegativeLogLikelihoodLoss", with_weights(gained, target), std::move(attrs));
    divisor_ = hard_divisor(target);
    double smoothing = options_.label_smoothing;
    if (smoothing == 0) return with_own(terms, gained);
    Value* all = wide_class_weights_ ? b.mul(gained, wide_class_weights_) : gained;
    Value* smooth = b.div(b.reduce_sum(all, {1}, false), class_count());
    if (options_.ignore_index) smooth = b.mul(smooth, counted(target));
    E mix = (1 - smoothing) * E::arg(0) - smoothing * E::arg(1);
    return with_own(b.map(mix, {terms, smooth}), gained);
  }

  std::vector<Value*> with_weights(Value* scores, Value* target) const {
    if (class_weights_) return {scores, target, class_weights_};
    return {scores, target};
  }

  // 1 at positions that count, 0 at ignored ones.
  Value* counted(Value* target) {
    Value* ignored = b.op("Equal", {target, b.constant(Tensor::scalar<int64_t>(*options_.ignore_index))});
    return b.cast(b.op("Not", {ignored}), dtype_);
  }

  // The sum of the weights of the targets, or their number where classes have none; null: the number of
  // terms.
  Value* hard_divisor(Value* target) {
    if (!class_weights_ && !options_.ignore_index) return nullptr;
    Value* weights = options_.ignore_index ? counted(target) : nullptr;
    if (class_weights_) {
      Value* index = target;
      if (options_.ignore_index) index = b.mul(target, b.cast(weights, DType::kI64));
      Value* each = b.op("Gather", {class_weights_, index}, {{"axis", int64_t{0}}});
      weights = weights ? b.mul(weights, each) : each;
    }
    return sum(weights);
  }

  Value* elementwise_terms() {
    E x = E::arg(0), t = E::arg(1), d = x - t;
    Value* target = target_like(shape_, dtype_);
    double delta = options_.huber_delta;
    switch (options_.kind) {
      case Loss::kL1:
        return b.map(scalar::abs(d), {x_, target});
      case Loss::kHuber:
        return b.map(select(scalar::abs(d) < delta, 0.5 * d * d, delta * (scalar::abs(d) - 0.5 * delta)),
                     {x_, target});
      case Loss::kBinaryCrossEntropy:
        if (!wide_class_weights_) return b.map(scalar::softplus(x) - x * t, {x_, target});
        return b.map((1.0 - t) * x + ((E::arg(2) - 1.0) * t + 1.0) * scalar::softplus(-x),
                     {x_, target, wide_class_weights_});
      default:
        return b.map(d * d, {x_, target});
    }
  }

  Value* total(Value* terms) {
    if (is_mean_) return terms;
    Value* divisor = divisor_ ? divisor_ : count(terms);
    if (options_.sample_weights) {
      Value* weight = b.graph().add_input("sample_weight", Type::tensor(dtype_, Shape{shape_[0]}));
      int64_t terms_rank = terms->type.rank();
      std::vector<int64_t> others;
      for (int64_t i = 1; i < terms_rank; ++i) others.push_back(i);
      terms = b.mul(terms, others.empty() ? weight : b.unsqueeze(weight, others));
    }
    return b.div(sum(terms), divisor);
  }

  Value* sum(Value* value) {
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < value->type.rank(); ++i) axes.push_back(i);
    return axes.empty() ? value : b.reduce_sum(value, axes, false);
  }
  Value* scalar_of(const Dim& dim) { return b.cast(b.squeeze(b.dims({dim}), {0}), dtype_); }
  Value* count(Value* value) { return scalar_of(element_count(*value->type.shape)); }
  Value* batch() { return scalar_of(shape_[0]); }
  Value* class_count() { return scalar_of(shape_[1]); }

  GraphBuilder& b;
  const LossOptions& options_;
  DType dtype_ = DType::kUndefined;
  Value* x_ = nullptr;
  Shape shape_;
  std::vector<int64_t> permutation_;  // of the model's axes, where the classes are not second
  Value* target_ = nullptr;
  Value* class_weights_ = nullptr;       // [classes]
  Value* wide_class_weights_ = nullptr;  // broadcasts against the output
  Value* divisor_ = nullptr;             // of the sum; null: the number of terms
  bool is_mean_ = false;                 // the terms are the loss already
  bool by_rows_ = false;                 // a loss for each row is asked for
};

}  // namespace

bool has_classes(Loss loss) { return takes_classes(loss) || loss == Loss::kKl; }

bool takes_classes(Loss loss) {
  return loss == Loss::kCrossEntropy || bootstraps(loss) || loss == Loss::kGeneralizedCrossEntropy;
}

std::string_view name_of(Loss loss) {
  constexpr std::string_view kNames[] = {"cross entropy",        "mean squared error",
                                         "binary cross entropy", "mean absolute error",
                                         "Huber loss",           "Kullback-Leibler divergence",
                                         "soft bootstrapping",   "hard bootstrapping",
                                         "generalized cross entropy"};
  return kNames[static_cast<size_t>(loss)];
}

Result<Value*> build_loss(GraphBuilder& b, const LossOptions& options, Value* prediction) {
  return LossBuilder(b, options).build(prediction);
}

Result<RowLosses> build_row_losses(GraphBuilder& b, const LossOptions& options, Value* prediction, Value* target) {
  return LossBuilder(b, options).build_rows(prediction, target);
}

}  // namespace gannet
