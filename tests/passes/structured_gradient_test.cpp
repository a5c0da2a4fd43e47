// The gradient rule of every structured op that has one, against central differences, with static extents and
// with symbols.
#include <gtest/gtest.h>

#include <functional>

#include "passes/differentiate.h"
#include "tests/support/gradient_check.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using Operands = std::span<Value* const>;
using Ints = std::vector<int64_t>;

struct Case {
  std::string op;
  Attributes attrs;
  std::vector<Ints> extents;  // of f64 operands, drawn at random
  std::vector<Tensor> rest;   // constant operands after them; an undefined one is absent
  GradientCheck check;
};

Tensor list(const Ints& values) { return Tensor::of_ints(values); }

std::string describe(const Case& c) {
  std::string text = c.op;
  for (const Ints& extents : c.extents) text += " " + to_string(std::span<const int64_t>(extents));
  return text;
}

void expect_case(const Case& c) {
  Model model = [&](GraphBuilder& b, Operands x) {
    std::vector<Value*> operands(x.begin(), x.end());
    for (const Tensor& tensor : c.rest) operands.push_back(tensor.defined() ? b.constant(tensor) : nullptr);
    return b.op(c.op, operands, c.attrs);
  };
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < c.extents.size(); ++i) inputs.push_back(random_tensor(c.extents[i], 21 + i));
  expect_gradients(describe(c), model, inputs, c.check);
}

void expect_cases(const std::vector<Case>& cases) {
  for (const Case& c : cases) expect_case(c);
}

constexpr GradientCheck kTwice{.order = 2, .symbolic = true, .tolerance = 1e-5};
constexpr GradientCheck kStatic{.order = 1, .symbolic = false, .tolerance = 1e-6};
constexpr GradientCheck kFixed{.order = 1, .symbolic = true, .tolerance = 1e-6, .fixed_weights = true};
constexpr GradientCheck kFixedTwice{.order = 2, .symbolic = true, .tolerance = 1e-5, .fixed_weights = true};

TEST(StructuredGradient, MatMul) {
  expect_cases({
      {"MatMul", {}, {{2, 3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{6, 1, 2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {3}}, {}, {}},
      {"MatMul", {}, {{3}, {3}}, {}, {}},
      {"MatMul", {}, {{3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {3}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {3, 4}}, {}, kTwice},
      {"MatMul", {}, {{5, 2, 3}, {3, 4}}, {}, kTwice},
  });
}

TEST(StructuredGradient, Gemm) {
  Attributes scaled = {{"alpha", 0.5f}, {"beta", 2.f}};
  Attributes transposed = {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5f}};
  expect_cases({
      {"Gemm", {}, {{2, 3}, {3, 4}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {4}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {2, 1}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {}}, {}, {}},
      {"Gemm", transposed, {{3, 2}, {4, 3}, {2, 4}}, {}, {}},
      {"Gemm", {{"transA", int64_t{1}}}, {{3, 2}, {3, 4}}, {}, {}},
      {"Gemm", {{"transB", int64_t{1}}}, {{2, 3}, {4, 3}, {1, 4}}, {}, kTwice},
  });
}

TEST(StructuredGradient, Conv) {
  expect_cases({
      {"Conv", {}, {{2, 3, 5, 5}, {4, 3, 3, 3}}, {}, kFixed},
      {"Conv", {}, {{2, 3, 5, 5}, {4, 3, 3, 3}, {4}}, {}, kFixed},
      {"Conv",
       {{"pads", Ints{1, 0, 2, 1}}, {"strides", Ints{2, 1}}},
       {{1, 2, 6, 5}, {3, 2, 3, 2}, {3}},
       {},
       kFixed},
      {"Conv", {{"strides", Ints{3, 2}}}, {{1, 2, 8, 8}, {2, 2, 2, 3}}, {}, kFixed},
      {"Conv", {{"dilations", Ints{2, 1}}, {"group", int64_t{2}}}, {{1, 4, 6, 5}, {6, 2, 2, 3}}, {}, kFixed},
      {"Conv",
       {{"group", int64_t{3}}, {"pads", Ints{1, 1, 1, 1}}},
       {{2, 3, 4, 4}, {3, 1, 3, 3}, {3}},
       {},
       kFixed},
      {"Conv",
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}},
       {{1, 2, 5, 6}, {2, 2, 3, 3}},
       {},
       kFixed},
      {"Conv", {{"auto_pad", std::string("SAME_LOWER")}}, {{1, 1, 5, 5}, {2, 1, 2, 2}}, {}, kFixed},
      {"Conv", {{"pads", Ints{1, 1}}}, {{2, 3, 7}, {4, 3, 3}, {4}}, {}, kFixed},
      {"Conv", {}, {{1, 2, 3, 4, 3}, {2, 2, 2, 2, 2}}, {}, kFixed},
      {"Conv", {}, {{1, 2, 4, 4}, {2, 2, 3, 3}}, {}, kFixedTwice},
      {"Conv",
       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {{1, 2, 4, 4}, {2, 2, 3, 3}, {2}},
       {},
       kFixedTwice},
  });
}

