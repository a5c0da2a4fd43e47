// Single nodes through both backends and a session, for nodes that take several kernels or one of the library's own:
// no step is an evaluation, and results are those of the reference evaluator.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "ir/evaluate.h"
#include "ir/parse.h"
#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

CompiledProgram compiled(const Graph& graph, Isa isa) {
  CompileOptions options;
  options.target.isa = isa;
  options.cache = false;
  Result<CompiledProgram> program = lower_to_program(graph, options);
  EXPECT_TRUE(program.ok()) << program.error().message;
  return *std::move(program);
}

struct Expectation {
  double tolerance = 0;  // 0: the same bits
  int evaluated = 0;     // steps that evaluate
};

void expect_compiled(std::string_view text, const std::vector<std::vector<Datum>>& runs, const Expectation& expectation = {}) {
  SCOPED_TRACE(std::string(text));
  const auto graph = parse_graph(text);
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  for (const Isa isa : {Isa::kV3, Isa::kV4}) {
    if (isa > host_target().isa) continue;
    const CompiledProgram program = compiled(**graph, isa);
    int evaluated = 0;
    for (const Step& step : program.program->steps) evaluated += std::holds_alternative<EvalCall>(step.call);
    EXPECT_EQ(evaluated, expectation.evaluated);
    for (const int threads : {1, 2}) {
      const std::unique_ptr<Session> session = session_on(program, threads);
      for (const std::vector<Datum>& inputs : runs) {
        const auto expected = evaluate(**graph, inputs);
        const auto given = session->run(inputs);
        ASSERT_EQ(expected.ok(), given.ok()) << (expected.ok() ? given.error().message : expected.error().message);
        if (!expected.ok()) continue;
        const Tensor &a = (*given)[0].tensor(), &b = expected->outputs[0].tensor();
        ASSERT_EQ(type_string(a), type_string(b));
        if (expectation.tolerance == 0) {
          EXPECT_TRUE(a.identical(b)) << "threads " << threads;
          continue;
        }
        for (int64_t i = 0; i < b.elements(); ++i) EXPECT_NEAR(a.double_at(i), b.double_at(i), expectation.tolerance) << i;
      }
    }
  }
}

Datum numbers(DType dtype, std::vector<int64_t> extents, uint64_t seed = 1) {
  const Result<Tensor> wide = convert(uniform(std::move(extents), seed), DType::kF64);
  Tensor scaled = Tensor::zeros(DType::kF64, wide->extents());
  for (int64_t i = 0; i < wide->elements(); ++i) scaled.mutable_data<double>()[static_cast<size_t>(i)] = wide->double_at(i) * 50;
  return Datum(*convert(scaled, dtype));
}

Datum indices(std::vector<int64_t> extents, const std::vector<int64_t>& values) { return Datum(Tensor::from<int64_t>(std::move(extents), values)); }

std::string pad(std::string_view type, std::string_view shape, std::string_view mode, std::string_view pads, int rank) {
  return fmt::format(R"(graph "g"(%x: {}[{}]) {{
    %p: i64[{}] = Constant() {{value = i64[{}] {{{}}}}}
    %y = Pad(%x, %p) {{mode = "{}"}}
    return %y as "y"
  }})", type, shape, 2 * rank, 2 * rank, pads, mode);
}

TEST(CompiledNode, PadsThatRepeatAtMostOnceAreCopies) {
  for (std::string_view mode : {"constant", "reflect", "edge", "wrap"}) {
    expect_compiled(pad("f32", "2, 3, 5, 37", mode, "0, 0, 2, 4, 0, 0, 1, 3", 4), {{numbers(DType::kF32, {2, 3, 5, 37})}});
    expect_compiled(pad("i8", "7, 4", mode, "3, 0, 0, 3", 2), {{numbers(DType::kI8, {7, 4})}});
    expect_compiled(pad("f16", "2, 19, 3", mode, "0, 18, 0, 0, 7, 0", 3), {{numbers(DType::kF16, {2, 19, 3})}});
    expect_compiled(pad("f64", "n, 6", mode, "0, 5, 0, 2", 2), {{numbers(DType::kF64, {3, 6})}, {numbers(DType::kF64, {0, 6})}});
  }
}

TEST(CompiledNode, PadsThatCutEverything) {
  for (std::string_view mode : {"reflect", "edge", "wrap"}) {
    expect_compiled(pad("f32", "n", mode, "-1, -1", 1), {{numbers(DType::kF32, {2})}, {numbers(DType::kF32, {5})}});
  }
}

