#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "backend/llvm/lower_node.h"
#include "backend/llvm/object_code.h"
#include "ir/parse.h"
#include "runtime/core/code_image.h"

namespace gannet {
namespace {

// Distance in units of the last place of the exact result, rounded to f32 where it is subnormal or zero.
double ulps(float actual, double exact) {
  if (std::isnan(exact)) return std::isnan(actual) ? 0 : 1e9;
  const auto rounded = static_cast<float>(exact);
  if (actual == rounded) return 0;
  if (std::isinf(rounded) || !std::isfinite(actual)) {
    // Next to the largest number, infinity is one step away.
    const double finite = std::isinf(rounded) ? static_cast<double>(actual) : exact;
    return std::fabs(finite) >= static_cast<double>(std::numeric_limits<float>::max()) * (1 - 4e-7) ? 1 : 1e9;
  }
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::fabs(static_cast<double>(actual) - exact) / std::ldexp(1, exponent - 23);
}

std::shared_ptr<const CodeImage> unary_code(std::string_view op, Isa isa) {
  auto graph = parse_graph(fmt::format(R"IR(graph "g"(%x: f32[n]) {{
      %y = Map(%x) {{body = "{}(x0)"}}
      return %y as "y"
    }})IR", op));
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  Result<KernelPlan> plan = plan_node(*(*graph)->nodes().back(), isa);
  EXPECT_TRUE(plan.ok());
  KernelCode code = compile_kernel(plan->kernel, isa);
  return *CodeImage::load(code.bytes, {{"kernel", code.entry}}, name_of(isa));
}

// Every 9973rd f32, huge and subnormal ones included, and what lies around special values.
std::vector<float> samples() {
  std::vector<float> result;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 9973) result.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (float x : {0.0f, 1.0f, -1.0f, 0.5f, 2.0f, 88.7f, -88.7f, -103.9f, 0.92f, 4.0f, 1e-38f, 1e-45f, 3.14159265f}) {
    for (float sign : {1.0f, -1.0f}) {
      float near = sign * x;
      for (int i = 0; i < 50; ++i, near = std::nextafter(near, INFINITY)) result.push_back(near);
    }
  }
  for (float x = -20; x < 20; x += 0.00037f) result.push_back(x);
  result.insert(result.end(), {INFINITY, -INFINITY, NAN});
  return result;
}

void expect_within_four_ulps(std::string_view name, const std::function<double(double)>& exact) {
  const std::vector<float> x = samples();
  std::vector<float> y(x.size());
  for (Isa isa : {Isa::kV3, Isa::kV4}) {
    if (isa == Isa::kV4 && host_target().isa != Isa::kV4) continue;
    const auto image = unary_code(name, isa);
    void* pointers[] = {const_cast<float*>(x.data()), y.data()};
    const int64_t sizes[] = {static_cast<int64_t>(x.size())};
    image->function(0)(pointers, sizes, 0, (sizes[0] + 4095) / 4096, nullptr, math_table());
    double worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], exact(static_cast<double>(x[i])));
      if (error > worst) {
        worst = error;
        where = i;
      }
    }
    EXPECT_LE(worst, 4) << name << "(" << x[where] << ") gave " << y[where] << " on " << name_of(isa);
  }
}

TEST(VectorMath, FourUnitsInTheLastPlace) {
  expect_within_four_ulps("exp", [](double x) { return std::exp(x); });
  expect_within_four_ulps("expm1", [](double x) { return std::expm1(x); });
  expect_within_four_ulps("log", [](double x) { return std::log(x); });
  expect_within_four_ulps("log1p", [](double x) { return std::log1p(x); });
  expect_within_four_ulps("tanh", [](double x) { return std::tanh(x); });
  expect_within_four_ulps("erf", [](double x) { return std::erf(x); });
  expect_within_four_ulps("sigmoid", [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); });
  expect_within_four_ulps("softplus", [](double x) { return std::isnan(x) ? x : std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); });
  expect_within_four_ulps("sin", [](double x) { return std::sin(x); });
  expect_within_four_ulps("cos", [](double x) { return std::cos(x); });
}