TEST(StructuredGradient, ConvTranspose) {
  expect_cases({
      {"ConvTranspose", {}, {{1, 2, 3, 3}, {2, 3, 3, 3}, {3}}, {}, kFixed},
      {"ConvTranspose",
       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {{2, 2, 3, 4}, {2, 2, 4, 4}},
       {},
       kFixed},
      {"ConvTranspose",
       {{"strides", Ints{2, 2}}, {"output_padding", Ints{1, 1}}},
       {{1, 2, 3, 3}, {2, 1, 3, 3}},
       {},
       kFixed},
      {"ConvTranspose",
       {{"group", int64_t{2}}, {"dilations", Ints{2, 2}}},
       {{1, 4, 3, 3}, {4, 2, 2, 2}, {4}},
       {},
       kFixed},
      {"ConvTranspose", {{"strides", Ints{2}}}, {{1, 2, 4}, {2, 3, 3}}, {}, kFixed},
      {"ConvTranspose", {}, {{1, 2, 3, 3}, {2, 2, 2, 2}}, {}, kFixedTwice},
  });
}

TEST(StructuredGradient, Pooling) {
  Attributes two = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  Attributes padded = {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}};
  Attributes ceiled = {{"kernel_shape", Ints{2, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", int64_t{1}}};
  Attributes counted = padded;
  counted.set("count_include_pad", int64_t{1});
  expect_cases({
      {"MaxPool", two, {{2, 3, 4, 6}}, {}, {}},
      {"MaxPool", padded, {{1, 2, 5, 6}}, {}, {}},
      {"MaxPool", ceiled, {{1, 2, 5, 6}}, {}, {}},
      {"MaxPool", {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{2, 1}}}, {{1, 2, 5, 4}}, {}, {}},
      {"MaxPool", {{"kernel_shape", Ints{3}}}, {{1, 2, 7}}, {}, {}},
      {"AveragePool", two, {{2, 3, 4, 6}}, {}, {}},
      {"AveragePool", padded, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool", counted, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool", ceiled, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool",
       {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
       {{1, 2, 5, 4}},
       {},
       {}},
      {"GlobalAveragePool", {}, {{2, 3, 4, 5}}, {}, {}},
      {"GlobalMaxPool", {}, {{2, 3, 4, 5}}, {}, {}},
      {"GlobalAveragePool", {}, {{2, 3, 4}}, {}, {}},
  });
}

TEST(StructuredGradient, Movement) {
  expect_cases({
      {"Identity", {}, {{2, 3}}, {}, {}},
      {"Reshape", {}, {{2, 6}}, {list({3, 4})}, kStatic},
      {"Reshape", {}, {{2, 3, 4}}, {list({0, -1})}, {}},
      {"Flatten", {{"axis", int64_t{2}}}, {{2, 3, 4}}, {}, {}},
      {"Flatten", {{"axis", int64_t{0}}}, {{2, 3, 4}}, {}, {}},
      {"Squeeze", {}, {{2, 1, 3, 1}}, {list({1, -1})}, {}},
      {"Squeeze", {}, {{2, 1, 3, 1}}, {}, kStatic},
      {"Unsqueeze", {}, {{2, 3}}, {list({0, -1})}, {}},
      {"Transpose", {{"perm", Ints{2, 0, 1}}}, {{2, 3, 4}}, {}, {}},
      {"Transpose", {}, {{2, 3, 4}}, {}, {}},
      {"DepthToSpace", {{"blocksize", int64_t{2}}}, {{1, 8, 2, 3}}, {}, {}},
      {"DepthToSpace", {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}}, {{1, 8, 2, 3}}, {}, {}},
      {"SpaceToDepth", {{"blocksize", int64_t{2}}}, {{1, 2, 4, 6}}, {}, {}},
      {"Concat", {{"axis", int64_t{1}}}, {{2, 3}, {2, 1}, {2, 4}}, {}, {}},
      {"Concat", {{"axis", int64_t{-2}}}, {{2, 3}, {5, 3}}, {}, {}},
      {"Concat", {{"axis", int64_t{0}}}, {{2}, {2}}, {}, kTwice},
      {"Expand", {}, {{3, 1}}, {list({2, 3, 4})}, {}},
      {"Expand", {}, {{3, 4}}, {list({1, 1})}, {}},
      {"SumTo", {}, {{2, 3, 4}}, {list({3, 1})}, {}},
      {"SumTo", {}, {{2, 3, 4}}, {list({})}, {}},
      {"Tile", {}, {{2, 3}}, {list({3, 2})}, {}},
      {"Tile", {}, {{2, 3}}, {list({1, 1})}, {}},
      {"Trilu", {}, {{2, 4, 4}}, {}, {}},
      {"Trilu", {{"upper", int64_t{0}}}, {{4, 3}}, {Tensor::scalar<int64_t>(-1)}, {}},
      {"ReverseSequence", {}, {{4, 2, 3}}, {list({3, 4})}, kStatic},
      {"Cast", {{"to", DType::kF64}}, {{3}}, {}, {}},
  });
}

TEST(StructuredGradient, SlicesAndPads) {
  expect_cases({
      {"Slice", {}, {{5, 6}}, {list({1, 0}), list({4, 6})}, kStatic},
      {"Slice", {}, {{5, 6}}, {list({-1}), list({-100}), list({1}), list({-1})}, kStatic},
      {"Slice", {}, {{7, 3}}, {list({1}), list({1000}), list({0}), list({2})}, kStatic},
      {"Slice", {}, {{7, 3}}, {list({6}), list({0}), list({-2}), list({-3})}, kStatic},
      {"Slice", {}, {{7}}, {list({1}), list({5}), list({0}), list({3})}, kTwice},
      {"Slice", {}, {{7}}, {list({5}), list({5})}, {}},
      {"Pad", {}, {{3, 4}}, {list({1, 0, 2, 3})}, {}},
      {"Pad", {}, {{3, 4}}, {list({-1, 0, 1, -2})}, {}},
      {"Pad", {}, {{3, 4}}, {list({1, 2}), Tensor(), list({1})}, {}},
  });
  // The value that fills has a gradient as well.
  Model filled = [](GraphBuilder& b, Operands x) { return b.op("Pad", {x[0], b.ints({1, 2}), x[1]}); };
  expect_gradients("Pad value", filled, {random_tensor({3}, 1), random_tensor({}, 2)});
}

TEST(StructuredGradient, SplitGivesEachPartItsShare) {
  for (int64_t axis : {0, 1}) {
    Model model = [&](GraphBuilder& b, Operands x) {
      auto parts = b.op_n("Split", {x[0], b.ints({1, 3})}, {{"axis", axis}}, 2);
      return b.add(b.reduce_sum(parts[1], {axis}, true), parts[0]);
    };
    expect_gradients("Split", model, {random_tensor({4, 4}, 1)}, kStatic);
    Model half = [&](GraphBuilder& b, Operands x) {
      return b.op_n("Split", {x[0], b.ints({1, 3})}, {{"axis", axis}}, 2)[1];
    };
    expect_gradients("Split, one part", half, {random_tensor({4, 4}, 1)}, kStatic);
  }
  Model counted = [](GraphBuilder& b, Operands x) {
    auto parts = b.op_n("Split", {x[0]}, {{"num_outputs", int64_t{3}}}, 3);
    return b.concat({parts[2], parts[0]}, 0);
  };
  expect_gradients("Split by count", counted, {random_tensor({5, 2}, 1)}, kStatic);
}

TEST(StructuredGradient, Gathers) {
  Tensor repeated = Tensor::from<int64_t>({2, 2}, {0, 2, 2, -1});
  expect_cases({
      {"Gather", {}, {{4, 3}}, {repeated}, {}},
      {"Gather", {{"axis", int64_t{1}}}, {{2, 4, 3}}, {repeated}, {}},
      {"Gather", {{"axis", int64_t{-1}}}, {{2, 4}}, {Tensor::scalar<int64_t>(-2)}, {}},
      {"Gather", {}, {{4, 3}}, {repeated}, kTwice},
      {"Gather", {}, {{4, 3}}, {Tensor::from<int32_t>({3}, {1, 1, 1})}, {}},
  });
}

TEST(StructuredGradient, Reductions) {
  Attributes drop = {{"keepdims", int64_t{0}}}, noop = {{"noop_with_empty_axes", int64_t{1}}};
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                         "ReduceLogSumExp", "ReduceSumSquare"}) {
    expect_cases({
        {op, {}, {{2, 3, 4}}, {list({1})}, {}},
        {op, drop, {{2, 3, 4}}, {list({0, -1})}, {}},
        {op, drop, {{2, 3}}, {}, {}},
        {op, {}, {{2, 3}}, {}, {}},
        {op, noop, {{2, 3}}, {}, {}},
    });
  }
  expect_cases(
      {{"ReduceProd", {}, {{2, 3, 4}}, {list({1})}, {}}, {"ReduceProd", drop, {{2, 3}}, {list({-1})}, {}}});
  for (const char* op : {"ReduceSumSquare", "ReduceL2", "ReduceLogSumExp"})
    expect_case({op, drop, {{2, 3}}, {list({1})}, kTwice});
  Model logarithm = [](GraphBuilder& b, Operands x) {
    return b.reduce("ReduceLogSum", b.op("Exp", {x[0]}), {1}, false);
  };
  expect_gradients("ReduceLogSum", logarithm, {random_tensor({2, 3}, 1)});
}