TEST(CompiledNode, PadsThatGoBeyondOrCut) {
  for (std::string_view mode : {"reflect", "edge", "wrap"}) {
    expect_compiled(pad("f32", "n, m", mode, "3, 9, 8, 30", 2),
                    {{numbers(DType::kF32, {4, 20})}, {numbers(DType::kF32, {1, 2})}, {numbers(DType::kF32, {2, 1})}, {numbers(DType::kF32, {3, 0})}});
    expect_compiled(pad("i64", "5, 20", mode, "-2, 25, 7, -3", 2), {{numbers(DType::kI64, {5, 20})}});
    expect_compiled(pad("bool", "2, 3, 4", mode, "5, 5, 5, 5, 5, 5", 3), {{numbers(DType::kBool, {2, 3, 4})}});
    expect_compiled(pad("f32", "3, 3, 3, 3", mode, "2, 2, 2, 2, 2, 2, 2, 2", 4), {{numbers(DType::kF32, {3, 3, 3, 3})}});
  }
  expect_compiled(pad("f32", "5, 20", "constant", "-2, 25, 7, -3", 2), {{numbers(DType::kF32, {5, 20})}});
  expect_compiled(R"(graph "g"(%x: u8[6, 20], %fill: u8[]) {
    %p: i64[2] = Constant() {value = i64[2] {4, -7}}
    %a: i64[1] = Constant() {value = i64[1] {-1}}
    %y = Pad(%x, %p, %fill, %a)
    return %y as "y"
  })", {{numbers(DType::kU8, {6, 20}), numbers(DType::kU8, {})}});
}

TEST(CompiledNode, ConcatenatedCoordinates) {
  for (const auto& [first, second] : {std::pair(2, 2), {1, 3}, {4, 3}, {5, 2}}) {
    for (const DType type : {DType::kF32, DType::kU8, DType::kBF16, DType::kF64}) {
      const std::string text = fmt::format(R"(graph "g"(%a: {0}[2, n, {1}], %b: {0}[2, n, {2}]) {{
        %y = Concat(%a, %b) {{axis = -1}}
        return %y as "y"
      }})", name_of(type), first, second);
      std::vector<std::vector<Datum>> runs;
      for (const int64_t n : {1, 16, 1037}) runs.push_back({numbers(type, {2, n, first}), numbers(type, {2, n, second}, 2)});
      expect_compiled(text, runs);
    }
  }
}

TEST(CompiledNode, OneHot) {
  for (std::string_view axis : {"-1", "0", "1"}) {
    for (std::string_view type : {"f32", "i64", "bool", "f16"}) {
      const DType dtype = type == "f32" ? DType::kF32 : type == "i64" ? DType::kI64 : type == "bool" ? DType::kBool : DType::kF16;
      const std::string text = fmt::format(R"(graph "g"(%i: i64[n, 5], %v: {}[2]) {{
        %d: i64[] = Constant() {{value = i64[] {{7}}}}
        %y = OneHot(%i, %d, %v) {{axis = {}}}
        return %y as "y"
      }})", type, axis);
      expect_compiled(text, {{indices({2, 5}, {0, 6, 7, -1, -7, -8, 3, 3, 100, -100}), numbers(dtype, {2})}, {indices({0, 5}, {}), numbers(dtype, {2})}});
    }
  }
  expect_compiled(R"(graph "g"(%i: f32[4]) {
    %d: i64[] = Constant() {value = i64[] {3}}
    %v: f32[2] = Constant() {value = f32[2] {-1, 2}}
    %y = OneHot(%i, %d, %v)
    return %y as "y"
  })", {{Datum(Tensor::from<float>({4}, {1.7f, -0.5f, -1.2f, 1e30f}))}});
}

TEST(CompiledNode, PositionsOfExtremesAlongASymbolicAxis) {
  for (std::string_view op : {"ArgMax", "ArgMin"}) {
    for (std::string_view axis : {"0", "1"}) {
      expect_compiled(fmt::format("graph \"g\"(%x: f32[n, m]) {{\n  %y = {}(%x) {{axis = {}}}\n  return %y as \"y\"\n}}", op, axis),
                      {{numbers(DType::kF32, {40, 70})}, {numbers(DType::kF32, {1, 3})}});
    }
  }
}

