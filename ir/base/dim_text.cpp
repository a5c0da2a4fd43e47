#include <fmt/format.h>

#include <array>
#include <charconv>

#include "ir/base/dim_expr.h"

namespace gannet {
namespace {

using Kind = DimAtom::Kind;

struct FunctionName {
  std::string_view name;
  Kind kind;
};
constexpr std::array<FunctionName, 6> kFunctions = {{
    {"floordiv", Kind::kFloorDiv},
    {"ceildiv", Kind::kCeilDiv},
    {"mod", Kind::kMod},
    {"min", Kind::kMin},
    {"max", Kind::kMax},
    {"broadcast", Kind::kBroadcast},
}};
constexpr std::string_view kOversizedName = "oversized";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c) || c == '.'; }

std::string quoted(const std::string& name) {
  bool plain = !name.empty() && is_name_start(name.front());
  for (char c : name) plain = plain && is_name_part(c);
  if (plain) return name;
  std::string text = "\"";
  for (char c : name) {
    if (c == '"' || c == '\\') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text + '"';
}

std::string atom_text(const DimAtom& atom) {
  const auto& arguments = atom.arguments;
  switch (atom.kind) {
    case Kind::kSymbol:
      return quoted(atom.name);
    case Kind::kSum:
      return fmt::format("(({})+({}))", arguments[0].to_string(), arguments[1].to_string());
    case Kind::kProduct:
      return fmt::format("(({})*({}))", arguments[0].to_string(), arguments[1].to_string());
    case Kind::kOversized:
      return fmt::format("{}(\"{}\")", kOversizedName, atom.name);
    default:
      break;
  }
  std::string text;
  for (const FunctionName& function : kFunctions) {
    if (function.kind == atom.kind) text = function.name;
  }
  for (size_t i = 0; i < arguments.size(); ++i) text += (i ? ", " : "(") + arguments[i].to_string();
  return text + ')';
}

std::string term_text(const DimTerm& term) {
  if (term.factors.empty()) return std::to_string(term.coefficient);
  std::string text;
  if (term.coefficient == -1)
    text = "-";
  else if (term.coefficient != 1)
    text = std::to_string(term.coefficient) + '*';
  bool first = true;
  for (const DimFactor& factor : term.factors) {
    const std::string atom = atom_text(*factor.atom);
    for (int i = 0; i < factor.power; ++i) {
      if (!first) text += '*';
      text += atom;
      first = false;
    }
  }
  return text;
}

// sum := product (('+' | '-') product)*    product := primary ('*' primary)*
// primary := '-'* (integer | name | '"' name '"' | function '(' sum (',' sum)* ')' | '(' sum ')')
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Dim> parse() {
    Dim dim = TRY(parse_sum());
    skip_spaces();
    if (position_ != text_.size()) return expected("the end");
    return dim;
  }

 private:
  static constexpr int kMaxNesting = 4 * DimAlgebra::kMaxDepth;
  static constexpr int kMaxOperations = 10'000;

  Result<Dim> parse_sum() {
    Dim total = TRY(parse_product(false));
    while (true) {
      if (take('+'))
        total = total + TRY(parse_product(false));
      else if (take('-'))
        total = total + TRY(parse_product(true));
      else
        return total;
    }
  }

  Result<Dim> parse_product(bool negative) {
    Dim value = TRY(parse_primary(negative));
    while (take('*')) value = value * TRY(parse_primary(false));
    return value;
  }

  Result<Dim> parse_primary(bool negative) {
    if (++operations_ > kMaxOperations)
      return expected(fmt::format("no more than {} operands", kMaxOperations));
    while (take('-')) negative = !negative;
    skip_spaces();
    if (position_ == text_.size()) return expected("an operand");
    if (is_digit(text_[position_])) return parse_integer(negative);
    const Dim value = TRY(parse_atom());
    return negative ? Dim(-1) * value : value;
  }

  // The sign belongs to the number: the least integer has no positive counterpart.
  Result<Dim> parse_integer(bool negative) {
    size_t end = position_;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    const std::string digits = (negative ? "-" : "") + std::string(text_.substr(position_, end - position_));
    int64_t value = 0;
    const auto [_, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure != std::errc()) return expected("an integer of 64 bits");
    position_ = end;
    return Dim(value);
  }

  Result<Dim> parse_atom() {
    const char c = text_[position_];
    if (c == '"') return Dim::symbol(TRY(parse_quoted()));
    if (c == '(') return parse_parenthesized();
    if (!is_name_start(c)) return expected("an operand");
    const size_t start = position_;
    while (position_ < text_.size() && is_name_part(text_[position_])) ++position_;
    const std::string_view name = text_.substr(start, position_ - start);
    skip_spaces();
    if (position_ == text_.size() || text_[position_] != '(') return Dim::symbol(std::string(name));
    return parse_call(name);
  }

  Result<Dim> parse_parenthesized() {
    if (nesting_ == kMaxNesting)
      return expected(fmt::format("no more than {} levels of nesting", kMaxNesting));
    ++nesting_;
    take('(');
    const Dim value = TRY(parse_sum());
    if (!take(')')) return expected("')'");
    --nesting_;
    return value;
  }

  Result<Dim> parse_call(std::string_view name) {
    if (nesting_ == kMaxNesting)
      return expected(fmt::format("no more than {} levels of nesting", kMaxNesting));
    ++nesting_;
    take('(');
    if (name == kOversizedName) {
      skip_spaces();
      const std::string identity = TRY(parse_quoted());
      if (!take(')')) return expected("')'");
      --nesting_;
      return DimAlgebra::from_atom(Kind::kOversized, identity, {});
    }
    std::vector<Dim> arguments = {TRY(parse_sum())};
    while (take(',')) arguments.push_back(TRY(parse_sum()));
    if (!take(')')) return expected("',' or ')'");
    --nesting_;
    return apply(name, arguments);
  }

  Result<Dim> apply(std::string_view name, const std::vector<Dim>& arguments) {
    const bool folds = name == "min" || name == "max" || name == "broadcast";
    if (folds ? arguments.size() < 2 : arguments.size() != 2) {
      return expected(
          fmt::format("{} arguments of {}, not {}", folds ? "2 or more" : "2", name, arguments.size()));
    }
    if (name == "floordiv") return floordiv(arguments[0], arguments[1]);
    if (name == "ceildiv") return ceildiv(arguments[0], arguments[1]);
    if (name == "mod") return mod(arguments[0], arguments[1]);
    if (!folds) return expected(fmt::format("a function of dimensions, not {}", name));
    Dim result = arguments[0];
    for (size_t i = 1; i < arguments.size(); ++i) {
      if (name == "min")
        result = min(result, arguments[i]);
      else if (name == "max")
        result = max(result, arguments[i]);
      else
        result = broadcast(result, arguments[i]);
    }
    return result;
  }

  Result<std::string> parse_quoted() {
    if (position_ == text_.size() || text_[position_] != '"') return expected("'\"'");
    std::string name;
    for (++position_; position_ < text_.size(); ++position_) {
      char c = text_[position_];
      if (c == '"') {
        ++position_;
        return name;
      }
      if (c == '\\' && position_ + 1 < text_.size()) {
        c = text_[++position_];
        if (c == 'n') c = '\n';
      }
      name += c;
    }
    return expected("a closing '\"'");
  }

  void skip_spaces() {
    while (position_ < text_.size() && text_[position_] == ' ') ++position_;
  }

  bool take(char c) {
    skip_spaces();
    if (position_ == text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  Error expected(std::string_view what) const {
    constexpr size_t kShown = 200;
    return invalid_input(fmt::format("'{}{}' is not a dimension: expected {} at character {}",
                                     text_.substr(0, kShown), text_.size() > kShown ? "..." : "", what,
                                     position_ + 1));
  }

  std::string_view text_;
  size_t position_ = 0;
  int nesting_ = 0;
  int operations_ = 0;
};

template <class Element, class Print>
std::string bracketed(std::span<const Element> elements, Print print) {
  std::string text = "[";
  for (size_t i = 0; i < elements.size(); ++i) {
    if (i) text += ", ";
    text += print(elements[i]);
  }
  return text + ']';
}

}  // namespace

std::string Dim::to_string() const {
  if (is_constant()) return std::to_string(value_);
  std::string text;
  for (const DimTerm& term : *DimAlgebra::expression(*this)) {
    const std::string next = term_text(term);
    if (!text.empty() && next.front() != '-') text += '+';
    text += next;
  }
  return text;
}

Result<Dim> parse_dim(std::string_view text) { return Parser(text).parse(); }

std::string to_string(std::span<const Dim> shape) {
  return bracketed(shape, [](const Dim& dim) { return dim.to_string(); });
}

std::string to_string(std::span<const int64_t> extents) {
  return bracketed(extents, [](int64_t extent) { return std::to_string(extent); });
}

}  // namespace gannet