TEST(StructuredGradient, ACumulativeSum) {
  for (int64_t exclusive : {0, 1}) {
    for (int64_t reverse : {0, 1}) {
      Attributes attrs = {{"exclusive", exclusive}, {"reverse", reverse}};
      expect_case({"CumSum", attrs, {{3, 4}}, {Tensor::scalar<int64_t>(1)}, {}});
      expect_case({"CumSum", attrs, {{3, 4}}, {Tensor::scalar<int64_t>(-2)}, {}});
    }
  }
}

TEST(StructuredGradient, MeansOfSeveral) { expect_case({"Mean", {}, {{2, 3}, {3}, {2, 1}}, {}, {}}); }

TEST(StructuredGradient, Softmax) {
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    expect_cases({
        {op, {}, {{2, 5}}, {}, {}},
        {op, {{"axis", int64_t{1}}}, {{2, 3, 4}}, {}, {}},
        {op, {{"axis", int64_t{0}}}, {{3}}, {}, {}},
        {op, {}, {{2, 3}}, {}, kTwice},
    });
  }
  expect_cases({{"LpNormalization", {{"p", int64_t{2}}}, {{2, 3}}, {}, {}},
                {"LpNormalization", {{"p", int64_t{1}}, {"axis", int64_t{0}}}, {{3, 2}}, {}, {}}});
}

