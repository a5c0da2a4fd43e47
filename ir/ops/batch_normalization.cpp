#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"
#include "ir/ops/standardize.h"

namespace gannet {
namespace {

constexpr AttrDef kBatchAttrs[] = {float_attr("epsilon", 1e-5f), float_attr("momentum", 0.9f),
                                   int_attr("training_mode", 0)};
constexpr std::string_view kRoles[] = {"X", "scale", "B", "input_mean", "input_var"};

Status infer_batch(InferContext& c) {
  TRY(expect_tensors(c, 5));
  for (size_t i = 0; i < 5; ++i) TRY(expect_float(c, i, kRoles[i]));
  const Shape* shape = c.shape(0);
  if (shape && shape->empty()) return invalid_model("input 0 (X) must have a rank of 1 or more, got 0");
  std::optional<Dim> channels;
  if (shape) channels = shape->size() > 1 ? (*shape)[1] : Dim(1);
  for (size_t i = 1; i < 5; ++i) TRY(expect_channels(c, i, kRoles[i], channels));
  c.set(0, c.type(0));
  c.set(1, c.type(3));
  c.set(2, c.type(4));
  return {};
}

// The batch as [batch, channels, spatial]; a vector has one channel.
struct Batch {
  int64_t size = 1;
  int64_t channels = 1;
  int64_t spatial = 1;
};

Batch batch_of(const Tensor& x) {
  Batch batch{x.extent(0), x.rank() > 1 ? x.extent(1) : 1, 1};
  for (int64_t i = 2; i < x.rank(); ++i) batch.spatial *= x.extent(i);
  return batch;
}

// Calls visit(channel, first element) for each run of `spatial` elements.
template <class Visit>
void for_each_plane(const Batch& batch, Visit visit) {
  for (int64_t n = 0; n < batch.size; ++n) {
    for (int64_t k = 0; k < batch.channels; ++k)
      visit(static_cast<size_t>(k), (n * batch.channels + k) * batch.spatial);
  }
}

struct Statistics {
  std::vector<double> mean;
  std::vector<double> variance;  // of the population
};

template <class T>
Statistics batch_statistics(std::span<const T> x, const Batch& batch) {
  size_t channels = static_cast<size_t>(batch.channels);
  Statistics s{std::vector<double>(channels, 0.0), std::vector<double>(channels, 0.0)};
  double count = static_cast<double>(batch.size) * static_cast<double>(batch.spatial);
  auto accumulate = [&](std::vector<double>& totals, auto value_of) {
    for_each_plane(batch, [&](size_t k, int64_t start) {
      double total = 0;
      for (int64_t i = start; i < start + batch.spatial; ++i)
        total += value_of(k, static_cast<double>(x[static_cast<size_t>(i)]));
      totals[k] += total;
    });
    for (double& total : totals) total /= count;
  };
  accumulate(s.mean, [](size_t, double value) { return value; });
  accumulate(s.variance, [&](size_t k, double value) { return (value - s.mean[k]) * (value - s.mean[k]); });
  return s;
}

std::vector<double> numbers_of(const Tensor& tensor) {
  std::vector<double> numbers(static_cast<size_t>(tensor.elements()));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = tensor.double_at(static_cast<int64_t>(i));
  return numbers;
}

// running = running * momentum + batch * (1 - momentum)
Status set_running(EvalContext& c, size_t output, const Tensor& before, const std::vector<double>& batch) {
  if (c.output_count() <= output) return {};
  Tensor after = TRY(c.allocate(DType::kF64, before.extents()));
  auto values = after.mutable_data<double>();
  double momentum = static_cast<double>(c.attrs().number("momentum"));
  for (size_t k = 0; k < values.size(); ++k) {
    values[k] = before.double_at(static_cast<int64_t>(k)) * momentum + batch[k] * (1 - momentum);
  }
  c.set(output, TRY(as_dtype(after, before.dtype())));
  return {};
}

Status eval_batch(EvalContext& c) {
  Tensor x = TRY(widened(c.tensor(0)));
  Tensor y = TRY(c.allocate(x.dtype(), x.extents()));
  bool training = c.attrs().integer("training_mode") != 0;
  Batch batch = x.elements() > 0 ? batch_of(x) : Batch{0, c.tensor(3).elements(), 0};
  Statistics s{numbers_of(c.tensor(3)), numbers_of(c.tensor(4))};
  if (training) visit_compute(x.dtype(), [&]<class T>(Tag<T>) { s = batch_statistics(x.data<T>(), batch); });
  std::vector<double> scale = numbers_of(c.tensor(1)), bias = numbers_of(c.tensor(2));
  double epsilon = static_cast<double>(c.attrs().number("epsilon"));
  for (size_t k = 0; k < scale.size(); ++k) scale[k] /= std::sqrt(s.variance[k] + epsilon);
  visit_compute(x.dtype(), [&]<class T>(Tag<T>) {
    const T* from = x.data<T>().data();
    T* to = y.mutable_data<T>().data();
    for_each_plane(batch, [&](size_t k, int64_t start) {
      T mean = static_cast<T>(s.mean[k]), factor = static_cast<T>(scale[k]), shift = static_cast<T>(bias[k]);
      for (int64_t i = start; i < start + batch.spatial; ++i) to[i] = (from[i] - mean) * factor + shift;
    });
  });
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  if (training) {
    TRY(set_running(c, 1, c.tensor(3), s.mean));
    TRY(set_running(c, 2, c.tensor(4), s.variance));
  } else {
    c.set(1, c.tensor(3));
    c.set(2, c.tensor(4));
  }
  return {};
}

// All axes but that of the channels, 1.
std::vector<int64_t> axes_beside_channels(int64_t rank) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i) {
    if (i != 1) axes.push_back(i);
  }
  return axes;
}

