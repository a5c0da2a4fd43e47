// Changing element types: Cast and CastLike convert values, BitCast keeps bits.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kCastAttrs[] = {required_attr("to", AttrKind::kDType), int_attr("saturate", 1), string_attr("round_mode", "up")};
constexpr AttrDef kCastLikeAttrs[] = {int_attr("saturate", 1), string_attr("round_mode", "up")};
constexpr AttrDef kBitCastAttrs[] = {required_attr("to", AttrKind::kDType)};

Status infer_conversion(InferContext& c, DType to) {
  TRY(expect_choice(c, "round_mode", {"up", "down", "nearest"}));
  if (is_complex(to) || is_complex(c.dtype(0))) {
    return invalid_model(fmt::format("cannot convert {} to {}", name_of(c.dtype(0)), name_of(to)));
  }
  std::optional<Shape> shape;
  if (c.shape(0)) shape = *c.shape(0);
  if (shape && shape->size() <= 1 && is_int(to) && element_bits(to) >= 32) {
    std::optional<std::vector<Dim>> contents = short_contents(c, 0);
    const bool fits = to == DType::kI64 || (contents && std::ranges::all_of(*contents, [](const Dim& dim) {
      return dim.lower_bound().value_or(-1) >= 0 && dim.upper_bound().value_or(0) < (int64_t{1} << 31);
    }));
    if (contents && fits && c.dtype(0) != DType::kU64) c.set_contents(0, std::move(*contents));
  }
  c.set_tensor(0, to, std::move(shape));
  return {};
}

Status infer_cast(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const DType to = c.attrs().dtype("to");
  if (to == DType::kUndefined) return invalid_model("attribute 'to' is no element type");
  return infer_conversion(c, to);
}

Status infer_cast_like(InferContext& c) {
  TRY(expect_tensors(c, 2));
  return infer_conversion(c, c.dtype(1));
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// The number that `text` spells, as ONNX's Cast reads it.
Result<double> parse_number(const std::string& text) {
  std::string_view digits = trimmed(text);
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  double value = 0;
  if (equal_ignoring_case(digits, "inf") || equal_ignoring_case(digits, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else if (equal_ignoring_case(digits, "nan")) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure == std::errc::result_out_of_range) {
      value = std::strtod(std::string(digits).c_str(), nullptr);
    } else if (failure != std::errc() || end != digits.data() + digits.size()) {
      return invalid_input(fmt::format("'{}' is not a number", text));
    }
  }
  return negative ? -value : value;
}

// Integers are read as such, so that all 64 bits are exact; anything else by its integer part.
Result<int64_t> parse_integer(const std::string& text) {
  std::string_view digits = trimmed(text);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int64_t value = 0;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure == std::errc() && end == digits.data() + digits.size()) return value;
  uint64_t wide = 0;
  const auto unsigned_result = std::from_chars(digits.data(), digits.data() + digits.size(), wide);
  if (unsigned_result.ec == std::errc() && unsigned_result.ptr == digits.data() + digits.size()) return static_cast<int64_t>(wide);
  const double number = TRY(parse_number(text));
  if (!(number >= -0x1p63 && number < 0x1p63)) return invalid_input(fmt::format("'{}' is outside of 64 bits", text));
  return static_cast<int64_t>(number);
}

Status numbers_from_strings(const Tensor& x, Tensor& y) {
  const std::span<const std::string> texts = x.data<std::string>();
  return visit_dtype(y.dtype(), [&]<class T>(Tag<T>) -> Status {
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
      return unsupported("strings hold real numbers only");
    } else {
      const std::span<T> values = y.mutable_data<T>();
      for (size_t i = 0; i < texts.size(); ++i) {
        if constexpr (std::is_same_v<T, bool>) values[i] = TRY(parse_number(texts[i])) != 0;
        else if constexpr (std::is_integral_v<T>) values[i] = static_cast<T>(TRY(parse_integer(texts[i])));
        else values[i] = Tensor::scalar_of(y.dtype(), TRY(parse_number(texts[i]))).template data<T>()[0];
      }
      return {};
    }
  });
}

// The shortest decimal that reads back as the same value of its type.
template <class T>
std::string spell(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "1" : "0";
  } else if constexpr (std::is_integral_v<T>) {
    return fmt::format("{}", static_cast<std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
    return fmt::format("{}", value);
  } else {
    return spell(static_cast<float>(value));
  }
}

void strings_from_numbers(const Tensor& x, Tensor& y) {
  const std::span<std::string> texts = y.mutable_data<std::string>();
  visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, std::complex<float>> && !std::is_same_v<T, std::complex<double>>) {
      const std::span<const T> values = x.data<T>();
      for (size_t i = 0; i < values.size(); ++i) texts[i] = spell(values[i]);
    }
  });
}

std::optional<SmallFloat> small_float_of(DType dtype) {
  switch (dtype) {
    case DType::kF8E4M3FN: return SmallFloat::kE4M3FN;
    case DType::kF8E4M3FNUZ: return SmallFloat::kE4M3FNUZ;
    case DType::kF8E5M2: return SmallFloat::kE5M2;
    case DType::kF8E5M2FNUZ: return SmallFloat::kE5M2FNUZ;
    case DType::kF8E8M0: return SmallFloat::kE8M0;
    default: return std::nullopt;
  }
}