TEST(StructuredGradient, Normalizations) {
  expect_cases({
      {"LayerNormalization", {}, {{2, 3, 4}, {4}, {4}}, {}, {}},
      {"LayerNormalization", {{"axis", int64_t{1}}, {"epsilon", 0.1f}}, {{2, 3, 4}, {3, 4}}, {}, {}},
      {"LayerNormalization", {}, {{2, 4}, {4}, {4}}, {}, kTwice},
      {"RMSNormalization", {}, {{2, 3, 4}, {4}}, {}, {}},
      {"RMSNormalization", {{"axis", int64_t{-2}}}, {{2, 3, 4}, {3, 4}}, {}, {}},
      {"InstanceNormalization", {}, {{2, 3, 4, 2}, {3}, {3}}, {}, {}},
      {"InstanceNormalization", {}, {{2, 3, 5}, {3}, {3}}, {}, {}},
      {"GroupNormalization", {{"num_groups", int64_t{2}}}, {{2, 4, 3, 2}, {4}, {4}}, {}, {}},
      {"MeanVarianceNormalization", {}, {{2, 3, 4, 2}}, {}, {}},
  });
}

TEST(StructuredGradient, BatchNormalization) {
  Tensor mean = random_tensor({3}, 5), variance = Tensor::from<double>({3}, {0.5, 1, 2});
  expect_case({"BatchNormalization", {}, {{2, 3, 4}, {3}, {3}}, {mean, variance}, {}});
  expect_case({"BatchNormalization", {}, {{5, 3}, {3}, {3}}, {mean, variance}, {}});
  Model training = [&](GraphBuilder& b, Operands x) {
    return b.op_n("BatchNormalization", {x[0], x[1], x[2], b.constant(mean), b.constant(variance)},
                  {{"training_mode", int64_t{1}}}, 3)[0];
  };
  std::vector<Tensor> inputs = {random_tensor({4, 3, 2}, 1), random_tensor({3}, 2), random_tensor({3}, 3)};
  expect_gradients("BatchNormalization in training", training, inputs);
}

