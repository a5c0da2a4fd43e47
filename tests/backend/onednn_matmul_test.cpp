#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

std::string product(const std::string& x, const std::string& w) {
  return fmt::format("graph \"main\"(%x: f32[{}], %w: f32[{}]) {{\n  %y = MatMul(%x, %w)\n  return %y as \"y\"\n}}", x, w);
}

void expect_product(std::vector<int64_t> x, std::vector<int64_t> w) {
  expect_onednn(product(fmt::format("{}", fmt::join(x, ", ")), fmt::format("{}", fmt::join(w, ", "))), {uniform(x, 1), uniform(w, 2)});
}

TEST(OnednnMatmul, shapes) {
  expect_product({3, 5}, {5, 7});
  expect_product({1, 768}, {768, 96});
  expect_product({64, 300}, {300, 17});
  expect_product({5}, {5, 7});
  expect_product({3, 5}, {5});
  expect_product({5}, {5});
  expect_product({1, 1}, {1, 1});
}

TEST(OnednnMatmul, shapes_whose_sums_could_depend_on_threads) {
  expect_product({16, 2048}, {2048, 17});
  expect_product({1, 4096}, {4096, 16});
  expect_product({200, 133}, {133, 119});
  expect_product({8, 33, 130}, {8, 130, 44});
  expect_product({200, 700}, {700, 3});
}

TEST(OnednnMatmul, batches) {
  expect_product({4, 3, 5}, {5, 7});
  expect_product({4, 3, 5}, {4, 5, 7});
  expect_product({2, 3, 4, 5}, {5, 7});
  expect_product({2, 3, 4, 5}, {3, 5, 7});
  expect_product({2, 1, 4, 5}, {3, 5, 7});
  expect_product({3, 4, 5}, {2, 1, 5, 7});
  expect_product({4, 5}, {3, 5, 7});
  expect_product({5}, {3, 5, 7});
  expect_product({3, 4, 5}, {5});
}

// Rows in pieces: whole ones, a last one with fewer rows than it is computed with, and one alone; with little and with much work.
TEST(OnednnMatmul, rows_that_differ_from_run_to_run) {
  constexpr std::string_view kPlain = R"(graph "main"(%x: f32[n, s, 24], %w: f32[24, 40], %b: f32[40]) {
    %m = MatMul(%x, %w)
    %a = Add(%m, %b)
    %y = Gelu(%a)
    return %y as "y"
  })";
  constexpr std::string_view kResidual = R"(graph "main"(%x: f32[n, s, 24], %w: f32[24, 24], %b: f32[24]) {
    %m = MatMul(%x, %w)
    %a = Add(%m, %b)
    %y = Add(%a, %x)
    return %y as "y"
  })";
  constexpr std::string_view kGemm = R"(graph "main"(%x: f32[n, 24], %w: f32[40, 24], %b: f32[40]) {
    %g = Gemm(%x, %w, %b) {transB = 1, alpha = 0.5}
    %y = Tanh(%g)
    return %y as "y"
  })";
  std::vector<Tensor> texts, rows;
  for (const auto& [n, s] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 7}, {2, 4}, {3, 3}, {1, 63}, {1, 64}, {5, 13}, {2, 100}, {0, 5}, {9, 119}, {1, 9}}) {
    texts.push_back(uniform({n, s, 24}, static_cast<uint64_t>(n * 31 + s)));
    rows.push_back(uniform({n * s, 24}, static_cast<uint64_t>(n * 17 + s)));
  }
  expect_onednn_with_weights(kPlain, {uniform({24, 40}, 1), uniform({40}, 2)}, texts);
  expect_onednn_with_weights(kResidual, {uniform({24, 24}, 1), uniform({24}, 2)}, texts);
  expect_onednn_with_weights(kGemm, {uniform({40, 24}, 1), uniform({40}, 2)}, rows);
  constexpr std::string_view kLarge = R"(graph "main"(%x: f32[n, 200], %w: f32[200, 320]) {
    %y = MatMul(%x, %w)
    return %y as "y"
  })";
  std::vector<Tensor> many;
  for (const int64_t n : {20, 33, 100, 129, 500, 1030}) many.push_back(uniform({n, 200}, static_cast<uint64_t>(n)));
  expect_onednn_with_weights(kLarge, {uniform({200, 320}, 5)}, many);
}

// Weights are packed before the first run, for an input that may be too short to give any rows.
TEST(OnednnMatmul, rows_of_long_inputs_alone) {
  constexpr std::string_view kSpectrum = R"(graph "main"(%x: f32[1, 2, n], %k: f32[24, 2, 101], %w: f32[24, 40]) {
    %c = Conv(%x, %k)
    %t = Transpose(%c) {perm = [0, 2, 1]}
    %y = MatMul(%t, %w)
    return %y as "y"
  })";
  expect_onednn_with_weights(kSpectrum, {uniform({24, 2, 101}, 1), uniform({24, 40}, 2)}, {uniform({1, 2, 140}, 3), uniform({1, 2, 101}, 4)});
}

