// Convolutions and products of operands rounded to bf16, against the reference evaluator on the same graph: as
// primitives of bf16 where the library has them on this machine, and in f32 on rounded operands.
//
// Without AVX-512 the primitives can be tested with a oneDNN that computes bf16 by its definitions: built for
// DNNL_TARGET_ARCH=ARCH_GENERIC, with platform::has_data_type_support made true for bf16 and gemm_bf16_matmul_t
// left out of its list of matrix products. GANNET_ONEDNN=FILE says where it is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/backend.h"
#include "ir/evaluate.h"
#include "passes/pass.h"
#include "runtime/core/program_check.h"
#include "runtime/kernels/onednn.h"
#include "runtime/kernels/onednn_library.h"
#include "tests/backend/onednn_fixture.h"
#include "tests/backend/program_fixture.h"

namespace gannet::test {
namespace {

// Why the library multiplies no bf16 here; empty where it does.
std::string missing_bf16() {
  if (const Status loaded = load_onednn(); !loaded.ok()) return loaded.error().message;
  const Result<onednn::MemoryDesc> matrix = onednn::dense_layout(DType::kBF16, {32, 32}, {32, 1});
  if (!matrix.ok()) return matrix.error().message;
  onednn::MatmulSpec spec;
  spec.x = spec.w = spec.y = *matrix;
  const Result<onednn::Made> made = onednn::make_matmul(spec);
  return made.ok() ? "" : made.error().message;
}

struct Case {
  std::string_view pipeline = "inference";
  int products = 1;         // that must be of bf16
  double tolerance = 2e-5;  // of the largest magnitude of a result; what is stored in bf16 in between may be
                            // rounded the other way
  int stored = 0;           // products that must store bf16
};
constexpr double kThroughBf16 = 1e-2;

std::unique_ptr<Graph> prepared(std::string_view text, const std::vector<Tensor>& constants,
                                std::string_view pipeline, const Target& target) {
  std::unique_ptr<Graph> graph = graph_of(text);
  Node* first = graph->nodes().front().get();
  for (size_t i = constants.size(); i-- > 1;) {
    graph->replace_uses(graph->inputs()[i], graph->add_constant(constants[i], "", first));
    graph->erase_input(i);
  }
  PassContext context(target);
  context.product_dtype = DType::kBF16;
  const std::string_view named = find_pipeline(pipeline);
  const Status status = run_passes(*graph, named.empty() ? pipeline : named, context);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return graph;
}

void expect_near(const Tensor& given, const Tensor& expected, double tolerance) {
  ASSERT_EQ(type_string(given), type_string(expected));
  double largest = 1;
  for (int64_t i = 0; i < expected.elements(); ++i)
    largest = std::max(largest, std::abs(expected.double_at(i)));
  for (int64_t i = 0; i < expected.elements(); ++i) {
    ASSERT_NEAR(given.double_at(i), expected.double_at(i), tolerance * largest) << "element " << i;
  }
}

// Counts products of bf16, and those that store bf16.
std::pair<int, int> products_of(const Program& program) {
  std::pair<int, int> counts;
  for (const Step& step : program.steps) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    if (!call) continue;
    std::visit(
        [&]<class R>(const R& recipe) {
          if constexpr (std::is_same_v<R, ConvolutionRecipe> || std::is_same_v<R, MatmulRecipe>) {
            counts.first += recipe.x.dtype == DType::kBF16 && recipe.w.dtype == DType::kBF16;
            counts.second += recipe.y.dtype == DType::kBF16;
          } else if constexpr (std::is_same_v<R, AttentionRecipe>) {
            counts.first += recipe.q.dtype == DType::kBF16 && recipe.rounds;
            counts.second += recipe.y.dtype == DType::kBF16;
          } else if constexpr (std::is_same_v<R, WeightGradientRecipe>) {
            counts.first += recipe.x.dtype == DType::kBF16 && recipe.y.dtype == DType::kBF16 &&
                            recipe.w.dtype == DType::kF32;
          }
        },
        call->recipe);
  }
  return counts;
}

void expect_runs(const Graph& graph, const Target& target, const std::vector<Datum>& inputs,
                 const EvaluateResult& expected, const Case& c) {
  CompileOptions options;
  options.target = target;
  options.cache = false;
  const Result<CompiledProgram> compiled = lower_to_program(graph, options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  const Status sound = check_program(*compiled->program);
  EXPECT_TRUE(sound.ok()) << (sound.ok() ? "" : sound.error().message);
  std::string refused;
  for (const Placement& placement : compiled->placements) {
    for (const std::string& reason : placement.refused)
      refused += fmt::format("{} ({}): {}\n", placement.node, placement.op, reason);
  }
  const auto [products, stored] = products_of(*compiled->program);
  EXPECT_EQ(products, target.bf16_products ? c.products : 0) << refused;
  EXPECT_EQ(stored, target.bf16_products ? c.stored : 0) << refused;
  std::optional<std::vector<Datum>> first;
  for (const int threads : {1, 2}) {
    const Result<std::vector<Datum>> outputs = session_on(*compiled, threads)->run(inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.error().message;
    for (size_t i = 0; i < outputs->size(); ++i) {
      expect_near((*outputs)[i].tensor(), expected.outputs[i].tensor(), c.tolerance);
      EXPECT_TRUE(!first || (*first)[i].tensor().identical((*outputs)[i].tensor()))
          << "other bits on two threads";
    }
    if (!first) first = *outputs;
  }
}

// The graph on `inputs`, with all but the first as constants and not.
void expect_rounded(std::string_view text, const std::vector<Tensor>& inputs, const Case& c,
                    bool with_products) {
  SCOPED_TRACE(std::string(text));
  Target narrow = host_target(), wide = narrow;
  wide.bf16_products = false;
  narrow.bf16_products = true;
  for (const bool constant : {false, true}) {
    if (constant && c.pipeline != "inference") continue;
    SCOPED_TRACE(constant ? "constant weights" : "weights as inputs");
    const std::vector<Tensor> constants = constant ? inputs : std::vector<Tensor>();
    std::vector<Datum> data;
    for (const Tensor& input : inputs) data.emplace_back(input);
    if (constant) data.resize(1);
    const std::unique_ptr<Graph> meant = prepared(text, constants, c.pipeline, wide),
                                 graph = prepared(text, constants, c.pipeline, narrow);
    const Result<EvaluateResult> expected = evaluate(*meant, data), same = evaluate(*graph, data);
    ASSERT_TRUE(expected.ok() && same.ok());
    for (size_t i = 0; i < expected->outputs.size(); ++i) {
      expect_near(same->outputs[i].tensor(), expected->outputs[i].tensor(), c.tolerance);
    }
    expect_runs(*meant, wide, data, *expected, c);
    if (with_products) expect_runs(*graph, narrow, data, *expected, c);
  }
}

void convolutions(bool products) {
  const Tensor x = uniform({2, 32, 7, 9}, 1), w = uniform({48, 32, 3, 3}, 2), b = uniform({48}, 3),
               u = uniform({32, 48, 1, 1}, 4);
  expect_rounded(R"(graph "main"(%x: f32[2, 32, 7, 9], %w: f32[48, 32, 3, 3]) {
    %y = Conv(%x, %w) {pads = [1, 1, 1, 1]} return %y })",
                 {x, w}, {}, products);
  expect_rounded(R"(graph "main"(%x: f32[2, 32, 7, 9], %w: f32[48, 32, 3, 3], %b: f32[48]) {
    %y = Conv(%x, %w, %b) {strides = [2, 2], pads = [1, 0, 1, 2], dilations = [1, 2]} %z = Relu(%y) return %z })",
                 {x, w, b}, {}, products);
  expect_rounded(R"(graph "main"(%x: f32[2, 32, 7, 9], %w: f32[32, 16, 3, 3], %b: f32[32]) {
    %y = Conv(%x, %w, %b) {group = 2, pads = [1, 1, 1, 1]} %z = Gelu(%y) return %z })",
                 {x, uniform({32, 16, 3, 3}, 5), uniform({32}, 6)}, {}, products);
  // The first one's result is stored in bf16, and so is the sum.
  expect_rounded(
      R"(graph "main"(%x: f32[2, 32, 7, 9], %w: f32[48, 32, 3, 3], %b: f32[48], %u: f32[32, 48, 1, 1]) {
    %m = Conv(%x, %w, %b) {pads = [1, 1, 1, 1]} %r = Relu(%m) %c = Conv(%r, %u) %s = Add(%c, %x) %t = Relu(%s)
    %d = Conv(%t, %w) {pads = [1, 1, 1, 1]} %y = HardSwish(%d) return %y })",
      {x, w, b, u}, {.products = 3, .tolerance = kThroughBf16, .stored = 2}, products);
  // A volume and a line.
  expect_rounded(
      R"(graph "main"(%x: f32[1, 16, 3, 4, 5], %w: f32[16, 16, 2, 2, 2]) { %y = Conv(%x, %w) return %y })",
      {uniform({1, 16, 3, 4, 5}, 7), uniform({16, 16, 2, 2, 2}, 8)}, {}, products);
  expect_rounded(
      R"(graph "main"(%x: f32[2, 16, 11], %w: f32[16, 16, 3]) { %y = Conv(%x, %w) {strides = [2]} return %y })",
      {uniform({2, 16, 11}, 9), uniform({16, 16, 3}, 10)}, {}, products);
}

