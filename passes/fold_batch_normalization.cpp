// Batch normalization in its inference form is a factor and a summand for each channel; those beside a
// convolution or a product with constant weights go into its weights and bias. New weights are computed in
// f64 and rounded once.
//
// This changes weights for good, so it belongs to inference pipelines only: a training graph keeps its
// weights as State, which no rule here touches.
#include <cmath>

#include "ir/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {

namespace {

using Numbers = std::vector<double>;

// Weights of a contraction as [rows, columns, rest], and which channel an element of row and column belongs
// to.
struct Layout {
  int64_t rows = 1, columns = 1, rest = 1;
  int64_t out_channels = 0, in_channels = 0;
  int64_t groups = 1;
  enum class Kind { kConv, kConvTranspose, kMatMul } kind = Kind::kConv;

  int64_t out_channel(int64_t row, int64_t column) const {
    if (kind == Kind::kConv) return row;
    if (kind == Kind::kMatMul) return column;
    return row / (in_channels / groups) * columns + column;
  }
  int64_t in_channel(int64_t row, int64_t column) const {
    if (kind == Kind::kConvTranspose) return row;
    if (kind == Kind::kMatMul) return row % in_channels;
    return row / (out_channels / groups) * columns + column;
  }
  // The axis of channels in an operand or result of this rank.
  size_t channel_axis(size_t rank) const { return kind == Kind::kMatMul ? rank - 1 : 1; }
};

// The layout of a node with constant weights and, if any, constant bias; nothing for other nodes.
std::optional<Layout> layout_of(const Node* node) {
  if (!node || !node->output() || !node->output()->type.shape || !node->input(1)) return std::nullopt;
  const Tensor* weights = node->input(1)->constant();
  const bool fits = weights && is_float(weights->dtype()) && weights->rank() >= 2 &&
                    weights->elements() > 0 && node->input(0)->type.shape;
  if (!fits || (node->input(2) && !is_constant(node->input(2)))) return std::nullopt;
  const std::string_view op = node->op().name;
  Layout layout;
  if (op == "MatMul") {
    layout.kind = Layout::Kind::kMatMul;
    layout.columns = layout.out_channels = weights->extents().back();
    layout.in_channels = weights->extent(weights->rank() - 2);
    layout.rows = weights->elements() / layout.columns;
    return layout;
  }
  if (op != "Conv" && op != "ConvTranspose") return std::nullopt;
  layout.groups = node->attrs.integer("group");
  layout.rows = weights->extent(0);
  layout.columns = weights->extent(1);
  layout.rest = weights->elements() / (layout.rows * layout.columns);
  const bool forward = op == "Conv";
  if (!forward) layout.kind = Layout::Kind::kConvTranspose;
  layout.out_channels = forward ? layout.rows : layout.columns * layout.groups;
  layout.in_channels = forward ? layout.columns * layout.groups : layout.rows;
  return layout;
}

// The numbers of a constant that varies along one axis of a tensor of rank `rank` at most.
std::optional<Numbers> along(const Value* value, size_t rank, size_t axis, int64_t count) {
  const Tensor* constant = value ? value->constant() : nullptr;
  if (!constant || !is_float(constant->dtype()) || static_cast<size_t>(constant->rank()) > rank)
    return std::nullopt;
  if (constant->elements() != 1) {
    if (constant->elements() != count) return std::nullopt;
    const size_t missing = rank - constant->extents().size();
    if (axis < missing || constant->extents()[axis - missing] != count) return std::nullopt;
  }
  Numbers numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    numbers[static_cast<size_t>(i)] = constant->double_at(constant->elements() == 1 ? 0 : i);
  return numbers;
}

// Calls visit with the elements of f32, f64, f16 or bf16 weights.
template <class Visit>
void visit_floats(DType dtype, Visit visit) {
  visit_dtype(dtype, [&]<class T>(Tag<T> tag) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, Half> ||
                  std::is_same_v<T, BFloat16>)
      visit(tag);
  });
}

