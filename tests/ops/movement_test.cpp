#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
constexpr int64_t kSmallest = std::numeric_limits<int64_t>::min();

Tensor list(std::initializer_list<int64_t> values) { return Tensor::of_ints(std::vector<int64_t>(values)); }

Tensor iota(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kI64, std::move(extents));
  int64_t next = 0;
  for (int64_t& value : tensor.mutable_data<int64_t>()) value = next++;
  return tensor;
}

std::vector<int64_t> ints_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs = {}) {
  return result_of(name, operands, attrs).ints();
}

// A graph under construction with one input of a symbolic type.
struct Scene {
  explicit Scene(std::string_view type) : b(graph), x(graph.add_input("x", *parse_type(type))) {}
  Graph graph;
  GraphBuilder b;
  Value* x;
};

std::string type_of(const Value* value) { return to_string(value->type); }

TEST(Movement, ShapeArithmeticFoldsIntoSymbols) {
  Scene s("f32[batch, seq, 768]");
  Value* shape = s.b.op("Shape", {s.x});
  Value* batch = s.b.op("Gather", {shape, s.b.constant(Tensor::scalar<int64_t>(0))});
  Value* rows = s.b.concat({s.b.unsqueeze(batch, {0}), s.b.ints({-1, 12, 64})}, 0);
  Value* heads = s.b.op("Reshape", {s.x, rows});
  EXPECT_EQ(type_of(heads), "f32[batch, seq, 12, 64]");
  EXPECT_EQ(type_of(s.b.op("Reshape", {heads, s.b.ints({0, 0, -1})})), "f32[batch, seq, 768]");
  EXPECT_EQ(type_of(s.b.op("Reshape", {heads, s.b.ints({-1, 64})})), "f32[12*batch*seq, 64]");
  Value* length = s.b.slice(shape, {1}, {2}, {0});
  EXPECT_EQ(type_of(s.b.op("Expand", {s.b.constant(iota({1, 1})), s.b.concat({length, length}, 0)})), "i64[seq, seq]");
  EXPECT_EQ(type_of(s.b.slice(s.x, {0, -1}, {kLargest, kLargest}, {1, 0})), "f32[min(1, batch), seq, 768]");
  EXPECT_EQ(type_of(s.b.slice(s.x, {-1}, {kSmallest}, {1}, {-2})), "f32[batch, floordiv(seq+1, 2), 768]");
  EXPECT_EQ(type_of(s.b.op("Range", {s.b.constant(Tensor::scalar<int64_t>(0)), batch, s.b.constant(Tensor::scalar<int64_t>(1))})), "i64[batch]");
  EXPECT_EQ(type_of(s.b.op("Tile", {s.x, s.b.ints({2, 1, 1})})), "f32[2*batch, seq, 768]");
  ASSERT_TRUE(s.b.status().ok()) << s.b.status().error().message;
}

TEST(Movement, DimsAreEvaluatedUnderTheRunsSymbols) {
  Scene s("f32[n, 2]");
  Value* dims = s.b.dims({Dim::symbol("n") * 2, Dim(3)});
  Value* scalar = s.b.op("Dims", {}, {{"dims", Shape{Dim::symbol("n") + 1}}, {"scalar", int64_t{1}}});
  s.graph.outputs = {{"dims", dims}, {"scalar", scalar}, {"x", s.x}};
  auto result = evaluate(s.graph, {Datum(Tensor::zeros(DType::kF32, {5, 2}))});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT(result->outputs[0].tensor().ints(), ElementsAre(10, 3));
  EXPECT_THAT(result->outputs[1].tensor().ints(), ElementsAre(6));
  EXPECT_EQ(result->outputs[1].tensor().rank(), 0);
}

TEST(Movement, UnknownRanksStayUnknown) {
  EXPECT_THAT(inferred("Transpose", {"f32"}), ElementsAre("f32"));
  EXPECT_THAT(inferred("Reshape", {"f32", "i64[2]"})[0], HasSubstr("f32[reshaped"));
  EXPECT_THAT(inferred("Squeeze", {"f32[n, 1]"}), ElementsAre("f32"));
  EXPECT_THAT(inferred("Concat", {"f32[2, a]", "f32"}, {{"axis", int64_t{0}}})[0], HasSubstr("joined"));
}

