#include "runtime/data/tensor_statistics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace gannet {
namespace {

std::string quoted(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string result = "\"";
  for (char c : text.substr(0, kMost)) {
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (static_cast<unsigned char>(c) < ' ')
      result += fmt::format("\\x{:02x}", static_cast<int>(c));
    else
      result.push_back(c);
  }
  return result + (text.size() > kMost ? "...\"" : "\"");
}

template <class T>
std::string text_of(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return quoted(value);
  else if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
    return fmt::format("({}{:+}i)", value.real(), value.imag());
  } else if constexpr (std::is_arithmetic_v<T>)
    return fmt::format("{}", value);
  else if constexpr (std::is_convertible_v<T, float> && !std::is_convertible_v<T, int>)
    return fmt::format("{}", float(value));
  else
    return text_of(+value);  // the storage types widen to float or int
}

// Counts what is not finite, and gathers the moments of the rest in two passes, since the sum of squares
// loses the spread of numbers that are far from zero.
template <class T>
void gather_real(std::span<const T> values, TensorStatistics& result) {
  TensorStatistics::Moments moments{std::numeric_limits<double>::infinity(),
                                    -std::numeric_limits<double>::infinity(), 0, 0};
  int64_t finite = 0;
  for (const T& element : values) {
    double value = static_cast<double>(element);
    if (std::isnan(value))
      ++result.nans;
    else if (std::isinf(value))
      ++result.infinities;
    else {
      ++finite;
      moments.min = std::min(moments.min, value);
      moments.max = std::max(moments.max, value);
      moments.mean += (value - moments.mean) / static_cast<double>(finite);
    }
  }
  if (finite == 0) return;
  double squares = 0;
  for (const T& element : values) {
    double distance = static_cast<double>(element) - moments.mean;
    if (std::isfinite(distance)) squares += distance * distance;
  }
  moments.std = std::sqrt(squares / static_cast<double>(finite));
  result.moments = moments;
}

template <class T>
void gather_complex(std::span<const T> values, TensorStatistics& result) {
  for (const T& value : values) {
    if (std::isnan(value.real()) || std::isnan(value.imag()))
      ++result.nans;
    else if (std::isinf(value.real()) || std::isinf(value.imag()))
      ++result.infinities;
  }
}

}  // namespace

TensorStatistics statistics(const Tensor& tensor, int64_t first_count) {
  TensorStatistics result;
  if (!tensor.defined()) return result;
  result.elements = tensor.elements();
  visit_dtype(tensor.dtype(), [&]<class T>(Tag<T>) {
    std::span<const T> values(static_cast<const T*>(tensor.raw()), static_cast<size_t>(tensor.elements()));
    if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
      gather_complex(values, result);
    } else if constexpr (!std::is_same_v<T, std::string>) {
      gather_real(values, result);
    }
    for (const T& value : values.first(
             std::min<size_t>(values.size(), static_cast<size_t>(std::max<int64_t>(first_count, 0))))) {
      result.first.push_back(text_of(value));
    }
  });
  return result;
}

std::string to_string(const TensorStatistics& statistics) {
  std::vector<std::string> parts;
  if (const auto& moments = statistics.moments) {
    parts.push_back(fmt::format("min {:.6g} max {:.6g} mean {:.6g} std {:.6g}", moments->min, moments->max,
                                moments->mean, moments->std));
  }
  if (statistics.nans > 0) parts.push_back(fmt::format("{} NaN", statistics.nans));
  if (statistics.infinities > 0) parts.push_back(fmt::format("{} infinite", statistics.infinities));
  std::string text = fmt::format("{}", fmt::join(parts, ", "));
  if (statistics.elements == 0) return "no elements";
  if (statistics.first.empty()) return text;
  if (!text.empty()) text += "; ";
  bool all = static_cast<int64_t>(statistics.first.size()) == statistics.elements;
  return text + fmt::format("{}{}", fmt::join(statistics.first, " "), all ? "" : " ...");
}

std::string element_text(const Tensor& tensor, int64_t index) {
  CHECK(tensor.defined() && index >= 0 && index < tensor.elements(), "element {} of {}", index,
        tensor.elements());
  return visit_dtype(tensor.dtype(),
                     [&]<class T>(Tag<T>) { return text_of(static_cast<const T*>(tensor.raw())[index]); });
}

std::vector<Ranked> top_k(const Tensor& tensor, int64_t row, int64_t k) {
  CHECK(tensor.defined() && !is_complex(tensor.dtype()) && tensor.dtype() != DType::kString,
        "no order among {}", type_string(tensor));
  int64_t length = tensor.rank() == 0 ? 1 : tensor.extents().back();
  CHECK(row >= 0 && (length == 0 || row < tensor.elements() / length), "row {} of {}", row,
        type_string(tensor));
  std::vector<Ranked> ranked(static_cast<size_t>(length));
  for (int64_t i = 0; i < length; ++i)
    ranked[static_cast<size_t>(i)] = {i, tensor.double_at(row * length + i)};
  auto before = [](const Ranked& a, const Ranked& b) {
    if (std::isnan(a.value) != std::isnan(b.value)) return std::isnan(b.value);
    if (a.value != b.value && !std::isnan(a.value)) return a.value > b.value;
    return a.index < b.index;
  };
  size_t count = static_cast<size_t>(std::clamp<int64_t>(k, 0, length));
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count), ranked.end(),
                    before);
  ranked.resize(count);
  return ranked;
}

}  // namespace gannet