TEST(StructuredGradient, Losses) {
  Tensor labels = Tensor::from<int64_t>({2, 3}, {0, 3, 1, 2, 2, 1});
  for (const char* op : {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}) {
    for (const char* reduction : {"mean", "sum", "none"}) {
      Attributes attrs = {{"reduction", std::string(reduction)}};
      Attributes ignoring = attrs;
      ignoring.set("ignore_index", int64_t{2});
      expect_cases({
          {op, attrs, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels, Tensor::from<double>({4}, {0.5, 1, 2, 3})}, {}},
          {op, attrs, {{3, 4}}, {list({1, 0, 3})}, {}},
      });
    }
  }
  expect_case({"SoftmaxCrossEntropyLoss", {}, {{3, 4}}, {list({1, 0, 3})}, kTwice});
}

TEST(StructuredGradient, Dropout) {
  expect_case({"Dropout", {}, {{4, 3}}, {}, {}});
  Attributes seeded = {{"seed", int64_t{5}}};
  Model training = [&](GraphBuilder& b, Operands x) {
    return b.op_n("Dropout", {x[0], b.constant(Tensor::scalar(0.5)), b.constant(Tensor::scalar(true))},
                  seeded, 2)[0];
  };
  expect_gradients("Dropout in training", training, {random_tensor({4, 3}, 1)});
}

TEST(StructuredGradient, RotaryEmbedding) {
  for (int64_t interleaved : {0, 1}) {
    Tensor cosines = random_tensor({2, 3, 2}, 8), sines = random_tensor({2, 3, 2}, 9);
    expect_case({"RotaryEmbedding", {{"interleaved", interleaved}}, {{2, 5, 3, 4}}, {cosines, sines}, {}});
  }
}

