#include "passes/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "passes/twin_model.h"
#include "passes/weights_to_state.h"

namespace gannet {

namespace {

using E = ScalarExpr;

Status check_range(std::string_view name, double value, double low, double high) {
  if (value >= low && value < high) return {};
  return invalid_input(fmt::format("{} must be at least {} and below {}, got {}", name, low, high, value));
}

Status check_options(const OptimizerOptions& o) {
  constexpr double kInfinity = HUGE_VAL;
  TRY(check_range("momentum", o.momentum, 0, kInfinity));
  TRY(check_range("beta1", o.beta1, 0, 1));
  TRY(check_range("beta2", o.beta2, 0, 1));
  TRY(check_range("epsilon", o.epsilon, 0, kInfinity));
  TRY(check_range("weight decay", o.weight_decay, 0, kInfinity));
  TRY(check_range("the bound of gradients", o.clip_value, 0, kInfinity));
  TRY(check_range("the bound of the gradient norm", o.clip_norm, 0, kInfinity));
  TRY(check_range("the decay of the moving average", o.ema_decay, 0, 1));
  for (const RateRule& rule : o.rates) {
    TRY(check_range(fmt::format("the learning rate multiplier of '{}'", rule.pattern), rule.multiplier, 0,
                    kInfinity));
    if (rule.after < 0)
      return invalid_input(fmt::format("'{}' waits for {} updates, which is less than none", rule.pattern, rule.after));
  }
  if (o.momentum != 0 && o.kind != Optimizer::kSgd) {
    return invalid_input(fmt::format("momentum is an option of SGD, {} has none", name_of(o.kind)));
  }
  if (o.nesterov && o.momentum == 0) return invalid_input("Nesterov's rule needs a momentum");
  return {};
}

// x + t (y - x), from the nearer end, as torch.lerp.
E lerp(const E& x, const E& y, double t) { return t < 0.5 ? x + t * (y - x) : y - (1 - t) * (y - x); }

class UpdateBuilder {
 public:
  UpdateBuilder(GraphBuilder& builder, const OptimizerOptions& optimizer_options, Value* rate)
      : b(builder), options_(optimizer_options), full_rate_(b.cast(rate, DType::kF64)), rate_(full_rate_) {}

  Result<Value*> build(std::vector<Value*> gradients) {
    TRY(check_options(options_));
    count_ = gradients.size();
    b.graph().states.reserve(4 * count_ + 1);
    for (size_t i = 0; i < count_; ++i) {
      if (multiplier(i) == 0) gradients[i] = nullptr;
    }
    if (options_.clip_value > 0) {
      for (Value*& g : gradients) {
        if (g) g = b.map(scalar::min(scalar::max(E::arg(0), -options_.clip_value), options_.clip_value), {g});
      }
    }
    Value* norm = norm_of(gradients);
    if (options_.clip_norm > 0) {
      clip_ = b.map(scalar::min(options_.clip_norm / (E::arg(0) + 1e-6), 1.0), {norm});
    }
    count_step();
    for (size_t i = 0; i < count_; ++i) {
      if (gradients[i]) update(i, gradients[i]);
    }
    TRY(Status(b.status()));
    return norm;
  }

 private:
  double epsilon() const {
    if (options_.epsilon > 0) return options_.epsilon;
    return options_.kind == Optimizer::kAdagrad ? 1e-10 : options_.kind == Optimizer::kLamb ? 1e-6 : 1e-8;
  }

  RateRule rule_of(size_t i) const {
    for (const RateRule& rule : options_.rates) {
      if (matches_pattern(rule.pattern, model_state_name(b.graph().states[i].name))) return rule;
    }
    return {};
  }
  double multiplier(size_t i) const { return rule_of(i).multiplier; }

  // The rate of the weights that wait for so many updates, and what tells it from other rates.
  void set_pace(int64_t after) {
    Value*& rate = paces_[after];
    if (rate == nullptr && after == 0) rate = full_rate_;
    if (rate == nullptr) rate = b.map(select(E::arg(0) > static_cast<double>(after), E::arg(1), 0.0), {step_, full_rate_});
    rate_ = rate;
    pace_ = after == 0 ? "" : fmt::format(" after {}", after);
  }

  double decay(size_t i) const {
    const State& state = b.graph().states[i];
    bool excluded = !options_.decay_vectors && state.initial.rank() < 2;
    excluded |= std::ranges::any_of(
        options_.no_decay,
        [&](const std::string& pattern) { return matches_pattern(pattern, model_state_name(state.name)); });
    return excluded ? 0 : options_.weight_decay;
  }

  Value* norm_of(const std::vector<Value*>& tensors) {
    Value* sum = nullptr;
    for (Value* tensor : tensors) {
      if (tensor == nullptr) continue;
      Value* square = sum_of_squares(tensor);
      sum = sum ? b.add(sum, square) : square;
    }
    return sum ? b.op("Sqrt", {sum}) : b.constant(Tensor::scalar(0.0));
  }

