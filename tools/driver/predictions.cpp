#include "tools/driver/predictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gannet {

namespace {

// `rows` more rows, copies of the last.
Tensor with_rows(const Tensor& tensor, int64_t rows) {
  std::vector<int64_t> extents = tensor.extents();
  const int64_t before = extents[0];
  extents[0] = rows;
  Tensor result = Tensor::zeros(tensor.dtype(), extents);
  const auto row_bytes = static_cast<size_t>(tensor.bytes() / std::max<int64_t>(before, 1));
  auto* out = static_cast<std::byte*>(result.mutable_raw());
  const auto* in = static_cast<const std::byte*>(tensor.raw());
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(out + static_cast<size_t>(row) * row_bytes,
                in + static_cast<size_t>(std::min(row, before - 1)) * row_bytes, row_bytes);
  }
  return result;
}

Result<size_t> output_index(const RunnableModel& model, const std::vector<Datum>& outputs,
                            const std::string& wanted) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool floats = outputs[i].is_tensor() && is_float(outputs[i].tensor().dtype());
    if (wanted.empty() ? floats : floats && model.outputs[i].name == wanted) return i;
  }
  return invalid_input(fmt::format("{}: there is no floating point output{}", model.path,
                                   wanted.empty() ? "" : " '" + wanted + "'"));
}

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

}  // namespace

Status predict(const RunnableModel& model, BatchColumns inputs, const std::string& wanted,
               Predictions& predictions) {
  const int64_t rows = inputs.at(0).extent(0);
  if (model.fixed_rows && rows < *model.fixed_rows) {
    for (Tensor& input : inputs) input = with_rows(input, *model.fixed_rows);
  }
  const std::vector<Datum> outputs = TRY(model.run(std::vector<Datum>(inputs.begin(), inputs.end())));
  const size_t index = TRY(output_index(model, outputs, wanted));
  const Tensor output = TRY(convert(outputs[index].tensor(), DType::kF32));
  predictions.output = model.outputs[index].name;
  const int64_t all = inputs[0].extent(0);
  const int64_t axes = std::ranges::count_if(output.extents(), [](int64_t extent) { return extent != 1; });
  if (output.rank() == 0 || output.extent(0) != all || axes > 1 + (all != 1)) {
    return invalid_input(
        fmt::format("{}: output '{}' is {} for {} rows; an evaluation takes a number or a vector for each",
                    model.path, predictions.output, type_string(output), all));
  }
  const int64_t width = output.elements() / all;
  if (predictions.rows > 0 && width != predictions.width) {
    return invalid_input(fmt::format("{}: output '{}' has {} values for a row in one batch and {} in another", model.path,
                                     predictions.output, predictions.width, width));
  }
  predictions.width = width;
  const auto count = static_cast<std::ptrdiff_t>(rows * predictions.width);
  predictions.values.insert(predictions.values.end(), output.data<float>().begin(),
                            output.data<float>().begin() + count);
  predictions.rows += rows;
  return {};
}

bool are_probabilities(const Predictions& predictions) {
  return std::ranges::all_of(predictions.values, [](float value) { return value >= 0 && value <= 1; });
}

bool are_distributions(const Predictions& predictions) {
  constexpr double kTolerance = 1e-3;  // of results in 16 bits
  if (!are_probabilities(predictions)) return false;
  for (size_t i = 0; i < predictions.values.size(); i += static_cast<size_t>(predictions.width)) {
    double sum = 0;
    for (size_t k = 0; k < static_cast<size_t>(predictions.width); ++k)
      sum += static_cast<double>(predictions.values[i + k]);
    if (std::fabs(sum - 1) > kTolerance) return false;
  }
  return true;
}

void make_distributions(Predictions& predictions) {
  if (are_distributions(predictions)) return;
  const auto width = static_cast<size_t>(predictions.width);
  for (size_t i = 0; i < predictions.values.size(); i += width) {
    const std::span<float> row(predictions.values.data() + i, width);
    const auto largest = static_cast<double>(*std::ranges::max_element(row));
    double sum = 0;
    for (const float value : row) sum += std::exp(static_cast<double>(value) - largest);
    for (float& value : row) value = static_cast<float>(std::exp(static_cast<double>(value) - largest) / sum);
  }
}

void make_probabilities(Predictions& predictions) {
  if (are_probabilities(predictions)) return;
  for (float& value : predictions.values) value = static_cast<float>(sigmoid(static_cast<double>(value)));
}

void widen_to_two_classes(Predictions& predictions) {
  const bool probabilities = are_probabilities(predictions);
  std::vector<float> both;
  for (const float value : predictions.values) {
    both.push_back(probabilities ? 1 - value : 0);
    both.push_back(value);
  }
  predictions.values = std::move(both);
  predictions.width = 2;
}

}  // namespace gannet