// What has no rule says so, and names the node.
TEST(StructuredGradient, AMissingRuleIsAnError) {
  auto error_of = [](const Model& model, const Type& type) -> std::string {
    Graph graph;
    Value* x = graph.add_input("x", type);
    GraphBuilder b(graph, nullptr, "block");
    Value* loss = b.reduce_sum(model(b, std::span<Value* const>(&x, 1)), {0, 1}, false);
    EXPECT_TRUE(b.status().ok()) << b.status().error().message;
    auto gradients = differentiate(graph, loss, std::span<Value* const>(&x, 1));
    return gradients.ok() ? "" : gradients.error().message;
  };
  Type square = Type::tensor(DType::kF32, Shape{3, 3});
  Model sorted = [](GraphBuilder& b, Operands x) { return b.op_n("TopK", {x[0], b.ints({2})}, {}, 2)[0]; };
  EXPECT_EQ(error_of(sorted, square), "node 'block/v_2' (TopK): there is no gradient rule for TopK");
  Model reflected = [](GraphBuilder& b, Operands x) {
    return b.op("Pad", {x[0], b.ints({1, 1, 1, 1})}, {{"mode", std::string("reflect")}});
  };
  EXPECT_EQ(error_of(reflected, square), "node 'block/v_2' (Pad): there is no gradient for mode 'reflect'");
  Model noisy = [](GraphBuilder& b, Operands x) {
    return b.op("Dropout", {x[0], b.constant(Tensor::scalar(0.5f)), b.constant(Tensor::scalar(true))});
  };
  EXPECT_EQ(error_of(noisy, square),
            "node 'block/v_3' (Dropout): the gradient of Dropout in training needs its output 1 (mask)");
}

TEST(StructuredGradient, ABranchThatIsNotFloatingPointStops) {
  Model model = [](GraphBuilder& b, Operands x) {
    Value* rounded = b.cast(b.cast(x[0], DType::kI64), DType::kF64);
    return b.mul(b.add(rounded, x[0]), b.cast(b.op("Shape", {x[0]}), DType::kF64));
  };
  expect_gradients("mixed", model, {random_tensor({3}, 1)});
}

// One value used in many places collects all of their gradients.
TEST(StructuredGradient, SharedValuesAccumulate) {
  Model model = [](GraphBuilder& b, Operands x) {
    Value* y = b.op("Tanh", {b.matmul(x[0], x[1])});
    Value* z = b.add(b.matmul(y, x[1]), b.transpose(y, {1, 0}));
    return b.mul(b.add(z, y), b.op("Softmax", {z}));
  };
  expect_gradients("shared", model, {random_tensor({3, 3}, 1), random_tensor({3, 3}, 2)});
  expect_gradients("shared", model, {random_tensor({3, 3}, 1), random_tensor({3, 3}, 2)}, kTwice);
}

// A convolutional network and an attention block, as a whole.
TEST(StructuredGradient, WholeModels) {
  Model network = [](GraphBuilder& b, Operands x) {
    Value* h = b.op("Relu", {b.op("Conv", {x[0], x[1], x[2]}, {{"pads", Ints{1, 1, 1, 1}}})});
    h = b.op("MaxPool", {h}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
    h = b.op("Gemm", {b.op("Flatten", {h}), x[3], x[4]});
    return b.op("LogSoftmax", {h});
  };
  expect_gradients("network", network,
                   {random_tensor({2, 1, 4, 4}, 1), random_tensor({3, 1, 3, 3}, 2), random_tensor({3}, 3),
                    random_tensor({12, 5}, 4), random_tensor({5}, 5)},
                   kStatic);
  Model attention = [](GraphBuilder& b, Operands x) {
    Value* scores = b.op("Softmax", {b.matmul(x[0], b.transpose(x[1], {0, 2, 1}))});
    Value* mixed = b.add(b.matmul(scores, x[2]), x[0]);
    return b.op("LayerNormalization", {mixed, x[3], x[4]});
  };
  expect_gradients("attention", attention,
                   {random_tensor({2, 3, 4}, 1), random_tensor({2, 3, 4}, 2), random_tensor({2, 3, 4}, 3),
                    random_tensor({4}, 4), random_tensor({4}, 5)});
}

}  // namespace
}  // namespace gannet::test