  // Of a table of which Gather took a few rows, each of these times the sum that it went into: a batch names
  // fewer rows than the table has.
  Value* sum_of_squares(Value* tensor) {
    const Node* node = tensor->producer();
    if (node == nullptr || node->op().name != "GatherGradient") return sum_of_products(tensor, tensor);
    Value* sums = b.op("Gather", {tensor, node->input(1)}, {{"axis", node->attrs.integer("axis")}});
    return sum_of_products(node->input(0), sums);
  }

  // Row by row first: the products then stay in registers, and threads share the rows.
  Value* sum_of_products(Value* x, Value* y) {
    std::vector<int64_t> axes;
    for (int64_t i = 1; i < x->type.rank(); ++i) axes.push_back(i);
    Value* sum = b.mul(x, y);
    if (!axes.empty()) sum = b.reduce_sum(sum, axes, false);
    return b.cast(sum->type.rank() == 0 ? sum : b.reduce_sum(sum, {0}, false), DType::kF64);
  }

  // A State of zeros, or of what `initial` holds; returns its index.
  size_t add_state(const std::string& name, Tensor initial) {
    Value* in = b.graph().add_state_value(name, Type::tensor(initial.dtype(), to_shape(initial.extents())));
    b.graph().states.push_back({name, in, nullptr, std::move(initial), {}});
    return b.graph().states.size() - 1;
  }

  // The slot of weight i and its new value, given as a function of the old slot (argument 0) and `operands`.
  Value* slot(size_t i, std::string_view kind, const E& body, std::vector<Value*> operands) {
    const Tensor& weight = b.graph().states[i].initial;
    size_t index = add_state(fmt::format("{}/{}", kind, b.graph().states[i].name),
                             Tensor::zeros(weight.dtype(), weight.extents()));
    operands.insert(operands.begin(), b.graph().states[index].in);
    Value* next = b.map(body, std::move(operands));
    b.graph().states[index].out = next;
    return next;
  }

  void count_step() {
    bool corrects = options_.kind == Optimizer::kAdam || options_.kind == Optimizer::kAdamW ||
                    options_.kind == Optimizer::kLamb;
    const bool waits = std::ranges::any_of(options_.rates, [](const RateRule& rule) { return rule.after > 0; });
    const bool warms = options_.ema_decay > 0 && options_.ema_warmup;
    if (!corrects && !waits && !warms) return;
    size_t index = add_state(options_.prefix + "train.step", Tensor::scalar<int64_t>(0));
    Value* step = b.map(E::arg(0) + E::integer(1), {b.graph().states[index].in});
    b.graph().states[index].out = step;
    Value* t = b.cast(step, DType::kF64);
    step_ = t;
    if (!corrects) return;
    correction1_ = b.map(1.0 - scalar::pow(options_.beta1, E::arg(0)), {t});
    root_correction2_ = b.map(scalar::sqrt(1.0 - scalar::pow(options_.beta2, E::arg(0))), {t});
  }

  // A scalar computed in f64, in the dtype of the weights; equal ones are built once.
  Value* shared(const std::string& key, DType dtype, const E& body, std::vector<Value*> operands) {
    Value*& value = shared_[{key, dtype}];
    if (value == nullptr) value = b.cast(b.map(body, std::move(operands)), dtype);
    return value;
  }

  void update(size_t i, Value* gradient) {
    Value* w = b.graph().states[i].in;
    DType dtype = w->type.dtype;
    double factor = multiplier(i), wd = decay(i);
    set_pace(rule_of(i).after);
    if (clip_) gradient = b.mul(gradient, shared("clip", dtype, E::arg(0), {clip_}));
    bool coupled = options_.kind == Optimizer::kSgd || options_.kind == Optimizer::kAdam ||
                   options_.kind == Optimizer::kAdagrad;
    if (coupled && wd > 0) gradient = b.map(E::arg(0) + wd * E::arg(1), {gradient, w});
    Value* next = nullptr;
    switch (options_.kind) {
      case Optimizer::kSgd:
        next = sgd(i, w, gradient, factor);
        break;
      case Optimizer::kAdagrad:
        next = adagrad(i, w, gradient, factor);
        break;
      case Optimizer::kLamb:
        next = lamb(i, w, gradient, factor, wd);
        break;
      default:
        next = adam(i, w, gradient, factor, options_.kind == Optimizer::kAdamW ? wd : 0);
        break;
    }
    b.graph().states[i].out = next;
    if (options_.ema_decay > 0) average(i, next);
  }

  Value* step_size(DType dtype, double factor) {
    return shared(fmt::format("rate {}{}", factor, pace_), dtype, E::arg(0) * factor, {rate_});
  }

  Value* sgd(size_t i, Value* w, Value* g, double factor) {
    E x = E::arg(0), d = E::arg(1), rate = E::arg(2);
    if (options_.momentum == 0) return b.map(x - rate * d, {w, g, step_size(w->type.dtype, factor)});
    double mu = options_.momentum;
    Value* buffer = slot(i, "sgd.momentum", mu * E::arg(0) + E::arg(1), {g});
    if (!options_.nesterov) return b.map(x - rate * d, {w, buffer, step_size(w->type.dtype, factor)});
    return b.map(x - rate * (d + mu * E::arg(3)), {w, g, step_size(w->type.dtype, factor), buffer});
  }