std::shared_ptr<const CodeImage> pow_code(Isa isa) {
  auto graph = parse_graph(R"IR(graph "g"(%x: f32[n], %y: f32[n]) {
      %z = Map(%x, %y) {body = "pow(x0, x1)"}
      return %z as "z"
    })IR");
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  Result<KernelPlan> plan = plan_node(*(*graph)->nodes().back(), isa);
  EXPECT_TRUE(plan.ok());
  KernelCode code = compile_kernel(plan->kernel, isa);
  return *CodeImage::load(code.bytes, {{"kernel", code.entry}}, name_of(isa));
}

struct Pairs {
  std::vector<float> x, y;
  void add(float base, float exponent) {
    x.push_back(base);
    y.push_back(exponent);
  }
};

// Special values in all pairs, both operands over all their values, and bases near 1 with exponents that keep the result
// finite.
Pairs pow_samples() {
  Pairs pairs;
  const float huge = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  const float special[] = {0, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, 1.5f, -1.5f, 16777215.0f, -16777215.0f, 16777216.0f, 33554434.0f, 1e10f, -1e10f,
                           1e30f, 1e-30f, huge, -huge, tiny, -tiny, 1e-39f, INFINITY, -INFINITY, NAN, -0.0f, 0.99999994f, 1.0000001f};
  for (const float x : special) {
    for (const float y : special) pairs.add(x, y);
  }
  uint64_t state = 1;
  auto draw = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 32);
  };
  for (int i = 0; i < 400'000; ++i) {
    // Signaling NaNs are none of ours.
    const auto any = [&] {
      const auto value = std::bit_cast<float>(draw());
      return std::isnan(value) ? NAN : value;
    };
    const float x = any();
    pairs.add(x, any());
    pairs.add(x, static_cast<float>(static_cast<int>(draw() % 61) - 30));
    // An exponent for which the result lies in the range of f32, evenly over its logarithm.
    const double log_of_result = (static_cast<double>(draw()) / 4294967296.0 * 280 - 150) * 0.6931471805599453;
    const float base = std::fabs(x);
    if (std::isfinite(base) && base > 0 && base != 1) pairs.add(base, static_cast<float>(log_of_result / std::log(static_cast<double>(base))));
    const float near_one = std::nextafter(1.0f + static_cast<float>(static_cast<int32_t>(draw())) * 1e-11f, 2.0f);
    if (near_one != 1) pairs.add(near_one, static_cast<float>(log_of_result / std::log(static_cast<double>(near_one))));
  }
  return pairs;
}

TEST(VectorMath, PowerWithinFourUnitsInTheLastPlace) {
  const Pairs pairs = pow_samples();
  std::vector<float> z(pairs.x.size());
  for (Isa isa : {Isa::kV3, Isa::kV4}) {
    if (isa == Isa::kV4 && host_target().isa != Isa::kV4) continue;
    const auto image = pow_code(isa);
    void* pointers[] = {const_cast<float*>(pairs.x.data()), const_cast<float*>(pairs.y.data()), z.data()};
    const int64_t sizes[] = {static_cast<int64_t>(z.size())};
    image->function(0)(pointers, sizes, 0, (sizes[0] + 4095) / 4096, nullptr, math_table());
    double worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < z.size(); ++i) {
      const double exact = std::pow(static_cast<double>(pairs.x[i]), static_cast<double>(pairs.y[i]));
      const double error = ulps(z[i], exact);
      const bool wrong_zero = exact == 0 && z[i] == 0 && std::signbit(exact) != std::signbit(z[i]);
      if (error <= worst && !wrong_zero) continue;
      worst = wrong_zero ? 1e9 : error;
      where = i;
    }
    EXPECT_LE(worst, 4) << "pow(" << pairs.x[where] << ", " << pairs.y[where] << ") gave " << z[where] << " on " << name_of(isa);
  }
}

}  // namespace
}  // namespace gannet