TEST(CompiledNode, Totals) {
  for (std::string_view op : {"CumSum", "CumProd"}) {
    for (std::string_view attrs : {"exclusive = 0", "exclusive = 1", "reverse = 1", "exclusive = 1, reverse = 1"}) {
      for (std::string_view axis : {"0", "1", "-1"}) {
        const auto text = [&](std::string_view type) {
          return fmt::format(R"(graph "g"(%x: {}[n, 5, m]) {{
            %a: i64[] = Constant() {{value = i64[] {{{}}}}}
            %y = {}(%x, %a) {{{}}}
            return %y as "y"
          }})", type, axis, op, attrs);
        };
        expect_compiled(text("f32"), {{numbers(DType::kF32, {3, 5, 130})}, {numbers(DType::kF32, {0, 5, 2})}, {numbers(DType::kF32, {200, 5, 1})}});
        expect_compiled(text("i32"), {{numbers(DType::kI32, {2, 5, 3})}});
        expect_compiled(text("f64"), {{numbers(DType::kF64, {2, 5, 3})}});
      }
    }
  }
}

TEST(CompiledNode, ScatterND) {
  for (std::string_view reduction : {"none", "add", "mul", "min", "max"}) {
    for (std::string_view type : {"f32", "i64"}) {
      const DType dtype = type == "f32" ? DType::kF32 : DType::kI64;
      const std::string text = fmt::format(R"(graph "g"(%x: {}[4, n, 3], %i: i64[m, 2], %u: {}[m, 3]) {{
        %y = ScatterND(%x, %i, %u) {{reduction = "{}"}}
        return %y as "y"
      }})", type, type, reduction);
      const Datum x = numbers(dtype, {4, 5, 3}), u = numbers(dtype, {4, 3}, 2);
      expect_compiled(text, {{x, indices({4, 2}, {0, 1, 3, -1, 0, 1, -4, 4}), u}, {x, indices({0, 2}, {}), numbers(dtype, {0, 3})},
                             {x, indices({4, 2}, {0, 1, 3, 5, 0, 1, 3, 4}), u}});
    }
  }
  expect_compiled(R"(graph "g"(%x: f16[20000], %i: i64[3, 1], %u: f16[3]) {
    %e = Neg(%x)
    %y = ScatterND(%e, %i, %u)
    return %y as "y"
  })", {{numbers(DType::kF16, {20000}), indices({3, 1}, {19999, 0, -1}), numbers(DType::kF16, {3}, 2)}});
}

TEST(CompiledNode, ScatterNDRunsInPlace) {
  const auto graph = *parse_graph(R"(graph "g"(%x: f32[64], %i: i64[2, 1], %u: f32[2]) {
    %e = Exp(%x)
    %s = ScatterND(%e, %i, %u)
    %y = Neg(%s)
    return %y as "y"
  })");
  const CompiledProgram program = compiled(*graph, host_target().isa);
  int64_t arena = 0;
  for (const Buffer& buffer : program.program->buffers) arena += buffer.kind == BufferKind::kArena;
  EXPECT_EQ(arena, 0) << "all results share the output's memory";
}

TEST(CompiledNode, LossOfTargets) {
  for (std::string_view reduction : {"none", "sum", "mean"}) {
    for (const bool weighted : {false, true}) {
      const std::string text = fmt::format(R"(graph "g"(%x: f32[n, 5, p], %t: i64[n, p], %w: f32[5]) {{
        %y = NegativeLogLikelihoodLoss(%x, %t{}) {{reduction = "{}", ignore_index = -100}}
        return %y as "y"
      }})", weighted ? ", %w" : "", reduction);
      const Datum x = numbers(DType::kF32, {2, 5, 3}), w = numbers(DType::kF32, {5}, 2);
      std::vector<int64_t> many(3 * 2000);
      for (size_t i = 0; i < many.size(); ++i) many[i] = i % 7 == 0 ? -100 : static_cast<int64_t>(i * i % 5);
      const Datum large = numbers(DType::kF32, {3, 5, 2000});
      expect_compiled(text, {{x, indices({2, 3}, {0, 4, -100, 2, 2, 1}), w}, {x, indices({2, 3}, {0, 4, 5, 2, 2, 1}), w},
                             {x, indices({2, 3}, {0, 4, 3, -1, 2, 1}), w}, {large, indices({3, 2000}, many), w}}, {.tolerance = 0.05});
    }
  }
  const auto graph = *parse_graph(R"(graph "g"(%x: f32[2, 5], %t: i32[2]) {
    %y = NegativeLogLikelihoodLoss(%x, %t)
    return %y as "y"
  })");
  const auto run = session_on(compiled(*graph, host_target().isa), 2)->run(std::vector<Datum>{numbers(DType::kF32, {2, 5}), Datum(Tensor::from<int32_t>({2}, {1, 9}))});
  ASSERT_FALSE(run.ok());
  EXPECT_THAT(run.error().message, HasSubstr("target 9 at element 1 is not one of 5 classes"));
}

}  // namespace
}  // namespace gannet::test
