#include "runtime/data/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>

#include "runtime/data/tensor_statistics.h"

namespace gannet {
namespace {

std::string index_text(const Tensor& tensor, int64_t flat) {
  std::vector<int64_t> index(tensor.extents().size());
  for (size_t axis = index.size(); axis-- > 0;) {
    index[axis] = flat % tensor.extents()[axis];
    flat /= tensor.extents()[axis];
  }
  return to_string(index);
}

template <class T>
inline constexpr bool is_complex_type =
    std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;
template <class T>
inline constexpr bool is_exact = std::is_same_v<T, std::string> || std::is_same_v<T, bool> ||
                                 std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>;

// NaN for an error that no tolerance allows: a NaN or an infinity that is not in both.
double error_of(double actual, double expected) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return 0;
  if (!std::isfinite(actual) || !std::isfinite(expected)) return NAN;
  return std::abs(actual - expected);
}
double error_of(std::complex<double> actual, std::complex<double> expected) {
  return std::hypot(error_of(actual.real(), expected.real()), error_of(actual.imag(), expected.imag()));
}

template <class T>
auto wide(const T& value) {
  if constexpr (is_complex_type<T>)
    return std::complex<double>(value);
  else
    return static_cast<double>(value);
}

struct Mismatches {
  int64_t count = 0;
  int64_t worst = -1;
  double error = 0;

  void add(int64_t index, double size) {
    bool larger = worst < 0 || (!std::isnan(error) && (std::isnan(size) || size > error));
    if (larger) {
      worst = index;
      error = size;
    }
    ++count;
  }
};

template <class T>
Mismatches exact_mismatches(std::span<const T> actual, std::span<const T> expected) {
  Mismatches result;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    double size = 0;
    if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>) {
      size = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    }
    result.add(static_cast<int64_t>(i), size);
  }
  return result;
}

template <class T>
Mismatches close_mismatches(std::span<const T> actual, std::span<const T> expected,
                            const Tolerance& tolerance) {
  double largest = 0;
  if (tolerance.atol_relative > 0) {
    for (const T& value : expected) {
      double size = std::abs(wide(value));
      if (std::isfinite(size)) largest = std::max(largest, size);
    }
  }
  double fixed = tolerance.atol + tolerance.atol_relative * largest;
  Mismatches result;
  for (size_t i = 0; i < actual.size(); ++i) {
    double error = error_of(wide(actual[i]), wide(expected[i]));
    if (error == 0) continue;
    double allowed = fixed + tolerance.rtol * std::abs(wide(expected[i]));
    if (!(error <= allowed)) result.add(static_cast<int64_t>(i), error);
  }
  return result;
}

std::string describe(const Mismatches& mismatches, const Tensor& actual, const Tensor& expected,
                     const Tolerance& tolerance, bool exact) {
  std::string text = fmt::format("{} of {} elements differ", mismatches.count, expected.elements());
  if (!exact) {
    text += fmt::format(" by more than {:g} + {:g} * |expected|", tolerance.atol, tolerance.rtol);
    if (tolerance.atol_relative > 0) text += fmt::format(" + {:g} * max |expected|", tolerance.atol_relative);
  }
  std::string error = exact && mismatches.error == 0 ? "" : fmt::format("worst by {:g} ", mismatches.error);
  if (std::isnan(mismatches.error)) error = "worst ";
  if (error.empty()) error = "first ";
  return text + fmt::format("; {}at {}: {}, expected {}", error, index_text(expected, mismatches.worst),
                            element_text(actual, mismatches.worst), element_text(expected, mismatches.worst));
}

std::optional<std::string> tensor_difference(const Tensor& actual, const Tensor& expected,
                                             const Tolerance& tolerance) {
  if (!actual.defined() && !expected.defined()) return std::nullopt;
  if (actual.defined() != expected.defined()) {
    return fmt::format("{}, expected {}", actual.defined() ? type_string(actual) : "a tensor without a type",
                       expected.defined() ? type_string(expected) : "a tensor without a type");
  }
  if (actual.dtype() != expected.dtype() || actual.extents() != expected.extents()) {
    return fmt::format("{}, expected {}", type_string(actual), type_string(expected));
  }
  return visit_dtype(actual.dtype(), [&]<class T>(Tag<T>) -> std::optional<std::string> {
    size_t count = static_cast<size_t>(expected.elements());
    std::span<const T> a(static_cast<const T*>(actual.raw()), count),
        e(static_cast<const T*>(expected.raw()), count);
    Mismatches mismatches;
    if constexpr (is_exact<T>)
      mismatches = exact_mismatches(a, e);
    else
      mismatches = close_mismatches(a, e, tolerance);
    if (mismatches.count == 0) return std::nullopt;
    return describe(mismatches, actual, expected, tolerance, is_exact<T>);
  });
}

std::string_view kind_name(Datum::Kind kind) {
  switch (kind) {
    case Datum::Kind::kAbsent:
      return "nothing";
    case Datum::Kind::kTensor:
      return "a tensor";
    case Datum::Kind::kSequence:
      return "a sequence";
    case Datum::Kind::kOptional:
      return "an optional";
  }
  return "";
}

std::optional<std::string> sequence_difference(const Datum& actual, const Datum& expected,
                                               const Tolerance& tolerance) {
  if (actual.elements().size() != expected.elements().size()) {
    return fmt::format("a sequence of {} elements, expected {}", actual.elements().size(),
                       expected.elements().size());
  }
  for (size_t i = 0; i < expected.elements().size(); ++i) {
    auto reason = difference(actual.elements()[i], expected.elements()[i], tolerance);
    if (reason) return fmt::format("element {}: {}", i, *reason);
  }
  return std::nullopt;
}

std::optional<std::string> optional_difference(const Datum& actual, const Datum& expected,
                                               const Tolerance& tolerance) {
  if (actual.has_element() != expected.has_element()) {
    return fmt::format("an optional that {}, expected one that {}",
                       actual.has_element() ? "holds something" : "is empty",
                       expected.has_element() ? "holds something" : "is empty");
  }
  if (!expected.has_element()) return std::nullopt;
  return difference(actual.element(), expected.element(), tolerance);
}

}  // namespace

std::optional<std::string> difference(const Datum& actual, const Datum& expected,
                                      const Tolerance& tolerance) {
  if (actual.kind() != expected.kind()) {
    return fmt::format("{}, expected {}", kind_name(actual.kind()), kind_name(expected.kind()));
  }
  switch (expected.kind()) {
    case Datum::Kind::kAbsent:
      return std::nullopt;
    case Datum::Kind::kTensor:
      return tensor_difference(actual.tensor(), expected.tensor(), tolerance);
    case Datum::Kind::kSequence:
      return sequence_difference(actual, expected, tolerance);
    case Datum::Kind::kOptional:
      return optional_difference(actual, expected, tolerance);
  }
  return std::nullopt;
}

}  // namespace gannet
