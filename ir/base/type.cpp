#include "ir/base/type.h"

#include <fmt/format.h>

namespace gannet {
namespace {

constexpr int kMaxNesting = 64;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Error not_a_type(std::string_view text) {
  return invalid_input(
      fmt::format("'{}' is not a type; expected one like f32[batch, 3], seq(f32[2]), optional(i64)", text));
}

// Pieces between commas that are outside of parentheses and quotes.
std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> pieces;
  int depth = 0;
  bool quoted = false;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '(') {
      ++depth;
    } else if (!quoted && c == ')') {
      --depth;
    } else if (!quoted && c == ',' && depth == 0) {
      pieces.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  pieces.push_back(text.substr(start));
  return pieces;
}

Result<Type> parse_tensor_type(std::string_view text) {
  const size_t bracket = text.find('[');
  const std::string_view name = trim(text.substr(0, bracket));
  DType dtype = DType::kUndefined;
  if (name != name_of(DType::kUndefined)) {
    const std::optional<DType> known = dtype_from_name(name);
    if (!known) return not_a_type(text);
    dtype = *known;
  }
  if (bracket == std::string_view::npos) return Type::tensor(dtype);
  if (text.back() != ']') return not_a_type(text);
  const std::string_view inside = trim(text.substr(bracket + 1, text.size() - bracket - 2));
  Shape shape;
  if (!inside.empty()) {
    for (std::string_view piece : split_at_commas(inside)) shape.push_back(TRY(parse_dim(trim(piece))));
  }
  return Type::tensor(dtype, std::move(shape));
}

Result<Type> parse_nested_type(std::string_view text, int nesting) {
  if (nesting > kMaxNesting)
    return invalid_input(fmt::format("a type nests deeper than {} levels", kMaxNesting));
  text = trim(text);
  for (const auto& [prefix, wrap] : {std::pair{std::string_view("seq("), &Type::sequence},
                                     std::pair{std::string_view("optional("), &Type::optional}}) {
    if (!text.starts_with(prefix)) continue;
    if (text.back() != ')') return not_a_type(text);
    return wrap(
        TRY(parse_nested_type(text.substr(prefix.size(), text.size() - prefix.size() - 1), nesting + 1)));
  }
  return parse_tensor_type(text);
}

}  // namespace

bool operator==(const Type& a, const Type& b) {
  if (a.kind != b.kind) return false;
  if (a.is_tensor()) return a.dtype == b.dtype && a.shape == b.shape;
  if (!a.element || !b.element) return a.element == b.element;
  return a.element == b.element || *a.element == *b.element;
}

std::string to_string(const Type& type) {
  if (type.is_tensor()) {
    std::string text(name_of(type.dtype));
    if (type.shape) text += to_string(std::span<const Dim>(*type.shape));
    return text;
  }
  const std::string element =
      type.element ? to_string(*type.element) : std::string(name_of(DType::kUndefined));
  return fmt::format("{}({})", type.kind == Type::Kind::kSequence ? "seq" : "optional", element);
}

Result<Type> parse_type(std::string_view text) { return parse_nested_type(text, 0); }

}  // namespace gannet
