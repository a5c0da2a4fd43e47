#include "tools/driver/value_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "ir/op.h"

namespace gannet {

namespace {

constexpr std::array<ValueRange, 3> kUsual = {{{-1, 1}, {0, 1}, {0, 255}}};

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<double> mean_of(const Value* value) {
  constexpr int64_t kMost = 16;
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (tensor == nullptr || tensor->elements() == 0 || tensor->elements() > kMost) return std::nullopt;
  if (!is_float(tensor->dtype()) && !is_int(tensor->dtype())) return std::nullopt;
  double sum = 0;
  for (int64_t i = 0; i < tensor->elements(); ++i) sum += tensor->double_at(i);
  return sum / static_cast<double>(tensor->elements());
}

bool moves_only(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames = {"Cast",    "Identity",     "Transpose",    "Reshape",
                                                       "Flatten", "Squeeze",      "Unsqueeze",    "Slice",
                                                       "Pad",     "DepthToSpace", "SpaceToDepth", "Resize"};
  return std::ranges::find(kNames, name) != kNames.end();
}

// value = factor * x + offset, for the x that has been reached.
struct Line {
  double factor = 1, offset = 0;
};

// The operand that is no constant, behind one arithmetic node; null where it is none.
const Value* before_arithmetic(const Node& node, Line& line) {
  const std::string_view name = node.op().name;
  if (node.inputs().size() != 2) return nullptr;
  const bool second = mean_of(node.input(1)).has_value();
  const std::optional<double> constant = mean_of(node.input(second ? 1 : 0));
  if (!constant) return nullptr;
  // The step from the other operand x: x + a, x - a, a - x, x * a, x / a.
  Line step;
  if (name == "Add")
    step = {1, *constant};
  else if (name == "Sub")
    step = second ? Line{1, -*constant} : Line{-1, *constant};
  else if (name == "Mul")
    step = {*constant, 0};
  else if (name == "Div" && second && *constant != 0)
    step = {1 / *constant, 0};
  else
    return nullptr;
  line = {line.factor * step.factor, line.factor * step.offset + line.offset};
  return node.input(second ? 0 : 1);
}

std::optional<ValueRange> range_of_ending(const Node& node) {
  const std::string_view name = node.op().name;
  if (name == "Tanh" || name == "Sin" || name == "Cos" || name == "Softsign") return ValueRange{-1, 1};
  if (name == "Sigmoid" || name == "HardSigmoid") return ValueRange{0, 1};
  if (name != "Clip") return std::nullopt;
  const std::optional<double> low = mean_of(node.input(1)), high = mean_of(node.input(2));
  if (!low || !high || !(*high > *low)) return std::nullopt;
  return ValueRange{*low, *high};
}

// The usual range that a picture in `range` is meant to have.
ValueRange snapped(ValueRange range) {
  constexpr double kReach = 1.5, kOff = 0.06;
  for (const ValueRange& usual : kUsual) {
    const double width = usual.high - usual.low, off = (range.low + range.high - usual.low - usual.high) / 2;
    const double ratio = (range.high - range.low) / width;
    if (std::fabs(off) < kOff * width && ratio > 1 / kReach && ratio < kReach) return usual;
  }
  return range;
}

}  // namespace

Result<ValueRange> parse_value_range(const std::string& text, std::string_view flag) {
  const size_t dots = text.find("..");
  const std::string_view all = text;
  const auto low = dots == std::string::npos ? std::nullopt : number(all.substr(0, dots));
  const auto high = dots == std::string::npos ? std::nullopt : number(all.substr(dots + 2));
  if (!low || !high || !(*high > *low))
    return invalid_input(fmt::format("{} takes LOW..HIGH, such as -1..1 or 0..255, got '{}'", flag, text));
  return ValueRange{*low, *high};
}

std::string to_string(const ValueRange& range) { return fmt::format("{}..{}", range.low, range.high); }

std::optional<FoundRange> find_output_range(const Value& output) {
  if (output.type.dtype == DType::kU8) return FoundRange{{0, 255}, ""};
  Line line;
  const Value* value = &output;
  while (value != nullptr && value->producer() != nullptr) {
    const Node& node = *value->producer();
    if (const auto range = range_of_ending(node)) {
      const double a = line.factor * range->low + line.offset, b = line.factor * range->high + line.offset;
      if (a == b) return std::nullopt;
      return FoundRange{snapped({std::min(a, b), std::max(a, b)}), std::string(node.op().name)};
    }
    value = moves_only(node.op().name) ? node.input(0) : before_arithmetic(node, line);
  }
  return std::nullopt;
}

std::optional<ValueRange> range_of_metadata(const Metadata& metadata) {
  const std::optional<std::string> named = metadata_value(metadata, "Image.NominalPixelRange");
  if (!named) return std::nullopt;
  if (*named == "NominalRange_0_255") return ValueRange{0, 255};
  if (*named == "Normalized_0_1") return ValueRange{0, 1};
  if (*named == "Normalized_1_1") return ValueRange{-1, 1};
  if (*named == "NominalRange_16_235") return ValueRange{16, 235};
  return std::nullopt;
}

ValueRange likely_range(double low, double high) {
  constexpr double kBeyondOne = 2.5, kBelowZero = -0.1;
  if (high > kBeyondOne) return {0, 255};
  if (low < kBelowZero) return {-1, 1};
  return {0, 1};
}

}  // namespace gannet