template <class T>
double wide(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<double>(value);
  else
    return static_cast<double>(static_cast<float>(value));
}

template <class T>
T narrow(double value) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(value);
  else
    return T(double_to_float_odd(value));
}

// Weights times a factor for each channel, of the result or of the operand.
Tensor scaled(const Tensor& weights, const Layout& layout, const Numbers& factors, bool of_result) {
  Tensor result = Tensor::zeros(weights.dtype(), weights.extents());
  visit_floats(weights.dtype(), [&]<class T>(Tag<T>) {
    const T* from = weights.data<T>().data();
    T* to = result.mutable_data<T>().data();
    for (int64_t row = 0; row < layout.rows; ++row) {
      for (int64_t column = 0; column < layout.columns; ++column) {
        const int64_t channel = of_result ? layout.out_channel(row, column) : layout.in_channel(row, column);
        const double factor = factors[static_cast<size_t>(channel)];
        for (int64_t i = 0; i < layout.rest; ++i) *to++ = narrow<T>(wide(*from++) * factor);
      }
    }
  });
  return result;
}

// What a summand for each channel of the operand adds to each channel of the result.
Numbers passed_through(const Tensor& weights, const Layout& layout, const Numbers& summands) {
  Numbers sums(static_cast<size_t>(layout.out_channels), 0.0);
  visit_floats(weights.dtype(), [&]<class T>(Tag<T>) {
    const T* from = weights.data<T>().data();
    for (int64_t row = 0; row < layout.rows; ++row) {
      for (int64_t column = 0; column < layout.columns; ++column) {
        const double summand = summands[static_cast<size_t>(layout.in_channel(row, column))];
        double& sum = sums[static_cast<size_t>(layout.out_channel(row, column))];
        for (int64_t i = 0; i < layout.rest; ++i) sum += wide(*from++) * summand;
      }
    }
  });
  return sums;
}

Tensor tensor_of(const Numbers& numbers, DType dtype, std::vector<int64_t> extents) {
  Tensor result = Tensor::zeros(dtype, std::move(extents));
  visit_floats(dtype, [&]<class T>(Tag<T>) {
    auto elements = result.mutable_data<T>();
    for (size_t i = 0; i < numbers.size(); ++i) elements[i] = narrow<T>(numbers[i]);
  });
  return result;
}

Numbers bias_of(const Node& node, const Layout& layout) {
  Numbers bias(static_cast<size_t>(layout.out_channels), 0.0);
  for (size_t i = 0; node.input(2) && i < bias.size(); ++i)
    bias[i] = node.input(2)->constant()->double_at(static_cast<int64_t>(i));
  return bias;
}

// `node` on another operand with other weights; without `bias` it has none.
Value* remade(Rewrite& r, const Node& node, Value* operand, Value* weights,
              const std::optional<Numbers>& bias) {
  std::vector<Value*> operands = {operand, weights};
  const DType dtype = weights->type.dtype;
  if (bias) operands.push_back(r.b.constant(tensor_of(*bias, dtype, {static_cast<int64_t>(bias->size())})));
  Value* result = r.b.op(node.op().name, std::move(operands), node.attrs);
  result->producer()->name = node.name;
  return result;
}