TEST(Movement, ReshapeRejectsWhatDoesNotFit) {
  Tensor x = iota({2, 3});
  EXPECT_THAT(error_of("Reshape", {x, list({4})}), HasSubstr("6 elements to [4] with 4"));
  EXPECT_THAT(error_of("Reshape", {x, list({-1, 4})}), HasSubstr("6 elements do not divide"));
  EXPECT_THAT(error_of("Reshape", {x, list({-1, -1})}), HasSubstr("more than one -1"));
  EXPECT_THAT(error_of("Reshape", {x, list({-2, 3})}), HasSubstr("negative extent -2"));
  EXPECT_THAT(error_of("Reshape", {x, list({2, 3, 0})}), HasSubstr("rank 2"));
  EXPECT_THAT(error_of("Reshape", {x, list({0, -1})}, {{"allowzero", int64_t{1}}}), HasSubstr("allowzero"));
  EXPECT_THAT(error_of("Reshape", {x, list({kLargest, kLargest, -1})}), testing::Not(IsEmpty()));
  EXPECT_EQ(result_of("Reshape", {Tensor::zeros(DType::kF32, {0, 4, 3}), list({0, -1})}).extents(), (std::vector<int64_t>{0, 12}));
}

TEST(Movement, FlattenSqueezeUnsqueezeCheckAxes) {
  EXPECT_EQ(result_of("Flatten", {iota({2, 3, 4})}, {{"axis", int64_t{-1}}}).extents(), (std::vector<int64_t>{6, 4}));
  EXPECT_EQ(result_of("Flatten", {iota({})}, {{"axis", int64_t{0}}}).extents(), (std::vector<int64_t>{1, 1}));
  EXPECT_THAT(error_of("Flatten", {iota({2})}, {{"axis", int64_t{2}}}), HasSubstr("axis 2 is outside of [-1, 1]"));
  EXPECT_THAT(error_of("Squeeze", {iota({2, 1}), list({0})}), HasSubstr("axis 0 of extent 2"));
  EXPECT_THAT(error_of("Unsqueeze", {iota({2}), list({0, -3})}), HasSubstr("given twice"));
  EXPECT_THAT(error_of("Flatten", {Tensor::zeros(DType::kF32, {0, kLargest, kLargest})}), HasSubstr("overflows"));
}

