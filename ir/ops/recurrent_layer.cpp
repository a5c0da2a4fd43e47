#include "ir/ops/recurrent_layer.h"

#include <algorithm>
#include <cmath>

#include "ir/contraction.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"

namespace gannet {
namespace {

constexpr std::string_view kRoles[] = {"X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"};

int64_t direction_count(const Attributes& attrs) {
  return attrs.text("direction") == "bidirectional" ? 2 : 1;
}

struct NamedActivation {
  std::string_view name;
  ActivationKind kind;
  int parameters;  // 1: alpha; 2: alpha and beta
  double alpha;
  double beta;
};

constexpr NamedActivation kActivations[] = {
    {"Relu", ActivationKind::kRelu, 0, 0, 0},
    {"Tanh", ActivationKind::kTanh, 0, 0, 0},
    {"Sigmoid", ActivationKind::kSigmoid, 0, 0, 0},
    {"Affine", ActivationKind::kAffine, 2, 1, 0},
    {"LeakyRelu", ActivationKind::kLeakyRelu, 1, 0.01, 0},
    {"ThresholdedRelu", ActivationKind::kThresholdedRelu, 1, 1, 0},
    {"ScaledTanh", ActivationKind::kScaledTanh, 2, 1, 1},
    {"HardSigmoid", ActivationKind::kHardSigmoid, 2, 0.2, 0.5},
    {"Elu", ActivationKind::kElu, 1, 1, 0},
    {"Softsign", ActivationKind::kSoftsign, 0, 0, 0},
    {"Softplus", ActivationKind::kSoftplus, 0, 0, 0},
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    auto lower = [](char ch) { return ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch - 'A' + 'a') : ch; };
    return lower(x) == lower(y);
  });
}

// Operand i has this shape as far as both are known.
Status expect_shape(const InferContext& c, size_t i, const Shape& wanted) {
  if (!c.has(i)) return {};
  TRY(expect_rank(c, i, static_cast<int64_t>(wanted.size()), kRoles[i]));
  if (!c.shape(i)) return {};
  const Shape& shape = *c.shape(i);
  for (size_t d = 0; d < wanted.size(); ++d) {
    if (shape[d].is_constant() && wanted[d].is_constant() && shape[d] != wanted[d]) {
      return invalid_model(fmt::format("input {} ({}) must have shape {}, got {}", i, kRoles[i],
                                       to_string(std::span<const Dim>(wanted)),
                                       to_string(std::span<const Dim>(shape))));
    }
  }
  return {};
}

Result<Dim> hidden_size(InferContext& c) {
  if (c.attrs().has("hidden_size")) {
    int64_t size = c.attrs().integer("hidden_size");
    if (size < 1 || size > int64_t{1} << 40) return invalid_model(fmt::format("hidden_size is {}", size));
    return Dim(size);
  }
  if (c.shape(kR) && c.shape(kR)->size() == 3) return c.shape(kR)->back();
  return c.fresh("hidden");
}

// X as [steps, batch, input].
Tensor steps_first(EvalContext& c, Tensor x, Tensor swapped) {
  if (c.attrs().integer("layout") == 0) return x;
  int64_t batch = x.extent(0), steps = x.extent(1), size = x.extent(2);
  StridedWalk walk{{steps, batch, size}, {size, steps * size, 1}, {batch * size, size, 1}, 0, 0};
  if (x.elements() > 0) copy_strided(x, swapped, walk);
  return swapped;
}

struct Layer {
  RecurrentOperands operands;
  Tensor y, last_h, last_c;
};

Result<std::vector<int64_t>> lengths_of(const EvalContext& c, const RecurrentExtents& e) {
  std::vector<int64_t> lengths(static_cast<size_t>(e.batch), e.steps);
  if (!c.has(kLengths)) return lengths;
  lengths = c.tensor(kLengths).ints();
  for (int64_t length : lengths) {
    if (length < 0 || length > e.steps) {
      return invalid_input(fmt::format("sequence_lens holds {}, X has {} steps", length, e.steps));
    }
  }
  return lengths;
}

