#include "ir/epilogue.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "ir/op.h"
#include "ir/quantize_scalar.h"

namespace gannet {
namespace {

// A form of an expression: arg(0) stands for the value that runs through the chain, arg(1) and arg(2) for alpha and
// beta, which are literals of the expression.
struct Form {
  EpilogueKind kind;
  ScalarExpr pattern;
  float alpha = 0, beta = 0;  // where the form has no arg for them
};

std::vector<Form> make_forms() {
  using namespace scalar;
  using enum EpilogueKind;
  const ScalarExpr x = ScalarExpr::arg(0), a = ScalarExpr::arg(1), b = ScalarExpr::arg(2);
  const float infinity = std::numeric_limits<float>::infinity();
  auto clamped = [](const ScalarExpr& v) { return select(v <= 0, 0, select(v >= 1, 1, v)); };
  const ScalarExpr at_least = select(x < a, a, x);
  return {
      {kRelu, select(x <= 0, 0, x)},
      {kRelu, select(x < 0, 0, x)},
      {kRelu, select(x > 0, x, 0)},
      {kLeakyRelu, select(x <= 0, a * x, x)},
      {kLeakyRelu, select(x < 0, a * x, x)},
      {kElu, select(x <= 0, a * expm1(select(x <= 0, x, 0)), x)},
      {kTanh, tanh(x)},
      {kSigmoid, sigmoid(x)},
      {kGeluErf, 0.5 * x * (1 + erf(x * 0.70710678118654752440))},
      {kGeluTanh, 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)))},
      {kSwish, x * sigmoid(a * x)},
      {kSwish, x * sigmoid(x), 1},
      {kHardSwish, x * clamped(x / 6 + 0.5)},
      {kHardSigmoid, clamped(a * x + b)},
      {kClip, select(at_least > b, b, at_least)},
      {kClip, at_least, 0, infinity},
      {kClip, select(x > b, b, x), -infinity},
      {kClip, scalar::max(x, a), 0, infinity},
      {kClip, scalar::min(x, b), -infinity},
      {kLinear, x + b, 1},
      {kLinear, a * x},
      {kLinear, -x, -1},
      {kAbs, abs(x)},
      {kSqrt, sqrt(x)},
      {kSquare, x * x},
      {kExp, exp(x)},
      {kSoftplus, softplus(x)},
  };
}

bool commutes(ScalarOp op) {
  return op == ScalarOp::kAdd || op == ScalarOp::kMul || op == ScalarOp::kMax || op == ScalarOp::kMin;
}

// Matches expressions over one operand.
class Matcher {
 public:
  explicit Matcher(int chained) : chained_(chained) {}

  // The last term of `body`, and in `rest` what it is applied to.
  std::optional<EpilogueTerm> last(const ScalarExpr& body, ScalarExpr& rest) {
    static const std::vector<Form> forms = make_forms();
    for (const Form& form : forms) {
      Binding binding;
      if (!unify(form.pattern, body, binding) || !binding.x) continue;
      rest = *binding.x;
      return EpilogueTerm{form.kind, binding.a.value_or(form.alpha), binding.b.value_or(form.beta), -1};
    }
    return remaining(body, rest);
  }

 private:
  struct Binding {
    std::optional<ScalarExpr> x;
    std::optional<float> a, b;
  };

  bool depends(const ScalarExpr& e) {
    auto [known, is_new] = depends_.try_emplace(e.node(), false);
    if (!is_new) return known->second;
    bool result = e->op == ScalarOp::kArg && e->index == chained_;
    for (const ScalarExpr& arg : e->args) result = depends(arg) || result;
    return depends_[e.node()] = result;
  }

  bool unify(const ScalarExpr& pattern, const ScalarExpr& e, Binding& binding) {
    if (pattern->op == ScalarOp::kArg) {
      if (pattern->index == 0) {
        if (binding.x) return same_expression(*binding.x, e);
        if (!depends(e)) return false;
        return binding.x = e, true;
      }
      if (e->op != ScalarOp::kNumber) return false;
      std::optional<float>& slot = pattern->index == 1 ? binding.a : binding.b;
      const float number = static_cast<float>(e->number);
      if (slot) return *slot == number;
      return slot = number, true;
    }
    if (pattern->op != e->op) return false;
    if (pattern->op == ScalarOp::kNumber) {
      return std::abs(pattern->number - e->number) <= 1e-6 * std::abs(pattern->number);
    }
    if (pattern->op == ScalarOp::kCast) return false;
    const Binding before = binding;
    auto all = [&](bool exchanged) {
      binding = before;
      for (size_t i = 0; i < pattern->args.size(); ++i) {
        if (!unify(pattern->args[i], e->args[exchanged ? 1 - i : i], binding)) return false;
      }
      return true;
    };
    return all(false) || (commutes(pattern->op) && all(true)) || (binding = before, false);
  }

