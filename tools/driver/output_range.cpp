#include "tools/driver/output_range.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "ir/op.h"

namespace gannet {

namespace {

std::optional<double> number_of(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (tensor == nullptr || tensor->elements() != 1 || !is_float(tensor->dtype())) return std::nullopt;
  return tensor->double_at(0);
}

std::optional<OutputRange> range_of(const Value& value);

std::optional<OutputRange> arithmetic_range(const Node& node) {
  const std::string_view op = node.op().name;
  const auto second = number_of(node.input(1)), first = number_of(node.input(0));
  const bool commutes = op == "Add" || op == "Mul";
  const Value* operand = second ? node.input(0) : commutes && first ? node.input(1) : nullptr;
  if (operand == nullptr) return std::nullopt;
  auto range = range_of(*operand);
  if (!range) return std::nullopt;
  const double number = second ? *second : *first;
  for (double* bound : {&range->low, &range->high}) {
    if (op == "Add") *bound += number;
    if (op == "Sub") *bound -= number;
    if (op == "Mul") *bound *= number;
    if (op == "Div") *bound /= number;
  }
  if (range->low > range->high) std::swap(range->low, range->high);
  return range;
}

std::optional<OutputRange> range_of(const Value& value) {
  const Node* node = value.producer();
  if (node == nullptr) return std::nullopt;
  const std::string_view op = node->op().name;
  if (op == "Tanh" || op == "Softsign") return OutputRange{-1, 1, std::string(op)};
  if (op == "Sigmoid" || op == "HardSigmoid") return OutputRange{0, 1, std::string(op)};
  if (op == "Clip") {
    const auto low = number_of(node->input(1)), high = number_of(node->input(2));
    return low && high ? std::optional(OutputRange{*low, *high, std::string(op)}) : std::nullopt;
  }
  if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div") return arithmetic_range(*node);
  constexpr std::string_view kMoves[] = {"Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
                                         "Slice",    "Cast",    "DepthToSpace"};
  if (std::ranges::find(kMoves, op) != std::end(kMoves)) return range_of(*node->input(0));
  return std::nullopt;
}

}  // namespace

OutputRange output_range(const Value& output) { return range_of(output).value_or(OutputRange{}); }

}  // namespace gannet