Result<Layer> prepare(EvalContext& c, const RecurrentCell& kind) {
  Layer layer;
  layer.operands = TRY(recurrent_operands(c, kind));
  const RecurrentOperands& o = layer.operands;
  const RecurrentExtents& e = o.extents;
  DType dtype = o.x.dtype();
  std::vector<int64_t> state = {o.directions, e.batch, e.hidden};
  if (o.batch_first) std::swap(state[0], state[1]);
  layer.last_h = TRY(c.allocate(dtype, state));
  layer.last_c = TRY(c.allocate(dtype, kind.has_cell_state ? state : std::vector<int64_t>{0}));
  layer.y = TRY(c.allocate(dtype, o.batch_first ? std::vector<int64_t>{e.batch, e.steps, o.directions, e.hidden}
                                                : std::vector<int64_t>{e.steps, o.directions, e.batch, e.hidden}));
  return layer;
}

// The inputs of all steps times the weights, plus the biases: [steps * batch, gates * hidden].
template <class T>
void project(const RecurrentOperands& layer, int64_t direction, std::span<const T> bias, std::span<T> projected) {
  const RecurrentExtents& e = layer.extents;
  int64_t rows = e.steps * e.batch, columns = e.gates * e.hidden;
  const T* w = layer.w.data<T>().data() + direction * columns * e.input;
  multiply<T>({rows, columns, e.input}, {layer.x.data<T>().data(), e.input, 1}, {w, 1, e.input},
              {projected.data(), columns, false});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j)
      projected[static_cast<size_t>(i * columns + j)] += bias[static_cast<size_t>(j)];
  }
}

template <class T>
std::vector<T> projection_bias(const EvalContext& c, const RecurrentOperands& layer, int64_t direction,
                               bool (*add_recurrence_bias)(const Attributes&, int64_t)) {
  const RecurrentExtents& e = layer.extents;
  int64_t columns = e.gates * e.hidden;
  std::vector<T> bias(static_cast<size_t>(columns), T(0));
  if (!layer.b.defined()) return bias;
  const T* given = layer.b.data<T>().data() + direction * 2 * columns;
  for (int64_t j = 0; j < columns; ++j) {
    bias[static_cast<size_t>(j)] = given[j];
    if (add_recurrence_bias(c.attrs(), j / e.hidden)) bias[static_cast<size_t>(j)] += given[columns + j];
  }
  return bias;
}

template <class T>
void load_state(const RecurrentOperands& layer, const Tensor& initial, int64_t direction, T* state) {
  int64_t hidden = layer.extents.hidden;
  for (int64_t row = 0; row < layer.extents.batch; ++row, state += hidden) {
    if (!initial.defined())
      std::fill(state, state + hidden, T(0));
    else
      std::copy_n(initial.data<T>().data() + layer.state_offset(direction, row), hidden, state);
  }
}

template <class T>
void store_state(const RecurrentOperands& layer, const T* state, int64_t direction, Tensor& result) {
  T* data = result.mutable_data<T>().data();
  int64_t hidden = layer.extents.hidden;
  for (int64_t row = 0; row < layer.extents.batch; ++row, state += hidden) {
    std::copy_n(state, hidden, data + layer.state_offset(direction, row));
  }
}

// Storage of one direction while it runs.
struct DirectionStorage {
  Tensor projected, products, h, c, scratch;
};

Result<DirectionStorage> allocate_direction(EvalContext& c, const RecurrentExtents& e, DType dtype) {
  DirectionStorage s;
  s.projected = TRY(c.allocate(dtype, {e.steps, e.batch, e.gates * e.hidden}));
  s.products = TRY(c.allocate(dtype, {e.batch, e.gates * e.hidden}));
  s.h = TRY(c.allocate(dtype, {e.batch, e.hidden}));
  s.c = TRY(c.allocate(dtype, {e.batch, e.hidden}));
  s.scratch = TRY(c.allocate(dtype, {e.batch, e.hidden}));
  return s;
}

template <class T>
RecurrentDirection<T> direction_of(const RecurrentOperands& layer, int64_t direction, DirectionStorage& storage) {
  const RecurrentExtents& e = layer.extents;
  int64_t columns = e.gates * e.hidden;
  size_t functions = layer.activations.size() / static_cast<size_t>(layer.directions);
  RecurrentDirection<T> d;
  d.extents = e;
  d.activations = std::span<const Activation>(layer.activations)
                      .subspan(static_cast<size_t>(direction) * functions, functions);
  d.recurrence = layer.r.data<T>().data() + direction * columns * e.hidden;
  if (layer.b.defined()) d.recurrence_bias = layer.b.data<T>().data() + (direction * 2 + 1) * columns;
  if (layer.p.defined()) d.peepholes = layer.p.data<T>().data() + direction * 3 * e.hidden;
  d.h = storage.h.mutable_data<T>().data();
  d.c = storage.c.mutable_data<T>().data();
  d.products = storage.products.mutable_data<T>().data();
  d.scratch = storage.scratch.mutable_data<T>().data();
  d.inputs.resize(static_cast<size_t>(e.batch));
  load_state(layer, layer.initial_h, direction, d.h);
  load_state(layer, layer.initial_c, direction, d.c);
  return d;
}

