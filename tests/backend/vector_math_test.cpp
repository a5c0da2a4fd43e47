#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "backend/llvm/lower_node.h"
#include "backend/llvm/object_cache.h"
#include "backend/llvm/object_code.h"
#include "ir/base/file.h"
#include "ir/parse.h"
#include "runtime/core/code_image.h"
#include "tests/runtime/temporary_folder.h"

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

// Every 997th f32 and what lies around special values.
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

TEST(ObjectCache, KeepsFindsAndIgnoresDamage) {
  TemporaryFolder folder;
  const ObjectCache cache(folder.path("cache"));
  EXPECT_FALSE(cache.find("a kernel"));
  cache.keep("a kernel", {{1, 2, 3, 4}, 2});
  auto found = cache.find("a kernel");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bytes, (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(found->entry, 2);
  EXPECT_FALSE(cache.find("another kernel"));
  for (const auto& entry : std::filesystem::directory_iterator(cache.folder())) {
    std::string bytes = *read_file(entry.path().string(), 1000);
    bytes[bytes.size() - 1] = 9;
    ASSERT_TRUE(write_file_atomically(entry.path().string(), bytes).ok());
  }
  EXPECT_FALSE(cache.find("a kernel"));
  cache.keep("a kernel", {{1, 2, 3, 4}, 2});
  EXPECT_TRUE(cache.find("a kernel"));
  ObjectCache(cache.folder(), 0).trim();
  EXPECT_FALSE(cache.find("a kernel"));
}

}  // namespace
}  // namespace gannet