// Conversion to a float8 format, where saturation and rounding are the node's to choose.
void to_small_float(const Tensor& x, SmallFloat format, bool saturate, std::string_view round_mode, Tensor& y) {
  const int mode = round_mode == "up" ? 0 : round_mode == "down" ? 1 : 2;
  auto* bits = static_cast<uint8_t*>(y.mutable_raw());
  visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, std::complex<float>> && !std::is_same_v<T, std::complex<double>>) {
      for (const T& value : x.data<T>()) {
        float narrowed;
        if constexpr (std::is_arithmetic_v<T>) narrowed = double_to_float_odd(static_cast<double>(value));
        else narrowed = static_cast<float>(value);
        *bits++ = format == SmallFloat::kE8M0 ? float_to_e8m0(narrowed, saturate, mode)
                                              : float_to_small_float(format, narrowed, saturate);
      }
    }
  });
}

// Floats saturate to the few values of a 2- or 4-bit integer; NaN gives 0.
void to_narrow_integer(const Tensor& x, Tensor& y) {
  const int64_t bits = element_bits(y.dtype());
  const bool is_signed = is_signed_int(y.dtype());
  const double low = is_signed ? -static_cast<double>(1 << (bits - 1)) : 0;
  const double high = static_cast<double>((1 << (is_signed ? bits - 1 : bits)) - 1);
  auto* out = static_cast<int8_t*>(y.mutable_raw());
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double value = x.double_at(i);
    out[i] = std::isnan(value) ? int8_t{0} : static_cast<int8_t>(std::clamp(value, low, high));
  }
}

Status eval_cast(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const DType to = c.output_type(0).dtype;
  if (x.dtype() == to) {
    c.set(x);
    return {};
  }
  Tensor y = TRY(allocate_inferred(c));
  if (to == DType::kString) {
    strings_from_numbers(x, y);
  } else if (x.dtype() == DType::kString) {
    TRY(numbers_from_strings(x, y));
  } else if (const std::optional<SmallFloat> format = small_float_of(to)) {
    to_small_float(x, *format, c.attrs().integer("saturate") != 0, c.attrs().text("round_mode"), y);
  } else if (is_int(to) && element_bits(to) < 8 && !is_int(x.dtype()) && x.dtype() != DType::kBool) {
    to_narrow_integer(x, y);
  } else {
    y = TRY(convert(x, to));
  }
  c.set(std::move(y));
  return {};
}

Status cast_vjp(VjpContext& c) {
  if (is_float(c.operand(0)->type.dtype) && is_float(c.output()->type.dtype)) c.set(0, c.b.cast(c.gradient(), c.operand(0)->type.dtype));
  return {};
}

Status infer_bit_cast(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const DType from = c.dtype(0), to = c.attrs().dtype("to");
  if (to == DType::kUndefined) return invalid_model("attribute 'to' is no element type");
  if (from != DType::kUndefined && (element_bits(from) != element_bits(to) || from == DType::kString || to == DType::kString)) {
    return invalid_model(fmt::format("{} of {} bits cannot be read as {} of {} bits", name_of(from), element_bits(from), name_of(to),
                                     element_bits(to)));
  }
  std::optional<Shape> shape;
  if (c.shape(0)) shape = *c.shape(0);
  c.set_tensor(0, to, std::move(shape));
  return {};
}

Status eval_bit_cast(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) std::memcpy(y.mutable_raw(), x.raw(), static_cast<size_t>(x.bytes()));
  // In memory a narrow integer is sign-extended to its byte, and a bool is 0 or 1.
  auto* bytes = static_cast<uint8_t*>(y.mutable_raw());
  const int64_t bits = element_bits(y.dtype());
  if (y.dtype() == DType::kBool) {
    for (int64_t i = 0; i < y.elements(); ++i) bytes[i] = bytes[i] != 0;
  } else if (bits < 8) {
    const auto mask = static_cast<uint8_t>((1 << bits) - 1), sign = static_cast<uint8_t>(1 << (bits - 1));
    for (int64_t i = 0; i < y.elements(); ++i) {
      const auto low = static_cast<uint8_t>(bytes[i] & mask);
      bytes[i] = is_signed_int(y.dtype()) && (low & sign) ? static_cast<uint8_t>(low | ~mask) : low;
    }
  }
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Cast = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kCastAttrs, .infer = infer_cast, .eval = eval_cast};
constinit const GradientRule gradients::Cast = {.vjp = cast_vjp};
constinit const StructuredOp ops::CastLike = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kCastLikeAttrs, .infer = infer_cast_like, .eval = eval_cast};
constinit const GradientRule gradients::CastLike = {.vjp = cast_vjp};
constinit const StructuredOp ops::BitCast = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kBitCastAttrs, .infer = infer_bit_cast, .eval = eval_bit_cast, .no_gradient = "bits are not numbers"};

}  // namespace gannet