template <class T>
Status run_direction(EvalContext& c, Layer& layer, int64_t direction, bool reverse, CellStep<T> step,
                     bool (*add_recurrence_bias)(const Attributes&, int64_t)) {
  const RecurrentOperands& o = layer.operands;
  const RecurrentExtents& e = o.extents;
  DirectionStorage storage = TRY(allocate_direction(c, e, dtype_of<T>()));
  std::vector<T> bias = projection_bias<T>(c, o, direction, add_recurrence_bias);
  project<T>(o, direction, bias, storage.projected.mutable_data<T>());
  RecurrentDirection<T> d = direction_of<T>(o, direction, storage);
  const T* x = storage.projected.data<T>().data();
  T* y = layer.y.mutable_data<T>().data();
  auto time_of = [&](int64_t s, int64_t row) {
    int64_t length = o.lengths[static_cast<size_t>(row)];
    return s < length && reverse ? length - 1 - s : s;
  };
  for (int64_t s = 0; s < e.steps; ++s) {
    for (int64_t row = 0; row < e.batch; ++row) {
      bool running = s < o.lengths[static_cast<size_t>(row)];
      d.inputs[static_cast<size_t>(row)] =
          running ? x + (time_of(s, row) * e.batch + row) * e.gates * e.hidden : nullptr;
    }
    step(c.attrs(), d);
    for (int64_t row = 0; row < e.batch; ++row) {
      T* target = y + o.output_offset(direction, time_of(s, row), row);
      if (d.inputs[static_cast<size_t>(row)])
        std::copy_n(d.h + row * e.hidden, e.hidden, target);
      else
        std::fill_n(target, e.hidden, T(0));
    }
  }
  store_state(o, d.h, direction, layer.last_h);
  if (layer.last_c.rank() == 3) store_state(o, d.c, direction, layer.last_c);
  return {};
}

template <class T>
Status run_layer(EvalContext& c, Layer& layer, CellStep<T> step,
                 bool (*add_recurrence_bias)(const Attributes&, int64_t)) {
  for (int64_t direction = 0; direction < layer.operands.directions; ++direction) {
    bool reverse = direction == 1 || c.attrs().text("direction") == "reverse";
    TRY(run_direction<T>(c, layer, direction, reverse, step, add_recurrence_bias));
  }
  return {};
}

}  // namespace

template <class T>
T Activation::operator()(T x) const {
  if (clip > 0) x = std::clamp(x, static_cast<T>(-clip), static_cast<T>(clip));
  T a = static_cast<T>(alpha), b = static_cast<T>(beta);
  switch (kind) {
    case ActivationKind::kRelu:
      return x < 0 ? T(0) : x;
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::kAffine:
      return a * x + b;
    case ActivationKind::kLeakyRelu:
      return x < 0 ? a * x : x;
    case ActivationKind::kThresholdedRelu:
      return x >= a ? x : T(0);
    case ActivationKind::kScaledTanh:
      return a * std::tanh(b * x);
    case ActivationKind::kHardSigmoid:
      return std::min(std::max(a * x + b, T(0)), T(1));
    case ActivationKind::kElu:
      return x < 0 ? a * std::expm1(x) : x;
    case ActivationKind::kSoftsign:
      return x / (1 + std::abs(x));
    case ActivationKind::kSoftplus:
      return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
  }
  __builtin_unreachable();
}
template float Activation::operator()(float) const;
template double Activation::operator()(double) const;