TEST(OnednnMatmul, nothing_to_multiply) {
  expect_product({0, 5}, {5, 7});
  expect_product({3, 0}, {0, 7});
  expect_product({3, 5}, {5, 0});
  expect_product({0, 3, 5}, {0, 5, 7});
}

TEST(OnednnMatmul, gemm) {
  for (const std::string attrs : {"", " {alpha = 0.5}", " {beta = 0.0}"}) {
    for (const std::string c : {"7", "1, 7", "3, 7", "3, 1", "1"}) {
      std::vector<int64_t> extents;
      for (char digit : c) {
        if (digit >= '0' && digit <= '9') extents.push_back(digit - '0');
      }
      expect_onednn("graph \"main\"(%x: f32[3, 5], %w: f32[5, 7], %c: f32[" + c + "]) {\n  %y = Gemm(%x, %w, %c)" + attrs +
                        "\n  return %y as \"y\"\n}",
                    {uniform({3, 5}, 1), uniform({5, 7}, 2), uniform(extents, 3)});
    }
  }
  expect_onednn(R"(graph "main"(%x: f32[5, 3], %w: f32[7, 5], %c: f32[7]) {
    %y = Gemm(%x, %w, %c) {transA = 1, transB = 1, alpha = 2.0}
    return %y as "y"
  })", {uniform({5, 3}, 1), uniform({7, 5}, 2), uniform({7}, 3)});
}

TEST(OnednnMatmul, epilogues) {
  for (const std::string op : {"Relu(%s)", "Gelu(%s)", "Gelu(%s) {approximate = \"tanh\"}", "Tanh(%s)", "Swish(%s)", "Mul(%s, %b)",
                               "Add(%r, %s)", "HardSigmoid(%s)"}) {
    expect_onednn("graph \"main\"(%x: f32[2, 9, 24], %w: f32[24, 33], %b: f32[33], %r: f32[2, 9, 33]) {\n  %p = MatMul(%x, %w)\n"
                  "  %s = Add(%b, %p)\n  %y = " + op + "\n  return %y as \"y\"\n}",
                  {uniform({2, 9, 24}, 1), uniform({24, 33}, 2), uniform({33}, 3), uniform({2, 9, 33}, 4)}, {.one_step = true});
  }
}

TEST(OnednnMatmul, attention) {
  const std::string text = R"(graph "main"(%q: f32[b, s, 3, 8], %k: f32[b, s, 3, 8], %v: f32[b, s, 3, 8], %m: f32[b, 1, 1, s]) {
    %qt = Transpose(%q) {perm = [0, 2, 1, 3]}
    %kt = Transpose(%k) {perm = [0, 2, 3, 1]}
    %vt = Transpose(%v) {perm = [0, 2, 1, 3]}
    %scores = MatMul(%qt, %kt)
    %f = Constant() {value = f32[] {0.125}}
    %scaled = Mul(%scores, %f)
    %masked = Add(%scaled, %m)
    %p = Softmax(%masked)
    %h = MatMul(%p, %vt)
    %y = Transpose(%h) {perm = [0, 2, 1, 3]}
    return %y as "y"
  })";
  std::vector<std::vector<Tensor>> runs;
  for (const auto& [b, s] : std::vector<std::pair<int64_t, int64_t>>{{2, 5}, {1, 1}, {1, 17}, {0, 4}, {3, 0}, {2, 5}}) {
    runs.push_back({uniform({b, s, 3, 8}, 1), uniform({b, s, 3, 8}, 2), uniform({b, s, 3, 8}, 3), uniform({b, 1, 1, s}, 4)});
  }
  expect_onednn_over_shapes(text, runs);
}

TEST(OnednnMatmul, symbolic_rows) {
  const std::string text = R"(graph "main"(%x: f32[b, s, 24], %w: f32[24, 33], %bias: f32[33], %w2: f32[33, 24]) {
    %p = MatMul(%x, %w)
    %a = Add(%p, %bias)
    %g = Gelu(%a)
    %d = MatMul(%g, %w2)
    %y = Add(%d, %x)
    return %y as "y"
  })";
  std::vector<std::vector<Tensor>> runs;
  for (const auto& [b, s] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 7}, {4, 32}, {0, 3}, {1, 1}}) {
    runs.push_back({uniform({b, s, 24}, 1), uniform({24, 33}, 2), uniform({33}, 3), uniform({33, 24}, 4)});
  }
  expect_onednn_over_shapes(text, runs);
}

TEST(OnednnMatmul, refusals) {
  EXPECT_EQ(refusal_of(product("n, 3, 4", "m, 4, 5"), "MatMul").substr(0, 21), "onednn: batch extent ");
}

}  // namespace
}  // namespace gannet::test
