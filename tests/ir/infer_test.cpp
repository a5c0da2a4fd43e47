#include "ir/infer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Dim n = Dim::symbol("n");
const Dim m = Dim::symbol("m");

std::string broadcast(const Shape& a, const Shape& b) {
  Result<Shape> shape = broadcast_shapes(a, b);
  return shape.ok() ? to_string(std::span<const Dim>(*shape)) : shape.error().message;
}

TEST(Infer, ShapesBroadcast) {
  EXPECT_EQ(broadcast({2, 1}, {3}), "[2, 3]");
  EXPECT_EQ(broadcast({}, {n}), "[n]");
  EXPECT_EQ(broadcast({n, 1}, {1, m}), "[n, m]");
  EXPECT_EQ(broadcast({n}, {5}), "[5]");
  EXPECT_EQ(broadcast({n}, {n}), "[n]");
  EXPECT_EQ(broadcast({0}, {1}), "[0]");
  EXPECT_EQ(broadcast({n, 2}, {4, 3}), "shapes [n, 2] and [4, 3] do not broadcast: 2 against 3");
}

TEST(Infer, AxesAreNormalized) {
  EXPECT_EQ(*normalize_axis(-1, 3), 2);
  EXPECT_EQ(normalize_axis(3, 3).error().message, "axis 3 is outside a rank of 3");
  EXPECT_EQ(normalize_axis(-1, 0).error().message, "axis -1 is outside a rank of 0");
  EXPECT_THAT(*normalize_axes(std::vector<int64_t>{2, -3}, 3), ElementsAre(0, 2));
  EXPECT_EQ(normalize_axes(std::vector<int64_t>{1, -2}, 3).error().message, "axis 1 is given twice");
}

TEST(Infer, MergingKeepsWhatIsMorePrecise) {
  EXPECT_THAT(*merge_shapes({n, 3}, {2, m}), ElementsAre(Dim(2), Dim(3)));
  EXPECT_EQ(merge_shapes({2}, {3}).error().message, "dimension 0 is 2 and 3");
  Type merged = *merge_types(Type::tensor(DType::kUndefined, Shape{n}), Type::tensor(DType::kI8));
  EXPECT_EQ(to_string(merged), "i8[n]");
  Type sequence = *merge_types(Type::sequence(Type::tensor(DType::kF32)),
                               Type::sequence(Type::tensor(DType::kF32, Shape{4})));
  EXPECT_EQ(to_string(sequence), "seq(f32[4])");
  EXPECT_FALSE(merge_types(Type::sequence(Type()), Type()).ok());
}

// Shape arithmetic as exporters write it folds into dimensions.
TEST(Infer, ContentsFollowIntegerArithmetic) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{n, 6}));
  GraphBuilder b(graph);
  Value* shape = b.op("Shape", {x});
  Value* doubled = b.mul(shape, b.ints({2, 1}));
  Value* halves = b.div(b.add(doubled, b.ints({1})), b.ints({2, 3}));
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  EXPECT_THAT(*doubled->contents, ElementsAre(2 * n, Dim(6)));
  EXPECT_THAT(*halves->contents, ElementsAre(floordiv(2 * n + 1, 2), Dim(2)));
  Value* unknown = graph.add_input("unknown", Type::tensor(DType::kI64, Shape{2}));
  EXPECT_FALSE(b.mul(unknown, shape)->contents.has_value());
}

// An 8-bit sum wraps; a dimension does not.
TEST(Infer, ContentsThatDoNotFitTheTypeAreUnknown) {
  Graph graph;
  GraphBuilder b(graph);
  Value* large = b.constant(Tensor::from<uint8_t>({1}, {200}));
  EXPECT_FALSE(b.add(large, large)->contents.has_value());
  EXPECT_THAT(*b.sub(large, large)->contents, ElementsAre(Dim(0)));
  Value* most = b.constant(Tensor::from<int32_t>({1}, {2147483647}));
  EXPECT_FALSE(b.add(most, b.constant(Tensor::scalar<int32_t>(1)))->contents.has_value());
  EXPECT_FALSE(b.map(ScalarExpr(2.0), {})->contents.has_value());
}

TEST(Infer, ErrorsNameTheNode) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{2, 3}));
  GraphBuilder b(graph, nullptr, "block");
  Value* wrong = b.add(x, b.constant(Tensor::zeros(DType::kF32, {4})));
  EXPECT_EQ(b.status().error().message,
            "node 'block/v_2' (Add): shapes [2, 3] and [4] do not broadcast: 3 against 4");
  b.matmul(wrong, wrong);  // the first error stays
  EXPECT_THAT(b.status().error().message, HasSubstr("(Add)"));
}

TEST(Infer, DecompositionsTakeFreshSymbolsOfTheGraph) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{n}));
  GraphBuilder b(graph);
  Value* a = b.op("NonZero", {x});
  Value* c = b.op("NonZero", {x});
  EXPECT_NE((*a->type.shape)[1], (*c->type.shape)[1]);
}

}  // namespace
}  // namespace gannet
