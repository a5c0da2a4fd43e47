#include "passes/widen_model.h"

#include <gtest/gtest.h>

#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"

namespace gannet {
namespace {

TEST(WidenModel, HalvesBecomeF32BehindTheSameInterface) {
  auto parsed = parse_graph(R"(graph "g"(%x: f16[n, 2]) {
  %w = Constant() {value = f16[2, 2] {1, 2, 3, 4}}
  %h = MatMul(%x, %w)
  %wide = Cast(%h) {to = f32}
  %narrow = Cast(%wide) {to = f16}
  %y = Add(%narrow, %h)
  return %y as "y", %wide as "wide"
})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  Graph& graph = **parsed;
  Tensor x = *convert(Tensor::from<float>({1, 2}, {0.5f, 0.25f}), DType::kF16);
  auto before = evaluate(graph, {x});
  auto changed = widen_model(graph);
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_TRUE(*changed);
  ASSERT_TRUE(verify(graph).ok()) << verify(graph).error().message;
  EXPECT_EQ(to_string(graph.outputs[0].value->type), "f16[n, 2]");
  for_each_node(graph, [](const Node& node) {
    if (node.op().name == "MatMul") {
      EXPECT_EQ(node.output()->type.dtype, DType::kF32);
    }
  });
  auto after = evaluate(graph, {x});
  ASSERT_TRUE(before.ok() && after.ok());
  for (size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(before->outputs[i].tensor().identical(after->outputs[i].tensor()));
  EXPECT_EQ(*widen_model(graph), true);  // the interface is still f16
}

TEST(WidenModel, SubgraphsAreWidenedAndOtherModelsLeftAlone) {
  auto parsed = parse_graph(R"(graph "g"(%c: bool[], %x: f16[2]) {
  %y = If(%c, %x) {captures = 1, else_branch = graph "e"(%a: f16[2]) { %n = Neg(%a)
    return %n }, then_branch = graph "t"(%b: f16[2]) { return %b }}
  return %y as "y"
})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  ASSERT_TRUE(*widen_model(**parsed));
  EXPECT_TRUE(verify(**parsed).ok());
  Tensor x = *convert(Tensor::from<float>({2}, {1, -2}), DType::kF16);
  auto result = evaluate(**parsed, {Tensor::scalar(false), x});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outputs[0].tensor().double_at(1), 2);
  auto other = parse_graph("graph \"g\"(%x: f32[2]) { return %x as \"x\" }");
  EXPECT_FALSE(*widen_model(**other));
}

}  // namespace
}  // namespace gannet
