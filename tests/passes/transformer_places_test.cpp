#include "passes/transformer_places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/insert_dropout.h"
#include "passes/pass.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<Graph> parsed(std::string_view text) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return *std::move(graph);
}

std::vector<std::string> names_of_places(const Graph& graph) {
  std::vector<std::string> names;
  for (const Value* value : transformer_places(graph)) names.push_back(value->name);
  return names;
}

constexpr std::string_view kStates = R"(
  state %table: f32[5, 2] = f32[5, 2] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9} "table"
  state %w: f32[2, 2] = f32[2, 2] {1, 0, 0, 1} "w"
  state %bias: f32[2] = f32[2] {1, 2} "bias"
  state %scale: f32[2] = f32[2] {1, 1} "scale")";

// One head, normalized after the sum, the bias and the residual in the order of Hugging Face's BERT. `ending` reads %y.
std::string post_norm(std::string_view ending = "  return %y\n") {
  return std::string(R"(graph "g"(%ids: i64[n, t]) {)") + std::string(kStates) + R"(
  %e = Gather(%table, %ids)
  %x = LayerNormalization(%e, %scale, %bias) {axis = -1}
  %q = MatMul(%x, %w)
  %k = Transpose(%x) {perm = [0, 2, 1]}
  %s = MatMul(%q, %k)
  %p = Softmax(%s) {axis = -1}
  %c = MatMul(%p, %x)
  %o = MatMul(%c, %w)
  %ob = Add(%o, %bias)
  %r = Add(%ob, %x)
  %h = LayerNormalization(%r, %scale, %bias) {axis = -1}
  %f = MatMul(%h, %w)
  %fb = Add(%bias, %f)
  %fr = Add(%h, %fb)
  %y = LayerNormalization(%fr, %scale, %bias) {axis = -1}
)" + std::string(ending) + "}";
}

TEST(TransformerPlaces, OfBertAreEmbeddingsAttentionAndBranches) {
  EXPECT_THAT(names_of_places(*parsed(post_norm())), ElementsAre("p", "x", "ob", "fb"));
}

// Embeddings are dropped for all tokens also where only one reaches the residual sums.
TEST(TransformerPlaces, StayWhereOneTokenOfTheLastLayerIsComputed) {
  auto graph = parsed(post_norm(R"(  %zero: i64[] = Constant() {value = i64[] {0}}
  %first = Gather(%y, %zero) {axis = 1}
  return %first
)"));
  PassContext context;
  const Status status = run_passes(*graph, "hoist_selections", context);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const std::vector<Value*> places = transformer_places(*graph);
  ASSERT_THAT(names_of_places(*graph), ElementsAre("p", "x", "ob", "fb"));
  EXPECT_EQ(to_string(places[1]->type), "f32[n, t, 2]");
  EXPECT_EQ(to_string(places[2]->type), "f32[n, 1, 2]");
}

// Layers without bias, normalized before, a branch scaled by weights, a stream that is a projection itself.
TEST(TransformerPlaces, ABranchIsWhatWasMadeOfTheStream) {
  auto graph = parsed(std::string(R"(graph "g"(%ids: i64[n, t]) {)") + std::string(kStates) + R"(
  %e = Gather(%table, %ids)
  %x = MatMul(%e, %w)
  %n = LayerNormalization(%x, %scale, %bias) {axis = -1}
  %k = Transpose(%n) {perm = [0, 2, 1]}
  %s = MatMul(%n, %k)
  %p = Softmax(%s) {axis = -1}
  %c = MatMul(%p, %n)
  %o = MatMul(%c, %w)
  %os = Mul(%scale, %o)
  %r = Add(%x, %os)
  return %r
})");
  EXPECT_THAT(names_of_places(*graph), ElementsAre("p", "x", "os"));
}

// Thin matrices beside the weight of the attention's output are part of the layer, and no branch of their own.
TEST(TransformerPlaces, ThinMatricesArePartOfTheirLayer) {
  std::string text = post_norm();
  const std::string layer = "  %o = MatMul(%c, %w)\n";
  text.replace(text.find(layer), layer.size(),
               "  %t = MatMul(%c, %w)\n  %u = MatMul(%t, %w)\n  %m = Mul(%u, %scale)\n  %b = MatMul(%c, %w)\n  %o = Add(%b, %m)\n");
  EXPECT_THAT(names_of_places(*parsed(text)), ElementsAre("p", "x", "ob", "fb"));
}

// Sums of sums of a linear layer: each is looked at once.
TEST(TransformerPlaces, ChainsOfSumsTakeNoTime) {
  std::string text = std::string(R"(graph "g"(%x: f32[n, t, 2]) {)") + std::string(kStates) + "\n  %h0 = MatMul(%x, %w)\n";
  for (int i = 1; i <= 100; ++i) text += "  %h" + std::to_string(i) + " = Add(%h" + std::to_string(i - 1) + ", %h" + std::to_string(i - 1) + ")\n";
  text += "  %k = Transpose(%x) {perm = [0, 2, 1]}\n  %s = MatMul(%x, %k)\n  %p = Softmax(%s) {axis = -1}\n  %c = MatMul(%p, %x)\n";
  EXPECT_THAT(names_of_places(*parsed(text + "  %r = Add(%h100, %x)\n  %y = Add(%r, %c)\n  return %y\n}")), ElementsAre("p", "h100"));
}

TEST(TransformerPlaces, NeedAttention) {
  auto graph = parsed(std::string(R"(graph "g"(%x: f32[n, 2]) {)") + std::string(kStates) + R"(
  %h = MatMul(%x, %w)
  %a = Relu(%h)
  %o = MatMul(%a, %w)
  %r = Add(%o, %x)
  %y = Softmax(%r) {axis = -1}
  return %y
})");
  EXPECT_THAT(names_of_places(*graph), IsEmpty());
  Value* seed = graph->add_input("seed", Type::tensor(DType::kI64, Shape{}));
  const std::vector<DropoutRule> rules = {{std::string(kTransformerDropout), 0.1}};
  EXPECT_THAT(insert_dropout(*graph, rules, seed).error().message, HasSubstr("no attention"));
}

TEST(TransformerPlaces, ARuleByNameComesFirst) {
  auto graph = parsed(post_norm());
  Value* seed = graph->add_input("seed", Type::tensor(DType::kI64, Shape{}));
  const std::vector<DropoutRule> rules = {{"p", 0}, {"f", 0.3}, {std::string(kTransformerDropout), 0.1}};
  auto count = insert_dropout(*graph, rules, seed);
  ASSERT_TRUE(count.ok()) << count.error().message;
  EXPECT_EQ(*count, 4);
  EXPECT_TRUE(verify(*graph).ok());
  std::vector<int> percent;
  for (const auto& node : graph->nodes()) {
    if (node->op().name == "SeededDropout") percent.push_back(static_cast<int>(std::lround(node->attrs.number("ratio") * 100)));
  }
  EXPECT_THAT(percent, ElementsAre(10, 10, 30, 10));
}

}  // namespace
}  // namespace gannet