void moved_maps(bool products) {
  const Tensor x = uniform({1, 16, 8, 8}, 1), w = uniform({16, 16, 1, 1}, 2), v = uniform({24, 32, 3, 3}, 3);
  expect_rounded(R"(graph "main"(%x: f32[1, 16, 8, 8], %w: f32[16, 16, 1, 1], %v: f32[24, 32, 3, 3]) {
    %c = Conv(%x, %w) %a = Relu(%c) %d = Conv(%x, %w) {pads = [0, 0, 0, 0]} %b = Sigmoid(%d)
    %j = Concat(%a, %b) {axis = 1} %m = MaxPool(%j) {kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]}
    %y = Conv(%m, %v) {pads = [1, 1, 1, 1]} return %y })",
                 {x, w, v}, {.products = 3, .tolerance = kThroughBf16, .stored = 2}, products);
}

void transposed_convolutions(bool products) {
  const Tensor x = uniform({2, 32, 5, 4}, 1), w = uniform({32, 24, 4, 4}, 2), b = uniform({24}, 3),
               v = uniform({24, 16, 4, 4}, 4);
  constexpr std::string_view kPipeline = "channels_last,move_transposes,round_products,fuse_contractions";
  expect_rounded(R"(graph "main"(%x: f32[2, 32, 5, 4], %w: f32[32, 24, 4, 4]) {
    %y = ConvTranspose(%x, %w) {strides = [2, 2], pads = [1, 1, 1, 1]} return %y })",
                 {x, w}, {.pipeline = kPipeline}, products);
  expect_rounded(
      R"(graph "main"(%x: f32[2, 32, 5, 4], %w: f32[32, 24, 4, 4], %b: f32[24], %v: f32[24, 16, 4, 4]) {
    %c = ConvTranspose(%x, %w, %b) {strides = [2, 2], pads = [1, 1, 1, 1]} %r = Relu(%c)
    %y = ConvTranspose(%r, %v) {strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 0]} return %y })",
      {x, w, b, v}, {.pipeline = kPipeline, .products = 2, .tolerance = kThroughBf16, .stored = 1}, products);
  expect_rounded(
      R"(graph "main"(%x: f32[2, 32, 5, 4], %w: f32[32, 24, 4, 4], %b: f32[24], %v: f32[24, 16, 4, 4]) {
    %c = ConvTranspose(%x, %w, %b) {strides = [2, 2], pads = [1, 1, 1, 1]} %r = LeakyRelu(%c) {alpha = 0.2}
    %y = ConvTranspose(%r, %v) {strides = [2, 2], pads = [1, 1, 1, 1]} return %y })",
      {x, w, b, v}, {.products = 2, .tolerance = kThroughBf16, .stored = 1}, products);
}