TEST(Movement, TransposeMovesStringsToo) {
  Tensor x = Tensor::from<std::string>({2, 2}, {"a", "b", "c", "d"});
  const Tensor y = result_of("Transpose", {x});
  EXPECT_THAT(y.data<std::string>(), ElementsAre("a", "c", "b", "d"));
  EXPECT_THAT(ints_of("Transpose", {iota({2, 1, 3})}, {{"perm", std::vector<int64_t>{2, 0, 1}}}), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(error_of("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 0}}}), HasSubstr("no permutation of 2"));
}

TEST(Movement, SliceFollowsPythonButForAStartBeforeTheAxis) {
  Tensor x = iota({5});
  EXPECT_THAT(ints_of("Slice", {x, list({1}), list({kLargest})}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ints_of("Slice", {x, list({kLargest}), list({kSmallest}), list({0}), list({-2})}), ElementsAre(4, 2, 0));
  EXPECT_THAT(ints_of("Slice", {x, list({-3}), list({-1})}), ElementsAre(2, 3));
  EXPECT_THAT(ints_of("Slice", {x, list({0}), list({5}), list({-1}), list({kLargest})}), ElementsAre(0));
  EXPECT_THAT(ints_of("Slice", {x, list({4}), list({-6}), list({0}), list({kSmallest})}), ElementsAre(4));
  EXPECT_THAT(ints_of("Slice", {x, list({-9}), list({kSmallest}), list({0}), list({-2})}), ElementsAre(0));
  EXPECT_THAT(ints_of("Slice", {x, list({3}), list({2})}), IsEmpty());
  EXPECT_THAT(error_of("Slice", {x, list({0}), list({5}), list({0}), list({0})}), HasSubstr("step is 0"));
  EXPECT_THAT(error_of("Slice", {x, list({0, 1}), list({5})}), HasSubstr("ends has 1 elements, starts has 2"));
}

TEST(Movement, SplitMakesALastPartSmaller) {
  auto parts = numbers_of("Split", {iota({5})}, {{"num_outputs", int64_t{3}}}, 3);
  EXPECT_THAT(parts[0], ElementsAre(0, 1));
  EXPECT_THAT(parts[2], ElementsAre(4));
  EXPECT_THAT(error_of("Split", {iota({5}), list({2, 2})}, {}, 2), HasSubstr("sums to 4, but the axis has extent 5"));
  EXPECT_THAT(error_of("Split", {iota({5}), list({7, -2})}, {}, 2), HasSubstr("negative extent -2"));
  EXPECT_THAT(error_of("Concat", {iota({2, 1}), iota({3, 2})}, {{"axis", int64_t{1}}}), HasSubstr("extents 2 and 3"));
}

TEST(Movement, PadModes) {
  Tensor x = iota({4});
  auto padded = [&](const char* mode, int64_t before, int64_t after) {
    return ints_of("Pad", {x, list({before, after})}, {{"mode", std::string(mode)}});
  };
  EXPECT_THAT(padded("reflect", 5, 4), ElementsAre(1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1));
  EXPECT_THAT(padded("edge", 1, 2), ElementsAre(0, 0, 1, 2, 3, 3, 3));
  EXPECT_THAT(padded("wrap", 5, 1), ElementsAre(3, 0, 1, 2, 3, 0, 1, 2, 3, 0));
  EXPECT_THAT(padded("constant", -1, -2), ElementsAre(1));
  EXPECT_THAT(padded("constant", 2, -4), ElementsAre(0, 0));
  EXPECT_THAT(padded("wrap", -1, 2), ElementsAre(1, 2, 3, 1, 2));
  EXPECT_THAT(error_of("Pad", {x, list({-3, -2})}), HasSubstr("do not fit an extent of 4"));
  EXPECT_THAT(error_of("Pad", {x, list({kSmallest, kLargest})}), HasSubstr("do not fit"));
  EXPECT_THAT(error_of("Pad", {iota({0}), list({1, 1})}, {{"mode", std::string("edge")}}), HasSubstr("no element to repeat"));
}

TEST(Movement, ExpandTileAndSumTo) {
  EXPECT_THAT(ints_of("Expand", {iota({2, 1}), list({2, 1, 2})}), ElementsAre(0, 0, 1, 1, 0, 0, 1, 1));
  EXPECT_THAT(ints_of("Tile", {iota({2, 2}), list({1, 2})}), ElementsAre(0, 1, 0, 1, 2, 3, 2, 3));
  EXPECT_THAT(ints_of("SumTo", {iota({2, 2, 2}), list({2, 1})}), ElementsAre(10, 18));
  EXPECT_THAT(ints_of("SumTo", {iota({2, 2}), list({})}), ElementsAre(6));
  EXPECT_THAT(error_of("SumTo", {iota({2, 2}), list({3})}), HasSubstr("does not broadcast"));
  EXPECT_THAT(error_of("Expand", {iota({3}), list({2})}), HasSubstr("do not broadcast"));
  EXPECT_THAT(error_of("Tile", {iota({3}), list({kLargest})}), HasSubstr("overflows"));
}

TEST(Movement, DepthAndSpace) {
  Tensor x = iota({1, 8, 1, 1});
  Attributes crd = {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}};
  EXPECT_THAT(ints_of("DepthToSpace", {x}, crd), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(ints_of("DepthToSpace", {x}, {{"blocksize", int64_t{2}}}), ElementsAre(0, 2, 4, 6, 1, 3, 5, 7));
  EXPECT_THAT(error_of("DepthToSpace", {iota({1, 6, 1, 1})}, {{"blocksize", int64_t{2}}}), HasSubstr("does not divide 6 channels"));
  EXPECT_THAT(error_of("SpaceToDepth", {iota({1, 1, 2, 3})}, {{"blocksize", int64_t{2}}}), HasSubstr("extent 3 of axis 3"));
}

TEST(Movement, TriluReverseAndCenter) {
  EXPECT_THAT(ints_of("Trilu", {iota({2, 3}), Tensor::scalar<int64_t>(1)}), ElementsAre(0, 1, 2, 0, 0, 5));
  EXPECT_THAT(ints_of("Trilu", {iota({2, 3}), Tensor::scalar<int64_t>(kSmallest)}), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(ints_of("ReverseSequence", {iota({2, 3}), list({3, 2})}, {{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}}),
              ElementsAre(2, 1, 0, 4, 3, 5));
  EXPECT_THAT(error_of("ReverseSequence", {iota({3, 1}), list({4})}), HasSubstr("length 4 is outside of [0, 3]"));
  EXPECT_THAT(ints_of("CenterCropPad", {iota({5}), list({2})}), ElementsAre(1, 2));
  EXPECT_THAT(ints_of("CenterCropPad", {iota({2}), list({5})}), ElementsAre(0, 0, 1, 0, 0));
  EXPECT_THAT(ints_of("Col2Im", {iota({1, 4, 2}), list({2, 3}), list({2, 2})}), ElementsAre(0, 3, 3, 4, 11, 7));
  EXPECT_THAT(error_of("Col2Im", {iota({1, 4, 3}), list({2, 3}), list({2, 2})}), HasSubstr("3 columns, but 2 blocks"));
}

TEST(Movement, Gradients) {
  const Tensor x = random_tensor({3, 4}, 1);
  expect_gradient("Identity", {x}, {}, {0});
  expect_gradient("Reshape", {x, list({2, -1})}, {}, {0});
  expect_gradient("Flatten", {x}, {}, {0});
  expect_gradient("Transpose", {x}, {{"perm", std::vector<int64_t>{1, 0}}}, {0});
  expect_gradient("Unsqueeze", {x, list({1})}, {}, {0});
  expect_gradient("Squeeze", {random_tensor({3, 1}, 2), list({1})}, {}, {0});
  expect_gradient("Concat", {x, random_tensor({3, 2}, 3)}, {{"axis", int64_t{-1}}}, {0, 1});
  expect_gradient("Split", {x, list({1, 3})}, {{"axis", int64_t{1}}}, {0}, 2);
  expect_gradient("Expand", {random_tensor({3, 1}, 4), list({2, 3, 4})}, {}, {0});
  expect_gradient("Tile", {x, list({2, 3})}, {}, {0});
  expect_gradient("Pad", {x, list({1, -1, 0, 2}), random_tensor({}, 5)}, {}, {0, 2});
  expect_gradient("SumTo", {x, list({1, 4})}, {}, {0});
  expect_gradient("DepthToSpace", {random_tensor({1, 4, 2, 2}, 6)}, {{"blocksize", int64_t{2}}}, {0});
  expect_gradient("SpaceToDepth", {random_tensor({1, 1, 2, 4}, 7)}, {{"blocksize", int64_t{2}}}, {0});
  expect_gradient("Trilu", {x}, {}, {0});
  expect_gradient("ReverseSequence", {x, list({1, 3, 2, 0})}, {}, {0});
}

TEST(Movement, SliceGradients) {
  const Tensor x = random_tensor({3, 7}, 1);
  expect_gradient("Slice", {x, list({1, 2}), list({kLargest, 5})}, {}, {0});
  expect_gradient("Slice", {x, list({1}), list({kLargest}), list({1}), list({2})}, {}, {0});
  expect_gradient("Slice", {x, list({1}), list({6}), list({1}), list({3})}, {}, {0});
  expect_gradient("Slice", {x, list({-1, 2}), list({kSmallest, 0}), list({1, 0}), list({-2, -1})}, {}, {0});
}

}  // namespace
}  // namespace gannet::test
