#include "tools/driver/input_normalization.h"

#include <cmath>
#include <vector>

#include "ir/op.h"

namespace gannet {

namespace {

constexpr int64_t kMostChannels = 16;

// The mean of a small constant's elements.
std::optional<double> mean_of(const Value* value, int64_t most = kMostChannels) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (tensor == nullptr || tensor->elements() == 0 || tensor->elements() > most) return std::nullopt;
  if (!is_float(tensor->dtype()) && !is_int(tensor->dtype())) return std::nullopt;
  double sum = 0;
  for (int64_t i = 0; i < tensor->elements(); ++i) sum += tensor->double_at(i);
  return sum / static_cast<double>(tensor->elements());
}

// x -> factor * x + offset so far, on the average of the channels.
struct Line {
  double factor = 1, offset = 0;
  std::vector<std::string> names;
};

// One arithmetic node with a constant; false where it is none.
bool follow_arithmetic(const Node& node, int operand, Line& line) {
  const std::string_view name = node.op().name;
  const std::optional<double> constant = mean_of(node.input(operand == 0 ? 1 : 0));
  if (node.inputs().size() != 2 || !constant) return false;
  if (name == "Add") {
    line.offset += *constant;
  } else if (name == "Sub") {
    const double sign = operand == 0 ? 1 : -1;
    line.factor *= sign;
    line.offset = sign * (line.offset - *constant);
  } else if (name == "Mul" || (name == "Div" && operand == 0 && *constant != 0)) {
    const double by = name == "Mul" ? *constant : 1 / *constant;
    line.factor *= by;
    line.offset *= by;
  } else {
    return false;
  }
  line.names.emplace_back(name);
  return true;
}

bool follow_batch_normalization(const Node& node, Line& line) {
  const std::optional<double> mean = mean_of(node.input(3)), variance = mean_of(node.input(4));
  if (node.op().name != "BatchNormalization" || !mean || !variance || !(*variance > 0)) return false;
  line.factor /= std::sqrt(*variance);
  line.offset = (line.offset - *mean) / std::sqrt(*variance);
  line.names.emplace_back(node.op().name);
  return true;
}

bool moves_only(std::string_view name) { return name == "Cast" || name == "Identity" || name == "Transpose"; }

}  // namespace

std::optional<InputNormalization> find_input_normalization(const Value& input) {
  Line line;
  const Value* value = &input;
  while (value != nullptr && value->uses().size() == 1) {
    const Use use = value->uses()[0];
    const bool known = moves_only(use.node->op().name) || follow_arithmetic(*use.node, use.index, line) ||
                       follow_batch_normalization(*use.node, line);
    value = known ? use.node->output() : nullptr;
  }
  if (line.names.empty() || line.factor == 0 || !std::isfinite(line.factor)) return std::nullopt;
  InputNormalization found;
  const double zero = -line.offset / line.factor;
  constexpr double kLargestShare = 1.5, kFactorOfPixels = 1.0 / 32;
  const bool of_pixels =
      zero == 0 ? std::fabs(line.factor) < kFactorOfPixels : std::fabs(zero) > kLargestShare;
  found.scale = of_pixels ? 1 : 1.0 / 255;
  for (size_t i = 0; i < line.names.size(); ++i) {
    if (i > 0) found.description += i + 1 == line.names.size() ? " and " : ", ";
    found.description += line.names[i];
  }
  found.description += " by constants";
  return found;
}

}  // namespace gannet
