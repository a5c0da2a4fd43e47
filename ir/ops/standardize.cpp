#include "ir/ops/standardize.h"

namespace gannet {

Status expect_channels(const InferContext& c, size_t i, std::string_view role,
                       const std::optional<Dim>& channels) {
  TRY(expect_rank(c, i, 1, role));
  if (!c.shape(i) || !channels) return {};
  const Dim& extent = (*c.shape(i))[0];
  if (extent.is_constant() && channels->is_constant() && extent != *channels) {
    return invalid_model(fmt::format("input {} ({}) has {} elements for {} channels", i, role,
                                     extent.to_string(), channels->to_string()));
  }
  return {};
}

Value* inverse_root(GraphBuilder& b, Value* x, double epsilon) {
  return b.map(scalar::reciprocal(scalar::sqrt(ScalarExpr::arg(0) + epsilon)), {x});
}

Moments moments(GraphBuilder& b, Value* x, const std::vector<int64_t>& axes) {
  if (x->type.dtype != DType::kF32) {
    Value* mean = b.reduce_mean(x, axes, true);
    Value* deviation = b.sub(x, mean);
    return {mean, b.reduce_mean(b.mul(deviation, deviation), axes, true)};
  }
  using E = ScalarExpr;
  Value* wide = b.cast(x, DType::kF64);
  Value* mean = b.reduce_mean(wide, axes, true);
  Value* square = b.reduce_mean(b.mul(wide, wide), axes, true);
  Value* variance = b.map(scalar::max(E::arg(1) - E::arg(0) * E::arg(0), 0.0), {mean, square});
  return {b.cast(mean, DType::kF32), b.cast(variance, DType::kF32)};
}

Standardized standardize(GraphBuilder& b, Value* x, const std::vector<int64_t>& axes, double epsilon,
                         bool centered) {
  Standardized s;
  s.centered = centered;
  Value* deviation = centered ? b.sub(x, b.reduce_mean(x, axes, true)) : x;
  s.deviation_inverse = inverse_root(b, b.reduce_mean(b.mul(deviation, deviation), axes, true), epsilon);
  s.normalized = b.mul(deviation, s.deviation_inverse);
  return s;
}

Value* standardize_gradient(GraphBuilder& b, const Standardized& s, Value* upstream,
                            const std::vector<int64_t>& axes) {
  Value* projection = b.mul(s.normalized, b.reduce_mean(b.mul(upstream, s.normalized), axes, true));
  Value* rest = b.sub(upstream, projection);
  if (s.centered) rest = b.sub(rest, b.reduce_mean(upstream, axes, true));
  return b.mul(rest, s.deviation_inverse);
}

}  // namespace gannet