// A list with an element for each channel, as it broadcasts to a tensor of `rank` dimensions; of rank 1 there is one
// channel.
Value* along_channels(GraphBuilder& b, Value* list, int64_t rank) {
  return rank > 1 ? b.unsqueeze(list, axes_beside_channels(rank)) : list;
}

// The gradient of x where dy is that of y = scale * normalized + bias and the statistics are those of the batch: scale
// / deviation * (dy - mean(dy) - normalized * mean(dy * normalized)). The means are made of the sums that are the gradients
// of bias and scale.
Value* through_statistics(GraphBuilder& b, const Standardized& s, Value* dy, Value* scale, Value* bias_gradient,
                          Value* scale_gradient, const Dim& count) {
  Value* n = count.is_constant() ? b.number(static_cast<double>(count.constant()), dy) : b.cast(b.dims({count}), dy->type.dtype);
  Value* rest = b.sub(b.sub(dy, b.div(bias_gradient, n)), b.mul(s.normalized, b.div(scale_gradient, n)));
  return b.mul(rest, b.mul(scale, s.deviation_inverse));
}

// With the statistics of the batch the gradient passes through them. Given statistics (the inference form)
// are frozen: they are constants of the rule and get no gradient, as in PyTorch.
Status batch_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  if (c.gradient(1) || c.gradient(2))
    return unsupported("the gradient of BatchNormalization through its running statistics");
  Value *x = c.operand(0), *dy = c.gradient();
  Shape shape = TRY(known_shape(x, "X"));
  DType dtype = compute_dtype(x->type.dtype);
  int64_t rank = static_cast<int64_t>(shape.size());
  const std::vector<int64_t> others = axes_beside_channels(rank);
  auto per_channel = [&](Value* v) { return along_channels(b, b.cast(v, dtype), rank); };
  const bool training = c.attrs().integer("training_mode") != 0;
  auto channel_sum = [&](Value* v, size_t operand) {
    Value* sum = b.reduce_sum(v, others, training || rank == 1);
    c.set(operand, b.cast(training && rank > 1 ? b.squeeze(sum, others) : sum, c.operand(operand)->type.dtype));
    return sum;
  };
  Value* wide_x = b.cast(x, dtype);
  Value* wide_dy = b.cast(dy, dtype);
  Value* scale = per_channel(c.operand(1));
  double epsilon = static_cast<double>(c.attrs().number("epsilon"));
  const Moments m = training ? moments(b, wide_x, others) : Moments{per_channel(c.operand(3)), per_channel(c.operand(4))};
  Standardized s;
  s.deviation_inverse = inverse_root(b, m.variance, epsilon);
  s.normalized = b.mul(b.sub(wide_x, m.mean), s.deviation_inverse);
  Value* scale_gradient = channel_sum(b.mul(wide_dy, s.normalized), 1);
  Value* bias_gradient = channel_sum(wide_dy, 2);
  if (!training) {
    c.set(0, b.cast(b.mul(b.mul(wide_dy, scale), s.deviation_inverse), x->type.dtype));
    return b.status();
  }
  if (rank > 1) shape.erase(shape.begin() + 1);
  Value* dx = through_statistics(b, s, wide_dy, scale, bias_gradient, scale_gradient, element_count(shape));
  c.set(0, b.cast(dx, x->type.dtype));
  return b.status();
}

// With the statistics of the batch. Given statistics are factors that pipelines fold into weights.
Status decompose_batch(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  if (c.attrs().integer("training_mode") == 0) return unsupported("its statistics are given");
  Value* x = c.operand(0);
  const Shape shape = TRY(known_shape(x, "X"));
  const DType dtype = compute_dtype(x->type.dtype);
  const auto rank = static_cast<int64_t>(shape.size());
  const std::vector<int64_t> others = axes_beside_channels(rank);
  auto per_channel = [&](Value* v) { return along_channels(b, b.cast(v, dtype), rank); };
  Value* wide = b.cast(x, dtype);
  const auto [mean, variance] = moments(b, wide, others);
  Value* inverse = inverse_root(b, variance, static_cast<double>(c.attrs().number("epsilon")));
  Value* normalized = b.mul(b.sub(wide, mean), inverse);
  c.set(0, b.cast(b.add(b.mul(normalized, per_channel(c.operand(1))), per_channel(c.operand(2))), x->type.dtype));
  const auto momentum = static_cast<double>(c.attrs().number("momentum"));
  for (size_t i : {size_t{1}, size_t{2}}) {
    if (c.output_count() <= i) break;
    Value* before = c.operand(i + 2);
    Value* of_batch = b.cast(rank > 1 ? b.squeeze(i == 1 ? mean : variance, others) : (i == 1 ? mean : variance), before->type.dtype);
    c.set(i, b.map(ScalarExpr::arg(0) * momentum + ScalarExpr::arg(1) * (1 - momentum), {before, of_batch}));
  }
  return b.status();
}

}  // namespace

constinit const StructuredOp ops::BatchNormalization = {.inputs = {5, 5},
                                                        .outputs = {1, 3},
                                                        .attrs = kBatchAttrs,
                                                        .infer = infer_batch,
                                                        .eval = eval_batch,
                                                        .decompose = decompose_batch,
                                                        .flops = one_per_operand_element};
constinit const GradientRule gradients::BatchNormalization = {.vjp = batch_vjp};

}  // namespace gannet