template <class T>
T Activation::derivative(T x) const {
  if (clip > 0 && (x < static_cast<T>(-clip) || x > static_cast<T>(clip))) return 0;
  T a = static_cast<T>(alpha), b = static_cast<T>(beta);
  auto tanh_slope = [](T v) {
    T y = std::tanh(v);
    return (1 - y) * (1 + y);
  };
  switch (kind) {
    case ActivationKind::kRelu:
      return x > 0 ? T(1) : T(0);
    case ActivationKind::kTanh:
      return tanh_slope(x);
    case ActivationKind::kSigmoid: {
      T y = 1 / (1 + std::exp(-x));
      return y * (1 - y);
    }
    case ActivationKind::kAffine:
      return a;
    case ActivationKind::kLeakyRelu:
      return x > 0 ? T(1) : a;
    case ActivationKind::kThresholdedRelu:
      return x > a ? T(1) : T(0);
    case ActivationKind::kScaledTanh:
      return a * b * tanh_slope(b * x);
    case ActivationKind::kHardSigmoid:
      return a * x + b > 0 && a * x + b < 1 ? a : T(0);
    case ActivationKind::kElu:
      return x > 0 ? T(1) : a * std::exp(x);
    case ActivationKind::kSoftsign:
      return 1 / ((1 + std::abs(x)) * (1 + std::abs(x)));
    case ActivationKind::kSoftplus:
      return 1 / (1 + std::exp(-x));
  }
  __builtin_unreachable();
}
template float Activation::derivative(float) const;
template double Activation::derivative(double) const;

template <class T>
void Activation::evaluate(T x, T& value, T& slope) const {
  value = (*this)(x);
  const bool clipped = clip > 0 && (x < static_cast<T>(-clip) || x > static_cast<T>(clip));
  // The two that almost every layer has know their slope from their value.
  if (kind == ActivationKind::kSigmoid && !clipped) slope = value * (1 - value);
  else if (kind == ActivationKind::kTanh && !clipped) slope = (1 - value) * (1 + value);
  else slope = derivative(x);
}
template void Activation::evaluate(float, float&, float&) const;
template void Activation::evaluate(double, double&, double&) const;

int64_t RecurrentOperands::state_offset(int64_t direction, int64_t row) const {
  return (batch_first ? row * directions + direction : direction * extents.batch + row) * extents.hidden;
}

int64_t RecurrentOperands::output_offset(int64_t direction, int64_t time, int64_t row) const {
  const RecurrentExtents& e = extents;
  if (batch_first) return ((row * e.steps + time) * directions + direction) * e.hidden;
  return ((time * directions + direction) * e.batch + row) * e.hidden;
}

Result<RecurrentOperands> recurrent_operands(EvalContext& c, const RecurrentCell& kind) {
  RecurrentOperands o;
  DType dtype = compute_dtype(c.tensor(kX).dtype());
  o.directions = direction_count(c.attrs());
  o.batch_first = c.attrs().integer("layout") != 0;
  Tensor x = TRY(widened(c.tensor(kX)));
  size_t steps_axis = o.batch_first ? 1 : 0;
  o.extents = {x.extents()[steps_axis], x.extents()[1 - steps_axis], x.extent(2), c.tensor(kR).extent(2), kind.gates};
  const RecurrentExtents& e = o.extents;
  o.x = steps_first(c, x, TRY(c.allocate(dtype, {e.steps, e.batch, e.input})));
  o.w = TRY(widened(c.tensor(kW)));
  o.r = TRY(widened(c.tensor(kR)));
  if (c.has(kB)) o.b = TRY(widened(c.tensor(kB)));
  if (c.has(kInitialH)) o.initial_h = TRY(widened(c.tensor(kInitialH)));
  if (c.has(kInitialC)) o.initial_c = TRY(widened(c.tensor(kInitialC)));
  if (c.has(kP)) o.p = TRY(widened(c.tensor(kP)));
  o.lengths = TRY(lengths_of(c, e));
  o.activations = TRY(activations_of(c.attrs(), kind, o.directions));
  return o;
}

Result<std::vector<Activation>> activations_of(const Attributes& attrs, const RecurrentCell& kind,
                                               int64_t directions) {
  size_t count = kind.activations.size() * static_cast<size_t>(directions);
  std::vector<std::string> names = attrs.texts("activations");
  if (names.empty()) {
    for (size_t i = 0; i < count; ++i) names.emplace_back(kind.activations[i % kind.activations.size()]);
  }
  if (names.size() < count) {
    return invalid_model(fmt::format("{} activations are needed, {} are given", count, names.size()));
  }
  float clip = attrs.has("clip") ? attrs.number("clip") : 0;
  if (!(clip >= 0)) return invalid_model(fmt::format("clip must not be negative, got {}", clip));
  const std::vector<float>&alphas = attrs.numbers("activation_alpha"),
        &betas = attrs.numbers("activation_beta");
  size_t next_alpha = 0, next_beta = 0;
  std::vector<Activation> result;
  for (size_t i = 0; i < count; ++i) {
    auto found = std::find_if(std::begin(kActivations), std::end(kActivations),
                              [&](const NamedActivation& a) { return same_letters(a.name, names[i]); });
    if (found == std::end(kActivations))
      return invalid_model(fmt::format("unknown activation '{}'", names[i]));
    Activation activation{found->kind, found->alpha, found->beta, static_cast<double>(clip)};
    if (found->parameters >= 1 && next_alpha < alphas.size())
      activation.alpha = static_cast<double>(alphas[next_alpha++]);
    if (found->parameters >= 2 && next_beta < betas.size())
      activation.beta = static_cast<double>(betas[next_beta++]);
    result.push_back(activation);
  }
  return result;
}