void matrix_products(bool products) {
  const Tensor x = uniform({2, 5, 32}, 1), w = uniform({32, 48}, 2), b = uniform({48}, 3),
               v = uniform({48, 32}, 4);
  expect_rounded(R"(graph "main"(%x: f32[2, 5, 32], %w: f32[32, 48]) { %y = MatMul(%x, %w) return %y })",
                 {x, w}, {}, products);
  expect_rounded(R"(graph "main"(%x: f32[2, n, 32], %w: f32[32, 48], %b: f32[48]) {
    %p = MatMul(%x, %w) %s = Add(%p, %b) %y = Gelu(%s) return %y })",
                 {x, w, b}, {}, products);
  // The second one reads bf16 and adds to f32, as a transformer's feed-forward layers do.
  expect_rounded(R"(graph "main"(%x: f32[2, 5, 32], %w: f32[32, 48], %b: f32[48], %v: f32[48, 32]) {
    %p = MatMul(%x, %w) %s = Add(%p, %b) %g = Gelu(%s) %q = MatMul(%g, %v) %y = Add(%x, %q) return %y })",
                 {x, w, b, v}, {.products = 2, .tolerance = kThroughBf16, .stored = 1}, products);
  expect_rounded(R"(graph "main"(%x: f32[7, 32], %w: f32[48, 32], %b: f32[48]) {
    %y = Gemm(%x, %w, %b) {transB = 1, alpha = 0.5} return %y })",
                 {uniform({7, 32}, 5), v, b}, {}, products);
  expect_rounded(R"(graph "main"(%x: f32[32, 7], %w: f32[48, 32]) {
    %t = Transpose(%x) {perm = [1, 0]} %u = Transpose(%w) {perm = [1, 0]} %y = MatMul(%t, %u) return %y })",
                 {uniform({32, 7}, 6), v}, {}, products);
}

