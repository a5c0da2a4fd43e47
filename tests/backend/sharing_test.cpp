// One Program, many Sessions in threads of their own: each gets the bits that it would get alone.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "backend/backend.h"
#include "passes/pass.h"
#include "tests/backend/onednn_fixture.h"
#include "tests/backend/program_fixture.h"

namespace gannet {
namespace {

constexpr std::string_view kModel = R"(graph "g"(%x: f32[n, 3, 16, 16], %k: f32[8, 3, 3, 3], %w: f32[8, 24], %b: f32[24]) {
  %c = Conv(%x, %k) {pads = [1, 1, 1, 1]}
  %r = Relu(%c)
  %p = GlobalAveragePool(%r)
  %f = Flatten(%p)
  %m = MatMul(%f, %w)
  %a = Add(%m, %b)
  %s = Softmax(%a)
  %e = Erf(%a)
  %y = Mul(%s, %e)
  return %y, %r
})";

std::vector<Datum> inputs_of(int64_t batch, uint64_t seed) {
  return {Datum(test::uniform({batch, 3, 16, 16}, seed)), Datum(test::uniform({8, 3, 3, 3}, 1)), Datum(test::uniform({8, 24}, 2)), Datum(test::uniform({24}, 3))};
}

bool same_bits(const std::vector<Datum>& a, const std::vector<Datum>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor &x = a[i].tensor(), &y = b[i].tensor();
    if (x.extents() != y.extents() || std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())) != 0) return false;
  }
  return a.size() == b.size();
}

TEST(Sharing, SessionsOfOneProgramRunAtTheSameTime) {
  const auto graph = test::graph_of(kModel);
  PassContext context;
  ASSERT_TRUE(run_passes(*graph, find_pipeline("inference"), context).ok());
  CompileOptions compile;
  compile.cache = false;
  Result<CompiledProgram> compiled = lower_to_program(*graph, compile);
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  SessionOptions options;
  options.threads = 2;
  options.primitives = make_onednn_library();
  constexpr int kThreads = 4, kRuns = 20;
  std::vector<std::vector<Datum>> expected;
  for (int t = 0; t < kThreads; ++t) {
    auto session = *Session::create(compiled->program, options);
    expected.push_back(*session->run(inputs_of(t + 1, static_cast<uint64_t>(t))));
  }
  std::vector<int> wrong(kThreads, 0);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto session = Session::create(compiled->program, options);
        for (int run = 0; run < kRuns; ++run) {
          const int shape = (t + run) % kThreads;
          const auto outputs = (*session)->run(inputs_of(shape + 1, static_cast<uint64_t>(shape)));
          wrong[static_cast<size_t>(t)] += !outputs.ok() || !same_bits(*outputs, expected[static_cast<size_t>(shape)]);
        }
      });
    }
  }
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace gannet
