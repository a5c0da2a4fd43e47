#include "tools/deploy/array_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/signature.h"
#include "runtime/data/npy.h"
#include "runtime/training/batches.h"
#include "tools/deploy/fit_array.h"

namespace gannet {

namespace {

class ArrayRows final : public LabelledRows {
 public:
  NamedColumns inputs;

  Result<std::unique_ptr<BatchSource>> batches(std::optional<std::span<const int64_t>> chosen,
                                               const BatchRequest& request) const override {
    NamedColumns columns = inputs;
    columns.emplace_back(target.name, target.values);
    // Names columns that do not fit together before rows of them are taken.
    Result<Batches> made = Batches::make(columns, request.batch_size, request.seed, request.join_lone_row);
    if (made.ok() && chosen) {
      made =
          Batches::make(take_rows(columns, *chosen), request.batch_size, request.seed, request.join_lone_row);
    }
    if (!made.ok()) return with_prefix(target.file + ": ", made.error());
    return std::unique_ptr<BatchSource>(std::make_unique<Batches>(*std::move(made)));
  }
};

Result<Tensor> take(const NamedTensors& arrays, const std::string& name, const std::string& file) {
  std::string all;
  for (const auto& [candidate, tensor] : arrays) {
    if (candidate == name) return tensor;
    all += (all.empty() ? "" : ", ") + candidate;
  }
  return invalid_input(fmt::format("{}: there is no array '{}'; it holds {}", file, name, all));
}

Result<std::string> find_target(const std::string& file, const NamedTensors& arrays,
                                std::span<const InputSpec> inputs, const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  std::vector<std::string> candidates;
  for (const auto& array : arrays) {
    const std::string& name = array.first;
    const bool is_input = std::ranges::find(inputs, name, &InputSpec::name) != inputs.end();
    if (!is_input) candidates.push_back(name);
  }
  for (const char* usual : {"labels", "label", "targets", "target", "y"}) {
    if (std::ranges::find(candidates, usual) != candidates.end()) return std::string(usual);
  }
  if (candidates.size() == 1) return candidates[0];
  std::string names;
  for (const std::string& name : candidates) names += (names.empty() ? "" : ", ") + name;
  return invalid_input(fmt::format(
      "{}: {}", file,
      candidates.empty() ? "all its arrays are inputs of the model, it lacks the labels or targets"
                         : fmt::format("which array is the target? give --target with one of {}", names)));
}

// One symbol is one number in all arrays; what the model fixes as its batch holds for batches, not for all rows.
Status bind_columns(const InputSpec& input, const Tensor& column, SymbolValues& symbols) {
  Type type = input.type;
  if (type.shape && !type.shape->empty()) (*type.shape)[0] = column.extent(0);
  return bind_input({input.name, type}, column, symbols);
}

// Such as token ids beyond the vocabulary; they may count from the table's end.
Status check_indices(const InputSpec& input, const Tensor& column) {
  if (!is_int(column.dtype()) || input.index_bound <= kUnknownIndexBound) return {};
  const int64_t each = column.elements() / std::max<int64_t>(column.extent(0), 1);
  for (int64_t i = 0; i < column.elements(); ++i) {
    const int64_t index = column.int_at(i);
    if (index < -input.index_bound || index >= input.index_bound)
      return invalid_input(fmt::format("index {} in row {} of '{}' is not one of the {} rows of the model's table", index, i / each, input.name, input.index_bound));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<LabelledRows>> read_array_rows(const std::string& file,
                                                      std::span<const InputSpec> inputs,
                                                      const std::string& target, const Limits& limits) {
  const NamedTensors arrays = TRY(read_npz(file, limits));
  auto rows = std::make_unique<ArrayRows>();
  SymbolValues symbols;
  for (const InputSpec& input : inputs) {
    Tensor column = TRY(take(arrays, input.name, file));
    column = TRY(fit_array(file, input.name, std::move(column), input.type,
                           fmt::format("input '{}'", input.name), false));
    // Other numbers of rows are for the batches to report, which know those of the target too.
    if (rows->inputs.empty() || column.extent(0) == rows->inputs[0].second.extent(0)) {
      if (Status status = bind_columns(input, column, symbols); !status.ok()) return with_prefix(file + ": ", status.error());
      if (Status status = check_indices(input, column); !status.ok()) return with_prefix(file + ": ", status.error());
    }
    rows->inputs.emplace_back(input.name, std::move(column));
  }
  const std::string name = TRY(find_target(file, arrays, inputs, target));
  Tensor labels = TRY(take(arrays, name, file));
  rows->target = {file, name, std::move(labels)};
  return std::unique_ptr<LabelledRows>(std::move(rows));
}

}  // namespace gannet