// x * s + t with s = scale / sqrt(variance + epsilon), t = bias - mean * s.
Value* batch_normalization(Rewrite& r) {
  if (r.node->attrs.integer("training_mode") != 0 || !r.operand(0)->type.shape || !is_float(r.type().dtype))
    return nullptr;
  const size_t rank = r.operand(0)->type.shape->size();
  Shape shape(rank > 1 ? rank - 1 : 1, Dim(1));
  const double epsilon = r.node->attrs.number("epsilon");
  bool known = true;
  for (size_t i = 1; i < 5; ++i) {
    const Tensor *one = r.operand(i)->constant(), *first = r.operand(1)->constant();
    known &= one && first && one->elements() == first->elements();
  }
  if (known) {
    const auto number = [&](size_t i, int64_t k) { return r.operand(i)->constant()->double_at(k); };
    const int64_t channels = r.operand(1)->constant()->elements();
    Numbers factors, summands;
    for (int64_t k = 0; k < channels; ++k) {
      factors.push_back(number(1, k) / std::sqrt(number(4, k) + epsilon));
      summands.push_back(number(2, k) - number(3, k) * factors.back());
    }
    shape[0] = channels;
    Value* product =
        r.b.mul(r.operand(0), r.b.constant(tensor_of(factors, r.type().dtype, static_extents(shape))));
    return r.b.add(product, r.b.constant(tensor_of(summands, r.type().dtype, static_extents(shape))));
  }
  for (size_t i = 1; i < 5; ++i) {
    if (!r.operand(i)->type.shape || r.operand(i)->type.rank() != 1) return nullptr;
  }
  shape[0] = (*r.operand(1)->type.shape)[0];
  if (!r.can_state(shape)) return nullptr;
  const DType wide_dtype = r.type().dtype == DType::kF64 ? DType::kF64 : DType::kF32;
  const auto operand = [&](size_t i) { return r.b.cast(r.operand(i), wide_dtype); };
  Value* variance = operand(4);
  Value* factor = r.b.div(operand(1), r.b.op("Sqrt", {r.b.add(variance, r.b.number(epsilon, variance))}));
  Value* summand = r.b.sub(operand(2), r.b.mul(operand(3), factor));
  const auto spread = [&](Value* x) { return r.b.reshape(r.b.cast(x, r.type().dtype), shape); };
  return r.b.add(r.b.mul(r.operand(0), spread(factor)), spread(summand));
}

Numbers inverted(Numbers numbers) {
  for (double& number : numbers) number = 1 / number;
  return numbers;
}

Numbers combined(Numbers a, const Numbers& b, bool multiply) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = multiply ? a[i] * b[i] : a[i] + b[i];
  return a;
}

// (contraction or contraction + bias) times a factor for each channel of the result.
Value* scale_after(Rewrite& r) {
  Value* y = r.operand(0);
  Node* sum = producer_of(y, "Add");
  Value* inner = sum ? sum->input(0) : y;
  const std::optional<Layout> layout = layout_of(inner->producer());
  if (!layout || !has_one_use(y) || !has_one_use(inner)) return nullptr;
  const Node& node = *inner->producer();
  const size_t rank = node.output()->type.shape->size();
  if (rank == 0 || layout->channel_axis(rank) >= rank) return nullptr;
  const auto numbers = [&](const Value* value) {
    return along(value, rank, layout->channel_axis(rank), layout->out_channels);
  };
  std::optional<Numbers> factors = numbers(r.operand(1)), summands;
  if (sum) summands = numbers(sum->input(1));
  if (!factors || (sum && !summands)) return nullptr;
  if (r.node->op().name == "Div") factors = inverted(std::move(*factors));
  std::optional<Numbers> bias;
  if (node.input(2)) bias = combined(bias_of(node, *layout), *factors, true);
  Value* weights = r.b.constant(scaled(*node.input(1)->constant(), *layout, *factors, true));
  Value* result = remade(r, node, node.input(0), weights, bias);
  if (!sum) return result;
  std::vector<int64_t> extents = sum->input(1)->constant()->extents();
  const bool single = sum->input(1)->constant()->elements() == 1;
  if (single) extents = r.operand(1)->constant()->extents();
  Numbers shift = combined(std::move(*summands), *factors, true);
  if (single && r.operand(1)->constant()->elements() == 1) shift.resize(1);
  return r.b.add(result, r.b.constant(tensor_of(shift, r.type().dtype, std::move(extents))));
}

