// Recognizing what a few elementwise nodes compute together. Exporters spell one function in many ways: factors in any
// order, constants merged or apart, divisions for products. So a pattern is not a tree of nodes but a polynomial: what a
// value is in terms of one or two others.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {

// Coefficients by the exponents of x and e.
using Polynomial = std::map<std::pair<int, int>, double>;
inline constexpr std::pair<int, int> kOne = {0, 0}, kX = {1, 0}, kXCubed = {3, 0}, kE = {0, 1}, kXE = {1, 1};

// What `value` is in terms of `x` and `e` (null: of x alone), looking through sums, products, quotients by constants and
// powers; nothing where anything else is in it.
std::optional<Polynomial> polynomial_of(const Value* value, const Value* x, const Value* e = nullptr);
// True for the same terms, coefficients agreeing to what the digits that models write and `dtype` allow.
bool is_near(const Polynomial& a, const Polynomial& b, DType dtype);
bool is_near(double a, double b, DType dtype);

// Values that `value` may be a polynomial of, itself first: down through arithmetic, constants left out.
std::vector<Value*> possible_bases(Value* value);
// Nodes whose results may be a polynomial in `value`, nearest first: up through arithmetic.
std::vector<Node*> possible_roots(const Value* value);

// The other operand of a node of two; null where `value` is neither.
Value* other_operand(const Node& node, const Value* value);
// The axes of a reduction counted from 0 and sorted; nothing where they or the rank are not known.
std::optional<std::vector<int64_t>> reduction_axes(const Node& node);
// True where both are tensors of one known shape and dtype.
bool same_tensor_type(const Value* a, const Value* b);

// A constant of `extents` that is `value` everywhere, of the dtype of `like`.
Value* filled(GraphBuilder& b, std::vector<int64_t> extents, const Value* like, double value);

// Puts what a pass recognizes in the place of what was there. Replaced nodes stay until the end, so that pointers a
// pass holds remain valid.
class Replacer {
 public:
  Replacer(Graph& graph, PassContext& context) : graph_(graph), context_(context) {}

  Graph& graph() { return graph_; }
  PassContext& context() { return context_; }
  // The nodes of these ops as they stand now.
  std::vector<Node*> nodes(std::initializer_list<std::string_view> ops) const;
  // True where nothing reads the node's result any more.
  bool is_dead(const Node& node) const;
  // Every use of `root`'s result becomes a use of `result`, a new value, which takes over its name and that of
  // its node.
  void replace(Node& root, Value* result);
  // Says why `node` nearly fitted.
  void remark(const Node& node, std::string text) { context_.remark(node, std::move(text)); }
  // Erases what is dead. True when anything was replaced.
  bool finish();

 private:
  Graph& graph_;
  PassContext& context_;
  bool changed_ = false;
};

}  // namespace gannet