  Value* adagrad(size_t i, Value* w, Value* g, double factor) {
    Value* sum = slot(i, "adagrad.sum", E::arg(0) + E::arg(1) * E::arg(1), {g});
    E body = E::arg(0) - E::arg(3) * E::arg(1) / (scalar::sqrt(E::arg(2)) + epsilon());
    return b.map(body, {w, g, sum, step_size(w->type.dtype, factor)});
  }

  std::pair<Value*, Value*> moments(size_t i, std::string_view kind, Value* g) {
    double beta2 = options_.beta2;
    Value* m = slot(i, fmt::format("{}.m", kind), lerp(E::arg(0), E::arg(1), 1 - options_.beta1), {g});
    Value* v =
        slot(i, fmt::format("{}.v", kind), beta2 * E::arg(0) + (1 - beta2) * E::arg(1) * E::arg(1), {g});
    return {m, v};
  }

  Value* adam(size_t i, Value* w, Value* g, double factor, double wd) {
    DType dtype = w->type.dtype;
    auto [m, v] = moments(i, "adam", g);
    Value* size =
        shared(fmt::format("adam {}{}", factor, pace_), dtype, E::arg(0) * factor / E::arg(1), {rate_, correction1_});
    Value* root = shared("root", dtype, E::arg(0), {root_correction2_});
    E step = E::arg(3) * E::arg(1) / (scalar::sqrt(E::arg(2)) / E::arg(4) + epsilon());
    if (wd == 0) return b.map(E::arg(0) - step, {w, m, v, size, root});
    Value* shrink =
        shared(fmt::format("shrink {} {}{}", factor, wd, pace_), dtype, 1.0 - E::arg(0) * factor * wd, {rate_});
    return b.map(E::arg(0) * E::arg(5) - step, {w, m, v, size, root, shrink});
  }

  Value* lamb(size_t i, Value* w, Value* g, double factor, double wd) {
    DType dtype = w->type.dtype;
    auto [m, v] = moments(i, "lamb", g);
    Value* first = shared("first", dtype, E::arg(0), {correction1_});
    Value* root = shared("root", dtype, E::arg(0), {root_correction2_});
    E body = E::arg(1) / E::arg(3) / (scalar::sqrt(E::arg(2)) / E::arg(4) + epsilon());
    if (wd > 0) body = body + wd * E::arg(0);
    Value* update = b.map(body, {w, m, v, first, root});
    Value* rate = step_size(dtype, factor);
    if (wd > 0) {
      E ratio = scalar::sqrt(E::arg(0) / select(E::arg(1) > 0, E::arg(1), 1.0));
      E trust = select(E::arg(0) > 0 && E::arg(1) > 0, ratio, 1.0) * E::arg(2) * factor;
      rate = b.cast(b.map(trust, {sum_of_squares(w), sum_of_squares(update), rate_}), dtype);
    }
    return b.map(E::arg(0) - E::arg(2) * E::arg(1), {w, update, rate});
  }

  void average(size_t i, Value* weight) {
    size_t index = add_state("ema/" + b.graph().states[i].name, b.graph().states[i].initial);
    const double share = 1 - options_.ema_decay;
    State& shadow = b.graph().states[index];
    if (!options_.ema_warmup) {
      shadow.out = b.map(lerp(E::arg(0), E::arg(1), share), {shadow.in, weight});
      return;
    }
    Value* part = shared("ema", weight->type.dtype, scalar::max(share, 1.0 / (E::arg(0) + 1.0)), {step_});
    shadow.out = b.map(E::arg(0) + E::arg(2) * (E::arg(1) - E::arg(0)), {shadow.in, weight, part});
  }

  GraphBuilder& b;
  const OptimizerOptions& options_;
  Value* full_rate_;                   // f64
  Value* rate_;                        // f64, of the weight in hand
  std::string pace_;                   // names it
  std::map<int64_t, Value*> paces_;    // by RateRule::after
  Value* step_ = nullptr;              // f64, updates with this one
  Value* clip_ = nullptr;              // f64
  Value* correction1_ = nullptr;       // f64, 1 - beta1^step
  Value* root_correction2_ = nullptr;  // f64, sqrt(1 - beta2^step)
  size_t count_ = 0;
  std::map<std::pair<std::string, DType>, Value*> shared_;
};

}  // namespace

std::string_view name_of(Optimizer optimizer) {
  constexpr std::string_view kNames[] = {"SGD", "Adam", "AdamW", "Adagrad", "LAMB"};
  return kNames[static_cast<size_t>(optimizer)];
}

Result<Value*> build_update(GraphBuilder& b, const OptimizerOptions& options,
                            const std::vector<Value*>& gradients, Value* rate) {
  return UpdateBuilder(b, options, rate).build(gradients);
}

}  // namespace gannet