// A summand for each channel of a convolution's result is its bias; two after each other are one.
Value* add_after(Rewrite& r) {
  Value* y = r.operand(0);
  const std::optional<Layout> layout = layout_of(y->producer());
  if (!layout || layout->kind == Layout::Kind::kMatMul || !has_one_use(y)) return nullptr;
  const Node& node = *y->producer();
  const std::optional<Numbers> summands = along(r.operand(1), y->type.shape->size(), 1, layout->out_channels);
  if (!summands) return nullptr;
  return remade(r, node, node.input(0), node.input(1), combined(bias_of(node, *layout), *summands, false));
}

Value* merge_summands(Rewrite& r) {
  Node* inner = producer_of(r.operand(0), "Add");
  if (!inner || !has_one_use(r.operand(0)) || !is_constant(r.operand(1)) || !is_constant(inner->input(1)))
    return nullptr;
  if (!layout_of(inner->input(0)->producer())) return nullptr;
  const Tensor &a = *inner->input(1)->constant(), &b = *r.operand(1)->constant();
  if (a.extents() != b.extents() || !is_float(a.dtype())) return nullptr;
  Numbers sum;
  for (int64_t i = 0; i < a.elements(); ++i) sum.push_back(a.double_at(i) + b.double_at(i));
  return r.b.add(inner->input(0), r.b.constant(tensor_of(sum, a.dtype(), a.extents())));
}

bool is_unpadded(const Node& conv) {
  const std::string_view mode = conv.attrs.text("auto_pad");
  if (mode == "VALID") return true;
  if (mode != "NOTSET") return false;
  for (int64_t pad : conv.attrs.integers("pads")) {
    if (pad != 0) return false;
  }
  return true;
}

// A factor or summand for each channel of a contraction's operand. Zeros of the padding stay zeros under a
// factor, but not under a summand.
Value* affine_before(Rewrite& r) {
  Value* x = r.operand(0);
  const Node* affine = x->producer();
  const std::string_view op = affine ? affine->op().name : std::string_view();
  const std::optional<Layout> layout = layout_of(r.node);
  if (!layout || (op != "Mul" && op != "Add" && op != "Div") || !has_one_use(x) || !x->type.shape)
    return nullptr;
  if (affine->input(0)->type != x->type) return nullptr;
  const size_t rank = x->type.shape->size();
  std::optional<Numbers> numbers =
      along(affine->input(1), rank, layout->channel_axis(rank), layout->in_channels);
  if (!numbers) return nullptr;
  const Tensor& weights = *r.operand(1)->constant();
  std::optional<Numbers> bias;
  if (r.operand(2)) bias = bias_of(*r.node, *layout);
  if (op != "Add") {
    if (op == "Div") numbers = inverted(std::move(*numbers));
    return remade(r, *r.node, affine->input(0), r.b.constant(scaled(weights, *layout, *numbers, false)),
                  bias);
  }
  if (layout->kind == Layout::Kind::kMatMul) {
    if (weights.rank() != 2) return nullptr;
    Value* product = remade(r, *r.node, affine->input(0), r.operand(1), std::nullopt);
    return r.b.add(product, r.b.constant(tensor_of(passed_through(weights, *layout, *numbers), r.type().dtype,
                                                   {layout->out_channels})));
  }
  if (layout->kind != Layout::Kind::kConv || !is_unpadded(*r.node)) return nullptr;
  const Numbers shifted =
      combined(bias_of(*r.node, *layout), passed_through(weights, *layout, *numbers), false);
  return remade(r, *r.node, affine->input(0), r.operand(1), shifted);
}

constexpr RewriteRow kRules[] = {
    {"BatchNormalization", batch_normalization},
    {"Mul", scale_after},
    {"Div", scale_after},
    {"Add", add_after},
    {"Add", merge_summands},
    {"Conv", affine_before},
    {"ConvTranspose", affine_before},
    {"MatMul", affine_before},
};

}  // namespace

Result<bool> fold_batch_normalization(Graph& graph, PassContext&) { return rewrite_graph(graph, kRules); }

}  // namespace gannet