// Queries, keys, values and attention's result go from product to product in bf16.
void attention_layers(bool products) {
  const Tensor x = uniform({2, 5, 32}, 1), w = uniform({32, 32}, 2), u = uniform({32, 32}, 3),
               v = uniform({32, 32}, 4), o = uniform({32, 32}, 5), m = uniform({2, 1, 1, 5}, 6);
  expect_rounded(
      R"(graph "main"(%x: f32[2, 5, 32], %w: f32[32, 32], %u: f32[32, 32], %v: f32[32, 32], %o: f32[32, 32], %m: f32[2, 1, 1, 5]) {
    %heads: i64[4] = Constant() {value = i64[4] {0, 0, 2, 16}} %whole: i64[3] = Constant() {value = i64[3] {0, 0, 32}}
    %root: f32[] = Constant() {value = f32[] {4}}
    %q = MatMul(%x, %w) %qh = Reshape(%q, %heads) %qt = Transpose(%qh) {perm = [0, 2, 1, 3]}
    %k = MatMul(%x, %u) %kh = Reshape(%k, %heads) %kt = Transpose(%kh) {perm = [0, 2, 3, 1]}
    %p = MatMul(%x, %v) %ph = Reshape(%p, %heads) %pt = Transpose(%ph) {perm = [0, 2, 1, 3]}
    %s = MatMul(%qt, %kt) %d = Div(%s, %root) %a = Add(%d, %m) %b = Softmax(%a)
    %c = MatMul(%b, %pt) %t = Transpose(%c) {perm = [0, 2, 1, 3]} %h = Reshape(%t, %whole)
    %z = MatMul(%h, %o) %y = Add(%x, %z) return %y })",
      {x, w, u, v, o, m}, {.products = 5, .tolerance = kThroughBf16, .stored = 4}, products);
}

void gradients(bool products) {
  const Tensor x = uniform({2, 32, 8, 6}, 1), w = uniform({48, 32, 3, 3}, 2), dy = uniform({2, 48, 4, 3}, 3);
  constexpr std::string_view kPipeline = "channels_last,move_transposes,round_products,fuse_contractions";
  expect_rounded(R"(graph "main"(%x: f32[2, 32, 8, 6], %dy: f32[2, 48, 4, 3]) {
    %y = ConvWeightGradient(%x, %dy) {kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]} return %y })",
                 {x, dy}, {.pipeline = kPipeline}, products);
  expect_rounded(R"(graph "main"(%dy: f32[2, 48, 4, 3], %w: f32[48, 32, 3, 3], %x: f32[2, 32, 8, 6]) {
    %y = ConvInputGradient(%dy, %w, %x) {strides = [2, 2], pads = [1, 1, 1, 1]} return %y })",
                 {dy, w, x}, {.pipeline = kPipeline}, products);
}

TEST(RoundedProducts, ConvolutionsInF32) { convolutions(false); }
TEST(RoundedProducts, MovedMapsInF32) { moved_maps(false); }
TEST(RoundedProducts, TransposedConvolutionsInF32) { transposed_convolutions(false); }
TEST(RoundedProducts, MatrixProductsInF32) { matrix_products(false); }
TEST(RoundedProducts, AttentionInF32) { attention_layers(false); }
TEST(RoundedProducts, GradientsInF32) { gradients(false); }

class Bf16Products : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = missing_bf16(); !reason.empty())
      GTEST_SKIP() << "oneDNN has no products of bf16 on this machine: " << reason;
  }
};

TEST_F(Bf16Products, Convolutions) { convolutions(true); }
TEST_F(Bf16Products, MovedMaps) { moved_maps(true); }
TEST_F(Bf16Products, TransposedConvolutions) { transposed_convolutions(true); }
TEST_F(Bf16Products, MatrixProducts) { matrix_products(true); }
TEST_F(Bf16Products, Attention) {
  if (!host_target().bf16_products) GTEST_SKIP() << "this machine has no products of bf16";
  attention_layers(true);
}
TEST_F(Bf16Products, Gradients) { gradients(true); }

}  // namespace
}  // namespace gannet::test