Result<RecurrentShapes> recurrent_shapes(InferContext& c, const RecurrentCell& kind) {
  TRY(expect_tensors(c, 3));
  TRY(expect_choice(c, "direction", {"forward", "reverse", "bidirectional"}));
  int64_t layout = c.attrs().integer("layout");
  if (layout != 0 && layout != 1) return invalid_model(fmt::format("layout must be 0 or 1, got {}", layout));
  for (size_t i = 0; i < std::min(c.operand_count(), kRecurrentOperands); ++i) {
    if (!c.has(i)) continue;
    if (i == kLengths)
      TRY(expect_dtype(c, i, DType::kI32, kRoles[i]));
    else
      TRY(expect_float(c, i, kRoles[i]));
    if (i != kLengths) TRY(expect_same_dtype(c, 0, i));
  }
  TRY(expect_rank(c, kX, 3, "X"));
  Shape x = c.shape(kX) ? *c.shape(kX) : fresh_shape(c, 3, "rnn");
  Dim steps = x[layout == 0 ? 0 : 1], batch = x[layout == 0 ? 1 : 0], hidden = TRY(hidden_size(c));
  int64_t directions = direction_count(c.attrs());
  TRY(activations_of(c.attrs(), kind, directions));
  TRY(expect_shape(c, kW, {directions, Dim(kind.gates) * hidden, x[2]}));
  TRY(expect_shape(c, kR, {directions, Dim(kind.gates) * hidden, hidden}));
  TRY(expect_shape(c, kB, {directions, Dim(2 * kind.gates) * hidden}));
  TRY(expect_shape(c, kLengths, {batch}));
  Shape state = layout == 0 ? Shape{directions, batch, hidden} : Shape{batch, directions, hidden};
  TRY(expect_shape(c, kInitialH, state));
  TRY(expect_shape(c, kInitialC, state));
  TRY(expect_shape(c, kP, {directions, Dim(3) * hidden}));
  return RecurrentShapes{
      layout == 0 ? Shape{steps, directions, batch, hidden} : Shape{batch, steps, directions, hidden}, state};
}

Status infer_recurrent(InferContext& c, const RecurrentCell& kind) {
  RecurrentShapes shapes = TRY(recurrent_shapes(c, kind));
  c.set_tensor(0, c.dtype(kX), shapes.y);
  c.set_tensor(1, c.dtype(kX), shapes.state);
  c.set_tensor(2, c.dtype(kX), shapes.state);
  return {};
}

template <class T>
void multiply_recurrence(const RecurrentDirection<T>& d, const T* rows, int64_t first_gate, int64_t gates) {
  const RecurrentExtents& e = d.extents;
  const T* r = d.recurrence + first_gate * e.hidden * e.hidden;
  multiply<T>({e.batch, gates * e.hidden, e.hidden}, {rows, e.hidden, 1}, {r, 1, e.hidden},
              {d.products + first_gate * e.hidden, e.gates * e.hidden, false});
}
template void multiply_recurrence(const RecurrentDirection<float>&, const float*, int64_t, int64_t);
template void multiply_recurrence(const RecurrentDirection<double>&, const double*, int64_t, int64_t);

Status eval_recurrent(EvalContext& c, const RecurrentCell& kind, CellStep<float> step32,
                      CellStep<double> step64,
                      bool (*add_recurrence_bias)(const Attributes& attrs, int64_t gate)) {
  Layer layer = TRY(prepare(c, kind));
  DType dtype = c.tensor(kX).dtype();
  if (dtype == DType::kF64)
    TRY(run_layer<double>(c, layer, step64, add_recurrence_bias));
  else
    TRY(run_layer<float>(c, layer, step32, add_recurrence_bias));
  c.set(0, TRY(as_dtype(layer.y, dtype)));
  c.set(1, TRY(as_dtype(layer.last_h, dtype)));
  if (kind.has_cell_state) c.set(2, TRY(as_dtype(layer.last_c, dtype)));
  return {};
}

}  // namespace gannet