  // Differences and quotients with literals, and what takes a further operand.
  std::optional<EpilogueTerm> remaining(const ScalarExpr& body, ScalarExpr& rest) {
    using enum EpilogueKind;
    if (body->args.size() != 2 || body->op == ScalarOp::kSelect) return std::nullopt;
    const bool first = depends(body->args[0]);
    if (first == depends(body->args[1])) return std::nullopt;
    rest = body->args[first ? 0 : 1];
    const ScalarExpr& other = body->args[first ? 1 : 0];
    if (other->op == ScalarOp::kNumber) {
      const float number = static_cast<float>(other->number);
      if (body->op == ScalarOp::kSub) return first ? EpilogueTerm{kLinear, 1, -number, -1} : EpilogueTerm{kLinear, -1, number, -1};
      if (body->op == ScalarOp::kDiv && first && number != 0) return EpilogueTerm{kLinear, 1 / number, 0, -1};
      return std::nullopt;
    }
    if (other->op != ScalarOp::kArg) return std::nullopt;
    switch (body->op) {
      case ScalarOp::kAdd: return EpilogueTerm{kAdd, 0, 0, other->index};
      case ScalarOp::kMul: return EpilogueTerm{kMul, 0, 0, other->index};
      case ScalarOp::kMax: return EpilogueTerm{kMax, 0, 0, other->index};
      case ScalarOp::kMin: return EpilogueTerm{kMin, 0, 0, other->index};
      default: return std::nullopt;
    }
  }

  int chained_;
  std::unordered_map<const ScalarNode*, bool> depends_;
};

// The literal of a number or of its conversion.
std::optional<double> literal_of(const ScalarExpr& e) {
  if (e->op == ScalarOp::kCast) return literal_of(e->args[0]);
  if (e->op == ScalarOp::kNumber) return e->is_integer ? static_cast<double>(e->integer) : e->number;
  return std::nullopt;
}

// What quantize_scalar made: the operand, and the zero point.
struct Quantization {
  ScalarExpr operand;
  double zero = 0;
};

std::optional<Quantization> quantization_of(const ScalarExpr& body) {
  if (body->op != ScalarOp::kCast || element_bits(body->dtype) != 8 || !is_quantized_integer(body->dtype)) return std::nullopt;
  // cast(min(max(rounded + zero, low), high)), rounded = select(x == x, round(x), 0)
  const ScalarExpr* e = &body->args[0];
  for (int i = 0; i < 2; ++i) {
    if ((*e)->op != (i == 0 ? ScalarOp::kMin : ScalarOp::kMax)) return std::nullopt;
    e = &(*e)->args[0];
  }
  if ((*e)->op != ScalarOp::kAdd || (*e)->args[0]->op != ScalarOp::kSelect) return std::nullopt;
  const ScalarExpr& rounded = (*e)->args[0]->args[1];
  const std::optional<double> zero = literal_of((*e)->args[1]);
  if (!zero || rounded->op != ScalarOp::kRound) return std::nullopt;
  const ScalarExpr& operand = rounded->args[0];
  if (!same_expression(body, quantize_scalar(operand, (*e)->args[1], body->dtype))) return std::nullopt;
  return Quantization{operand, *zero};
}

bool is_f32(const Value* value) { return value && value->type.is_tensor() && value->type.dtype == DType::kF32; }

// The node's body over its operands by position; absent where it is not elementwise.
ScalarExpr body_of_node(const Node& node) {
  if (node.op().name == "Map") return node.attrs.scalar("body");
  if (!node.op().body) return {};
  std::unique_ptr<bool[]> present(new bool[node.inputs().size()]);
  std::vector<ScalarExpr> positions;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    present[i] = node.input(i) != nullptr;
    if (present[i]) positions.push_back(ScalarExpr::arg(static_cast<int>(i)));
  }
  return substitute(body_of(node.op(), node.attrs, {present.get(), node.inputs().size()}), positions);
}

