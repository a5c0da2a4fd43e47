// Tables for signal processing: window functions and the mel filter bank.
#include <cmath>
#include <numbers>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kWindowAttrs[] = {dtype_attr("output_datatype", DType::kF32), int_attr("periodic", 1)};
constexpr AttrDef kMelAttrs[] = {dtype_attr("output_datatype", DType::kF32)};

Status expect_number_dtype(const InferContext& c) {
  DType dtype = c.attrs().dtype("output_datatype");
  if (is_float(dtype) || is_int(dtype)) return {};
  return invalid_model(fmt::format("output_datatype must be a number, got {}", name_of(dtype)));
}

// The extent that operand i holds, where it is known.
Result<Dim> extent_from(InferContext& c, size_t i, std::string_view role) {
  auto contents = short_contents(c, i);
  if (!contents || contents->size() != 1) return c.fresh(std::string(role));
  const Dim& extent = (*contents)[0];
  if (extent.is_constant() && extent.constant() < 0)
    return invalid_input(fmt::format("{} is {}", role, extent.to_string()));
  return extent;
}

Status infer_window(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_index(c, 0, "size"));
  TRY(expect_single(c, 0, "size"));
  TRY(expect_number_dtype(c));
  c.set_tensor(0, c.attrs().dtype("output_datatype"), Shape{TRY(extent_from(c, 0, "size"))});
  return {};
}

// value_of maps an angle, 2 pi n / size, to the window's value.
template <class ValueOf>
Status eval_window(EvalContext& c, ValueOf value_of) {
  Tensor y = TRY(c.allocate(DType::kF64, static_extents(*c.output_type(0).shape)));
  auto values = y.mutable_data<double>();
  double period = static_cast<double>(c.tensor(0).int_at(0)) - (c.attrs().integer("periodic") != 0 ? 0 : 1);
  for (size_t i = 0; i < values.size(); ++i) {
    // A symmetric window of one element has its value at the middle.
    double angle = period > 0 ? 2 * std::numbers::pi * static_cast<double>(i) / period : std::numbers::pi;
    values[i] = value_of(angle);
  }
  c.set(TRY(as_dtype(y, c.output_type(0).dtype)));
  return {};
}

Status eval_hann(EvalContext& c) {
  return eval_window(c, [](double angle) { return 0.5 - 0.5 * std::cos(angle); });
}
// ONNX gives Hamming's coefficients as 25/46 and 21/46.
Status eval_hamming(EvalContext& c) {
  return eval_window(c, [](double angle) { return 25.0 / 46.0 - 21.0 / 46.0 * std::cos(angle); });
}
Status eval_blackman(EvalContext& c) {
  return eval_window(c,
                     [](double angle) { return 0.42 - 0.5 * std::cos(angle) + 0.08 * std::cos(2 * angle); });
}

// Operands: num_mel_bins, dft_length, sample_rate, lower_edge_hertz, upper_edge_hertz.
constexpr std::string_view kMelRoles[] = {"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz",
                                          "upper_edge_hertz"};

Status infer_mel(InferContext& c) {
  TRY(expect_tensors(c, 5));
  for (size_t i = 0; i < 5; ++i) {
    if (i < 3)
      TRY(expect_index(c, i, kMelRoles[i]));
    else
      TRY(expect_float(c, i, kMelRoles[i]));
    TRY(expect_single(c, i, kMelRoles[i]));
  }
  TRY(expect_number_dtype(c));
  Dim mel_bins = TRY(extent_from(c, 0, "num_mel_bins")), length = TRY(extent_from(c, 1, "dft_length"));
  c.set_tensor(0, c.attrs().dtype("output_datatype"), Shape{floordiv(length, 2) + 1, mel_bins});
  return {};
}

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

// The edges of the triangles, in bins of the spectrum: evenly spaced on the mel scale.
Result<std::vector<int64_t>> mel_edges(const EvalContext& c, int64_t mel_bins) {
  double length = static_cast<double>(c.tensor(1).int_at(0)),
         rate = static_cast<double>(c.tensor(2).int_at(0));
  double low = mel_of(c.tensor(3).double_at(0)), high = mel_of(c.tensor(4).double_at(0));
  double bins = std::floor(length / 2) + 1;
  std::vector<int64_t> edges(static_cast<size_t>(mel_bins) + 2);
  for (size_t i = 0; i < edges.size(); ++i) {
    double mel = low + static_cast<double>(i) * (high - low) / static_cast<double>(edges.size());
    double bin = std::floor((length + 1) * hertz_of(mel) / rate);
    if (!(bin >= 0 && bin <= bins))
      return invalid_input(fmt::format("a mel band ends at bin {} of {}", bin, bins));
    edges[i] = static_cast<int64_t>(bin);
  }
  return edges;
}

// Triangles that rise from one edge to the next and fall to the one after.
Status eval_mel(EvalContext& c) {
  Tensor y = TRY(c.allocate(DType::kF64, static_extents(*c.output_type(0).shape)));
  auto weights = y.mutable_data<double>();
  std::fill(weights.begin(), weights.end(), 0.0);
  int64_t bins = y.extent(0), mel_bins = y.extent(1);
  std::vector<int64_t> edges = TRY(mel_edges(c, mel_bins));
  auto set_weight = [&](int64_t bin, int64_t mel, double weight) {
    if (bin < bins) weights[static_cast<size_t>(bin * mel_bins + mel)] = weight;
  };
  for (int64_t m = 0; m < mel_bins; ++m) {
    int64_t low = edges[static_cast<size_t>(m)], middle = edges[static_cast<size_t>(m) + 1],
            high = edges[static_cast<size_t>(m) + 2];
    if (low == middle) set_weight(middle, m, 1);
    for (int64_t bin = low; low < middle && bin <= middle; ++bin) {
      set_weight(bin, m, static_cast<double>(bin - low) / static_cast<double>(middle - low));
    }
    for (int64_t bin = middle; bin < high; ++bin) {
      set_weight(bin, m, static_cast<double>(high - bin) / static_cast<double>(high - middle));
    }
  }
  c.set(TRY(as_dtype(y, c.output_type(0).dtype)));
  return {};
}

constexpr StructuredOp table_op(int inputs, std::span<const AttrDef> attrs, InferFn infer, EvalFn eval) {
  return {.inputs = {inputs, inputs},
          .outputs = {1, 1},
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .no_gradient = "made of sizes, which are integers"};
}

}  // namespace

constinit const StructuredOp ops::HannWindow = table_op(1, kWindowAttrs, infer_window, eval_hann);
constinit const StructuredOp ops::HammingWindow = table_op(1, kWindowAttrs, infer_window, eval_hamming);
constinit const StructuredOp ops::BlackmanWindow = table_op(1, kWindowAttrs, infer_window, eval_blackman);
constinit const StructuredOp ops::MelWeightMatrix = table_op(5, kMelAttrs, infer_mel, eval_mel);

}  // namespace gannet
