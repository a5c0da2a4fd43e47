// Gelu from its parts: x / 2 * (1 + erf(x / sqrt 2)), the approximation of erf by tanh, and that written as a sigmoid.
#include <cmath>
#include <numbers>

#include "passes/match.h"

namespace gannet {
namespace {

struct Form {
  std::string_view inner;        // the function in the middle
  Polynomial argument;           // of it, in x
  Polynomial whole;              // in x and the function's result
  std::string_view approximate;  // of Gelu
};

std::vector<Form> forms() {
  const double root = std::sqrt(2 / std::numbers::pi), cubic = 0.044715;
  const Polynomial half = {{kX, 0.5}, {kXE, 0.5}};
  return {{"Erf", {{kX, 1 / std::numbers::sqrt2}}, half, "none"},
          {"Tanh", {{kX, root}, {kXCubed, root * cubic}}, half, "tanh"},
          {"Sigmoid", {{kX, 2 * root}, {kXCubed, 2 * root * cubic}}, {{kXE, 1}}, "tanh"}};
}

Node* root_of(const Value* e, const Value* x, const Form& form) {
  for (Node* root : possible_roots(e)) {
    if (!same_tensor_type(root->output(), x)) continue;
    const auto whole = polynomial_of(root->output(), x, e);
    if (whole && is_near(*whole, form.whole, x->type.dtype)) return root;
  }
  return nullptr;
}

Status recognize(Replacer& replacer, Node& inner, const Form& form) {
  Value* e = inner.output();
  for (Value* x : possible_bases(inner.input(0))) {
    if (!same_tensor_type(x, e)) continue;
    const auto argument = polynomial_of(inner.input(0), x);
    if (!argument || !is_near(*argument, form.argument, x->type.dtype)) continue;
    Node* root = root_of(e, x, form);
    if (!root) {
      replacer.remark(inner, fmt::format("its operand is that of a Gelu of '{}', but what uses '{}' is not", x->name, e->name));
      return {};
    }
    GraphBuilder b(replacer.graph(), root);
    Attributes attrs;
    if (form.approximate != "none") attrs.set("approximate", std::string(form.approximate));
    Value* y = b.op("Gelu", {x}, std::move(attrs));
    TRY(b.status());
    replacer.replace(*root, y);
    return {};
  }
  return {};
}

}  // namespace

Result<bool> recognize_gelu(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (const Form& form : forms()) {
    for (Node* inner : replacer.nodes({form.inner})) {
      if (!replacer.is_dead(*inner)) TRY(recognize(replacer, *inner, form));
    }
  }
  return replacer.finish();
}

}  // namespace gannet
