#include <gtest/gtest.h>

#include "backend/backend.h"
#include "ir/evaluate.h"
#include "ir/parse.h"
#include "runtime/core/session.h"
#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

std::unique_ptr<Session> session_of(const Graph& graph, int threads) {
  const Result<CompiledProgram> compiled = lower_to_program(graph, CompileOptions());
  EXPECT_TRUE(compiled.ok()) << compiled.error().message;
  bool scatters = false;
  for (const Step& step : compiled->program->steps) scatters |= std::holds_alternative<PrimitiveCall>(step.call);
  EXPECT_TRUE(scatters);
  SessionOptions options;
  options.threads = threads;
  options.primitives = make_onednn_library();
  return *Session::create(compiled->program, options);
}

TEST(ScatterRows, GradientsOfGather) {
  struct Case {
    std::string text;
    std::vector<int64_t> dy;
    std::vector<int64_t> positions;
  };
  const std::vector<Case> cases = {{"graph \"g\"(%dy: f32[n, m, 70], %i: i64[n, m]) {\n  %s: i64[2] = Constant() {value = i64[2] {9, 70}}\n"
                                    "  %dx = GatherGradient(%dy, %i, %s)\n  return %dx\n}", {2, 3, 70}, {2, 3}},
                                   {"graph \"g\"(%dy: f32[2, m, 5], %i: i64[m]) {\n  %s: i64[3] = Constant() {value = i64[3] {2, 9, 5}}\n"
                                    "  %dx = GatherGradient(%dy, %i, %s) {axis = 1}\n  return %dx\n}", {2, 6, 5}, {6}}};
  for (const Case& c : cases) {
    const auto graph = *parse_graph(c.text);
    Tensor positions = Tensor::zeros(DType::kI64, c.positions);
    const int64_t values[] = {3, -1, 3, 0, 8, -9};
    std::copy(std::begin(values), std::end(values), positions.mutable_data<int64_t>().begin());
    const std::vector<Datum> inputs = {Datum(uniform(c.dy, 1)), Datum(positions)};
    const auto expected = evaluate(*graph, inputs);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    for (const int threads : {1, 2}) {
      const auto given = session_of(*graph, threads)->run(inputs);
      ASSERT_TRUE(given.ok()) << given.error().message;
      EXPECT_TRUE((*given)[0].tensor().identical(expected->outputs[0].tensor()));
    }
    positions.mutable_data<int64_t>()[2] = 9;
    EXPECT_FALSE(session_of(*graph, 1)->run(std::vector<Datum>{inputs[0], Datum(positions)}).ok());
  }
}

}  // namespace
}  // namespace gannet::test
