// SeededDropout as generated code: the very numbers of the reference evaluator's generator.
#include <gtest/gtest.h>

#include "ir/parse.h"
#include "passes/pass.h"
#include "tests/backend/run_kernel.h"

namespace gannet {
namespace {

using test::expect_kernels;
using test::expect_region;

TEST(DropoutKernel, HasTheBitsOfItsDefinition) {
  for (int n : {1, 3, 16, 17, 63, 64, 65, 4096, 10000}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[{}], %seed: i64[]) {{
      %z = SeededDropout(%x, %seed) {{ratio = 0.1, stream = 3}}
      return %z as "z"
    }})",
                               n),
                   {}, 0);
  }
  for (std::string_view type : {"f64", "f16", "bf16"}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: {}[3, 5, 37], %seed: i64[1]) {{
      %z = SeededDropout(%x, %seed) {{ratio = 0.75}}
      return %z as "z"
    }})",
                               type),
                   {}, 0);
  }
}

TEST(DropoutKernel, TakesWideSeedsAndStreams) {
  expect_kernels(R"(graph "g"(%x: f32[n, m]) {
      %seed = Constant() {value = i64[] {-6066930334832433271}}
      %z = SeededDropout(%x, %seed) {ratio = 0.5, stream = 5234567890123}
      return %z as "z"
    })",
                 {{"n", 7}, {"m", 45}}, 0);
}

// The place of an element counts in the value that drops, not in what the region makes of it.
TEST(DropoutKernel, JoinsRegions) {
  expect_region(R"(graph "g"(%x: f32[b, 6, 1], %y: f32[b, 1, m], %bias: f32[m], %seed: i64[]) {
      %d = SeededDropout(%x, %seed) {ratio = 0.3, stream = 1}
      %s = Add(%d, %y)
      %t = Add(%s, %bias)
      %e = SeededDropout(%t, %seed) {ratio = 0.2, stream = 2}
      %z = Mul(%e, %s)
      return %z as "z", %d as "d"
    })",
                {{"b", 5}, {"m", 19}});
  expect_region(R"(graph "g"(%x: f32[b, 4, m, m], %seed: i64[]) {
      %p = Softmax(%x)
      %d = SeededDropout(%p, %seed) {ratio = 0.1}
      return %d as "d", %p as "p"
    })",
                {{"b", 2}, {"m", 33}});
  expect_region(R"(graph "g"(%x: f32[b, m], %y: f32[b, m], %w: f32[m], %c: f32[m], %seed: i64[]) {
      %d = SeededDropout(%x, %seed) {ratio = 0.1}
      %s = Add(%d, %y)
      %z = LayerNormalization(%s, %w, %c)
      return %z as "z"
    })",
                {{"b", 9}, {"m", 130}}, 1e-4);
}

TEST(DropoutKernel, IsFusedWithItsNeighbours) {
  auto graph = parse_graph(R"(graph "g"(%x: f32[b, m], %y: f32[b, m], %w: f32[m], %c: f32[m], %seed: i64[]) {
      %d = SeededDropout(%x, %seed) {ratio = 0.1}
      %s = Add(%d, %y)
      %z = LayerNormalization(%s, %w, %c)
      return %z as "z"
    })");
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  PassContext context;
  ASSERT_TRUE(run_passes(**graph, "fuse_regions", context).ok());
  EXPECT_EQ((*graph)->node_count(), 1u);
}

}  // namespace
}  // namespace gannet
