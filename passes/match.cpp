#include "passes/match.h"

#include <algorithm>
#include <cmath>

#include "ir/op.h"

namespace gannet {
namespace {

constexpr int kMostDegree = 4;
constexpr int kMostSteps = 64;
constexpr size_t kMostCandidates = 16;

Polynomial product(const Polynomial& a, const Polynomial& b) {
  Polynomial result;
  for (const auto& [p, x] : a) {
    for (const auto& [q, y] : b) result[{p.first + q.first, p.second + q.second}] += x * y;
  }
  return result;
}

Polynomial sum(const Polynomial& a, const Polynomial& b, double factor) {
  Polynomial result = a;
  for (const auto& [p, x] : b) result[p] += factor * x;
  return result;
}

int degree(const Polynomial& a) {
  int result = 0;
  for (const auto& [p, x] : a) result = std::max(result, p.first + p.second);
  return result;
}

class Reader {
 public:
  Reader(const Value* x, const Value* e) : x_(x), e_(e) {}

  std::optional<Polynomial> read(const Value* value) {
    if (++steps_ > kMostSteps || !value) return std::nullopt;
    if (value == x_) return Polynomial{{kX, 1}};
    if (value == e_) return Polynomial{{kE, 1}};
    if (const auto number = constant_number(value)) return Polynomial{{kOne, *number}};
    const Node* node = value->producer();
    if (!node) return std::nullopt;
    const std::string_view op = node->op().name;
    if (op == "Neg") return scaled(node, -1);
    if (op == "Div") {
      const auto divisor = constant_number(node->input(1));
      return divisor && *divisor != 0 ? scaled(node, 1 / *divisor) : std::nullopt;
    }
    if (op == "Pow") return power(node);
    if (op != "Add" && op != "Sub" && op != "Mul") return std::nullopt;
    const auto a = read(node->input(0));
    if (!a) return std::nullopt;
    const auto b = read(node->input(1));
    if (!b || degree(*a) + degree(*b) > 2 * kMostDegree) return std::nullopt;
    Polynomial result = op == "Mul" ? product(*a, *b) : sum(*a, *b, op == "Add" ? 1 : -1);
    return degree(result) <= kMostDegree ? std::optional(std::move(result)) : std::nullopt;
  }

 private:
  std::optional<Polynomial> scaled(const Node* node, double factor) {
    const auto operand = read(node->input(0));
    return operand ? std::optional(product(*operand, {{kOne, factor}})) : std::nullopt;
  }

  std::optional<Polynomial> power(const Node* node) {
    const auto exponent = constant_number(node->input(1));
    if (!exponent || (*exponent != 1 && *exponent != 2 && *exponent != 3)) return std::nullopt;
    const auto base = read(node->input(0));
    if (!base || degree(*base) * *exponent > kMostDegree) return std::nullopt;
    Polynomial result = *base;
    for (int i = 1; i < *exponent; ++i) result = product(result, *base);
    return result;
  }

  const Value* x_;
  const Value* e_;
  int steps_ = 0;
};

bool is_arithmetic(const Node* node) {
  constexpr std::string_view kOps[] = {"Add", "Sub", "Mul", "Div", "Neg", "Pow"};
  return node && std::ranges::find(kOps, node->op().name) != std::end(kOps);
}

template <class T>
void add_once(std::vector<T*>& list, T* item) {
  if (list.size() < kMostCandidates && std::ranges::find(list, item) == list.end()) list.push_back(item);
}

}  // namespace

std::optional<Polynomial> polynomial_of(const Value* value, const Value* x, const Value* e) {
  std::optional<Polynomial> result = Reader(x, e).read(value);
  if (result) std::erase_if(*result, [](const auto& term) { return std::abs(term.second) < 1e-12; });
  return result;
}

bool is_near(double a, double b, DType dtype) {
  const double tolerance = dtype == DType::kBF16 ? 1e-2 : dtype == DType::kF16 ? 2e-3 : 1e-4;
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

bool is_near(const Polynomial& a, const Polynomial& b, DType dtype) {
  return std::ranges::equal(a, b, [&](const auto& s, const auto& t) { return s.first == t.first && is_near(s.second, t.second, dtype); });
}

std::vector<Value*> possible_bases(Value* value) {
  std::vector<Value*> bases = {value};
  for (size_t i = 0; i < bases.size(); ++i) {
    const Node* node = bases[i]->producer();
    if (!is_arithmetic(node)) continue;
    for (Value* operand : node->inputs()) {
      if (operand && !operand->constant()) add_once(bases, operand);
    }
  }
  return bases;
}

std::vector<Node*> possible_roots(const Value* value) {
  std::vector<Node*> roots;
  const auto add_users = [&](const Value* of) {
    for (const Use& use : of->uses()) {
      if (is_arithmetic(use.node)) add_once(roots, use.node);
    }
  };
  add_users(value);
  for (size_t i = 0; i < roots.size(); ++i) add_users(roots[i]->output());
  return roots;
}

Value* other_operand(const Node& node, const Value* value) {
  if (node.inputs().size() != 2) return nullptr;
  return node.input(0) == value ? node.input(1) : node.input(1) == value ? node.input(0) : nullptr;
}

std::optional<std::vector<int64_t>> reduction_axes(const Node& node) {
  const int64_t rank = node.input(0)->type.rank();
  if (rank < 0) return std::nullopt;
  std::vector<int64_t> axes;
  if (node.input(1)) {
    const auto given = constant_ints(node.input(1));
    if (!given) return std::nullopt;
    axes = *given;
  }
  if (axes.empty() && node.attrs.integer("noop_with_empty_axes") == 0) {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  std::ranges::sort(axes);
  return axes;
}

bool same_tensor_type(const Value* a, const Value* b) {
  return a && b && a->type.is_tensor() && a->type.has_rank() && a->type == b->type;
}

Value* filled(GraphBuilder& b, std::vector<int64_t> extents, const Value* like, double value) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  std::ranges::fill(tensor.mutable_data<double>(), value);
  Result<Tensor> converted = convert(tensor, like->type.dtype);
  CHECK(converted.ok(), "a number as {}", name_of(like->type.dtype));
  return b.constant(std::move(*converted));
}

std::vector<Node*> Replacer::nodes(std::initializer_list<std::string_view> ops) const {
  std::vector<Node*> found;
  for (const auto& node : graph_.nodes()) {
    if (std::ranges::find(ops, node->op().name) != ops.end()) found.push_back(node.get());
  }
  return found;
}

bool Replacer::is_dead(const Node& node) const {
  return std::ranges::all_of(node.outputs(), [&](const Value* v) { return !v || (v->uses().empty() && !graph_.is_result(v)); });
}

void Replacer::replace(Node& root, Value* result) {
  const std::string name = root.output()->name;
  if (result->producer()->name.empty()) result->producer()->name = root.name;
  graph_.replace_uses(root.output(), result);
  graph_.rename(root.output(), "");
  graph_.rename(result, name);
  changed_ = true;
}

bool Replacer::finish() {
  if (changed_) erase_dead_nodes(graph_);
  return changed_;
}

}  // namespace gannet