bool is_identity(std::span<const int64_t> order) {
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// batch, spatial..., channels
bool is_channels_last(std::span<const int64_t> order) {
  if (order.size() < 3 || order.front() != 0 || order.back() != 1) return false;
  for (size_t i = 1; i + 1 < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i) + 1) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<EpilogueTerm>> epilogue_of(const ScalarExpr& body, int chained) {
  Matcher matcher(chained);
  std::vector<EpilogueTerm> terms;
  ScalarExpr rest = body;
  if (const std::optional<Quantization> quantization = quantization_of(body)) {
    terms.push_back({EpilogueKind::kQuantize, 0, static_cast<float>(quantization->zero), -1});
    rest = quantization->operand;
  }
  while (!(rest->op == ScalarOp::kArg && rest->index == chained)) {
    ScalarExpr before;
    std::optional<EpilogueTerm> term = matcher.last(rest, before);
    if (!term || terms.size() == kMostEpilogueTerms) return std::nullopt;
    terms.push_back(*term);
    rest = before;
  }
  std::reverse(terms.begin(), terms.end());
  return terms;
}

std::optional<std::vector<EpilogueTerm>> epilogue_of(const Node& node, size_t chained) {
  const bool coded = node.output() && node.output()->type.is_tensor() && is_quantized_integer(node.output()->type.dtype);
  if ((!is_f32(node.output()) && !coded) || node.outputs().size() != 1) return std::nullopt;
  const ScalarExpr body = body_of_node(node);
  if (body.empty()) return std::nullopt;
  std::vector<ScalarExpr> operands;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    const Value* value = node.input(i);
    operands.push_back(ScalarExpr::arg(static_cast<int>(i)));
    if (!value) continue;
    const Tensor* tensor = value->constant();
    const bool literal = i != chained && tensor && tensor->elements() == 1;
    if (!is_f32(value) && !(literal && is_quantized_integer(value->type.dtype))) return std::nullopt;
    if (literal) operands.back() = ScalarExpr(tensor->double_at(0));
  }
  return epilogue_of(substitute(body, operands), static_cast<int>(chained));
}

namespace {

// The library's functions behind a kind, as bits; 0 for terms with an operand.
uint32_t functions_of(EpilogueKind kind) {
  using enum EpilogueKind;
  auto bit = [](EpilogueKind function) { return 1u << static_cast<uint32_t>(function); };
  switch (kind) {
    case kAdd: case kMul: case kMax: case kMin: case kQuantize: return 0;
    case kLeakyRelu: return bit(kRelu);
    case kHardSigmoid: return bit(kLinear) | bit(kClip);
    default: return bit(kind);
  }
}

}  // namespace

TermPlace append_term(std::vector<EpilogueTerm>& chain, const EpilogueTerm& term) {
  if (!chain.empty() && chain.back().kind == EpilogueKind::kQuantize) return TermPlace::kRefused;
  const bool linear = term.kind == EpilogueKind::kLinear;
  if (linear && !chain.empty() && chain.back().kind == EpilogueKind::kLinear) {
    EpilogueTerm& before = chain.back();
    before.alpha *= term.alpha;
    before.beta = before.beta * term.alpha + term.beta;
    return TermPlace::kMerged;
  }
  uint32_t used = 0;
  for (const EpilogueTerm& one : chain) used |= functions_of(one.kind);
  if ((used & functions_of(term.kind)) != 0) return TermPlace::kRefused;
  chain.push_back(term);
  return TermPlace::kAdded;
}

bool sums_integers(const Node& core) { return core.op().name == "ConvInteger" || core.op().name == "MatMulInteger"; }

bool widens_sums(const Node& node) {
  return node.op().name == "Cast" && is_f32(node.output()) && node.input(0)->type.dtype == DType::kI32;
}

bool takes_order(ContractionKind kind, ContractionOperand operand, std::span<const int64_t> order) {
  if (is_identity(order)) return true;
  if (kind != ContractionKind::kMatmul) return operand == ContractionOperand::kWeights || is_channels_last(order);
  const auto rank = static_cast<int64_t>(order.size());
  if (rank < 2) return false;
  const bool columns_last = order.back() == rank - 1;
  if (operand == ContractionOperand::kResult || operand == ContractionOperand::kEpilogue) return columns_last;
  return columns_last || order.back() == rank - 2;
}

}  // namespace gannet
