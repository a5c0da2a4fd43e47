// HardSigmoid from clip(alpha * x + beta, 0, 1), also where the limits and the factor after it are scaled, and HardSwish
// from x times the HardSigmoid of slope 1/6.
#include "passes/match.h"

namespace gannet {
namespace {

// A line in x, cut off at 0 and 1 once its result is divided by `height`.
struct Ramp {
  Value* x = nullptr;
  double slope = 0, offset = 0, height = 1;
};

std::vector<Ramp> ramps_of_clip(const Node& node) {
  const auto low = constant_number(node.input(1)), high = constant_number(node.input(2));
  if (low != 0 || !high || !(*high > 0)) return {};
  std::vector<Ramp> ramps;
  for (Value* x : possible_bases(node.input(0))) {
    const auto line = polynomial_of(node.input(0), x);
    if (!same_tensor_type(x, node.output()) || !line || !line->contains(kX)) continue;
    if (line->size() != (line->contains(kOne) ? 2u : 1u)) continue;
    ramps.push_back({x, line->at(kX) / *high, line->contains(kOne) ? line->at(kOne) / *high : 0, *high});
  }
  return ramps;
}

std::vector<Ramp> ramps_of(const Node& node) {
  if (node.op().name == "Clip") return ramps_of_clip(node);
  return {{node.input(0), node.attrs.number("alpha"), node.attrs.number("beta"), 1}};
}

Result<bool> replace_by(Replacer& replacer, Node& root, Value* x, std::string_view op, Attributes attrs) {
  GraphBuilder b(replacer.graph(), &root);
  Value* y = b.op(op, {x}, std::move(attrs));
  TRY(b.status());
  replacer.replace(root, y);
  return true;
}

bool is_that_of_hard_swish(const Ramp& ramp, DType dtype) { return is_near(ramp.slope, 1.0 / 6, dtype) && is_near(ramp.offset, 0.5, dtype); }

Result<bool> recognize_swish_of(Replacer& replacer, Node& inner, const Ramp& ramp) {
  const DType dtype = ramp.x->type.dtype;
  if (!same_tensor_type(ramp.x, inner.output()) || !is_that_of_hard_swish(ramp, dtype)) return false;
  for (Node* root : possible_roots(inner.output())) {
    const auto whole = polynomial_of(root->output(), ramp.x, inner.output());
    if (!same_tensor_type(root->output(), ramp.x) || !whole) continue;
    if (is_near(*whole, {{kXE, 1 / ramp.height}}, dtype)) return replace_by(replacer, *root, ramp.x, "HardSwish", {});
  }
  return false;
}

Result<bool> recognize_sigmoid_of(Replacer& replacer, Node& clip, const Ramp& ramp) {
  const Attributes attrs = {{"alpha", static_cast<float>(ramp.slope)}, {"beta", static_cast<float>(ramp.offset)}};
  if (ramp.height == 1) return ramp.offset != 0 ? replace_by(replacer, clip, ramp.x, "HardSigmoid", attrs) : false;
  for (Node* root : possible_roots(clip.output())) {
    const auto whole = polynomial_of(root->output(), nullptr, clip.output());
    if (!same_tensor_type(root->output(), ramp.x) || !whole) continue;
    if (is_near(*whole, {{kE, 1 / ramp.height}}, ramp.x->type.dtype)) return replace_by(replacer, *root, ramp.x, "HardSigmoid", attrs);
  }
  return false;
}

}  // namespace

Result<bool> recognize_hard_swish(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* inner : replacer.nodes({"Clip", "HardSigmoid"})) {
    bool done = replacer.is_dead(*inner);
    const std::vector<Ramp> ramps = ramps_of(*inner);
    for (size_t i = 0; i < ramps.size() && !done; ++i) done = TRY(recognize_swish_of(replacer, *inner, ramps[i]));
    if (inner->op().name != "Clip") continue;
    for (size_t i = ramps.size(); i-- > 0 && !done;) done = TRY(recognize_sigmoid_of(replacer, *inner, ramps[i]));
  }
  return replacer.finish();
}

}  // namespace gannet
