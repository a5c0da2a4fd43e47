// Layers that are shorthand for others.
#include <numeric>

#include "ir/op.h"
#include "passes/canonicalize_rules.h"

namespace gannet {

namespace {

// Inference form: what drops nothing gives its operand.
Value* dropout(Rewrite& r) {
  const Value *ratio = r.operand(1), *training = r.operand(2);
  const bool inference = !training || constant_number(training) == 0.0;
  return inference || constant_number(ratio) == 0.0 ? r.operand(0) : nullptr;
}

Value* global_pooling(Rewrite& r, std::string_view reduction) {
  if (!r.operand(0)->type.shape) return nullptr;
  std::vector<int64_t> axes(static_cast<size_t>(r.operand(0)->type.rank() - 2));
  std::iota(axes.begin(), axes.end(), 2);
  if (axes.empty()) return r.operand(0);
  return r.b.op(reduction, {r.operand(0), r.b.ints(axes)}, {{"keepdims", int64_t{1}}});
}

Value* global_average(Rewrite& r) { return global_pooling(r, "ReduceMean"); }
Value* global_max(Rewrite& r) { return global_pooling(r, "ReduceMax"); }

// A window over everything.
Value* whole_average(Rewrite& r) {
  const Type& x = r.operand(0)->type;
  const Attributes& attrs = r.node->attrs;
  if (!x.shape || x.rank() < 3 || (attrs.text("auto_pad") != "NOTSET" && attrs.text("auto_pad") != "VALID")) return nullptr;
  for (int64_t pad : attrs.integers("pads")) {
    if (pad != 0) return nullptr;
  }
  for (int64_t dilation : attrs.integers("dilations")) {
    if (dilation != 1) return nullptr;
  }
  const std::vector<int64_t>& kernel = attrs.integers("kernel_shape");
  for (size_t d = 0; d < kernel.size(); ++d) {
    if (!(*x.shape)[d + 2].is_constant(kernel[d])) return nullptr;
  }
  return global_average(r);
}

// alpha * A B + beta * C in parts, where C broadcasts to the product and not the other way round.
Value* gemm(Rewrite& r) {
  if (!r.type().shape || !is_float(r.type().dtype)) return nullptr;
  const double alpha = r.node->attrs.number("alpha"), beta = r.node->attrs.number("beta");
  Value* c = r.operand(2);
  if (c) {
    if (!c->type.shape) return nullptr;
    const Result<Shape> sum = broadcast_shapes(*r.type().shape, *c->type.shape);
    if (!sum.ok() || *sum != *r.type().shape) return nullptr;
  }
  const auto side = [&](size_t i, std::string_view flag) {
    return r.node->attrs.integer(flag) != 0 ? r.b.transpose(r.operand(i), {1, 0}) : r.operand(i);
  };
  Value* a = side(0, "transA");
  Value* result = r.b.matmul(a, side(1, "transB"));
  if (alpha != 1) result = r.b.mul(result, r.b.number(alpha, result));
  if (!c) return result;
  return r.b.add(result, beta == 1 ? c : r.b.mul(c, r.b.number(beta, c)));
}

constexpr RewriteRow kRules[] = {
    {"Dropout", dropout},
    {"GlobalAveragePool", global_average},
    {"GlobalMaxPool", global_max},
    {"AveragePool", whole_average},
    {"Gemm", gemm},
};

}  // namespace

std::span<const RewriteRow> layer_rules() { return kRules; }

}  // namespace gannet
