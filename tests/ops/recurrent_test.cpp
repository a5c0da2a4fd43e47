#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

Tensor filled(std::vector<int64_t> extents, float value) {
  Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
  for (float& element : tensor.mutable_data<float>()) element = value;
  return tensor;
}

// A linear network of one neuron whose state is the sum of its inputs so far.
Attributes sum_attrs(const std::string& direction) {
  size_t directions = direction == "bidirectional" ? 2 : 1;
  return {{"direction", direction}, {"activations", std::vector<std::string>(directions, "Affine")}};
}

TEST(Recurrent, RunsInBothDirectionsUpToEachLength) {
  Tensor x = Tensor::from<float>({3, 2, 1}, {1, 10, 2, 20, 3, 30}),
         lengths = Tensor::from<int32_t>({2}, {3, 2});
  Tensor one = filled({2, 1, 1}, 1);
  auto results = numbers_of("RNN", {x, one, one, Tensor(), lengths}, sum_attrs("bidirectional"), 2);
  EXPECT_THAT(results[0], ElementsAre(1, 10, 6, 30, 3, 30, 5, 20, 6, 0, 3, 0));
  EXPECT_THAT(results[1], ElementsAre(6, 30, 6, 30));
}

TEST(Recurrent, BatchFirst) {
  Tensor x = Tensor::from<float>({2, 3, 1}, {1, 2, 3, 10, 20, 30}), one = filled({1, 1, 1}, 1);
  Attributes attrs = sum_attrs("reverse");
  attrs.set("layout", int64_t{1});
  auto results = run_op("RNN", {x, one, one, Tensor(), Tensor(), filled({2, 1, 1}, 100)}, attrs, 2);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ((*results)[0].tensor().extents(), (std::vector<int64_t>{2, 3, 1, 1}));
  EXPECT_THAT(numbers_of((*results)[0].tensor()), ElementsAre(106, 105, 103, 160, 150, 130));
  EXPECT_THAT(numbers_of((*results)[1].tensor()), ElementsAre(106, 160));
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Recurrent, AStepOfGru) {
  Tensor x = filled({1, 1, 1}, 1), w = filled({1, 3, 1}, 0.5f), r = filled({1, 3, 1}, 0.25f),
         h = filled({1, 1, 1}, 2);
  Tensor bias = Tensor::from<float>({1, 6}, {0, 0, 0, 0, 0, 1});
  double z = sigmoid(1.0), outside = std::tanh(0.5 + z * 0.5 + 1), inside = std::tanh(0.5 + z * (0.5 + 1));
  EXPECT_THAT(numbers_of(result_of("GRU", {x, w, r, bias, Tensor(), h})),
              Pointwise(DoubleNear(1e-6), {(1 - z) * outside + z * 2}));
  EXPECT_THAT(
      numbers_of(result_of("GRU", {x, w, r, bias, Tensor(), h}, {{"linear_before_reset", int64_t{1}}})),
      Pointwise(DoubleNear(1e-6), {(1 - z) * inside + z * 2}));
}

TEST(Recurrent, AStepOfLstmWithPeepholes) {
  Tensor x = filled({1, 1, 1}, 1), w = filled({1, 4, 1}, 0.5f), r = filled({1, 4, 1}, 0),
         c = filled({1, 1, 1}, 2);
  Tensor peepholes = Tensor::from<float>({1, 3}, {0.1f, 0.2f, 0.3f});
  auto results = numbers_of("LSTM", {x, w, r, Tensor(), Tensor(), Tensor(), c, peepholes}, {}, 3);
  double cell = sigmoid(0.5 + 0.3 * 2) * 2 + sigmoid(0.5 + 0.1 * 2) * std::tanh(0.5);
  EXPECT_THAT(results[2], Pointwise(DoubleNear(1e-6), {cell}));
  EXPECT_THAT(results[1], Pointwise(DoubleNear(1e-6), {sigmoid(0.5 + 0.2 * cell) * std::tanh(cell)}));
}

TEST(Recurrent, Infers) {
  EXPECT_THAT(inferred("LSTM", {"f32[s, n, 4]", "f32[2, 24, 4]", "f32[2, 24, 6]"},
                       {{"direction", std::string("bidirectional")}}, 3),
              ElementsAre("f32[s, 2, n, 6]", "f32[2, n, 6]", "f32[2, n, 6]"));
  EXPECT_THAT(
      inferred("GRU", {"f32[s, n, 4]", "f32[1, 18, 4]", "f32[1, 18, 6]"}, {{"hidden_size", int64_t{5}}})[0],
      HasSubstr("input 1 (W) must have shape [1, 15, 4], got [1, 18, 4]"));
  EXPECT_THAT(inferred("RNN", {"f32[s, n, 4]", "f32[1, 6, 4]", "f32[1, 6, 6]"},
                       {{"activations", std::vector<std::string>{"Tanj"}}})[0],
              HasSubstr("unknown activation 'Tanj'"));
}

TEST(Recurrent, RefusesLengthsBeyondTheSteps) {
  Tensor x = filled({2, 1, 1}, 1), one = filled({1, 1, 1}, 1);
  EXPECT_THAT(error_of("RNN", {x, one, one, Tensor(), Tensor::from<int32_t>({1}, {3})}),
              HasSubstr("sequence_lens holds 3, X has 2 steps"));
  EXPECT_EQ(error_of("RNN", {filled({0, 2, 1}, 1), one, one}), "");
}

TEST(Attention, AveragesWhatIsNotMasked) {
  Tensor q = filled({1, 1, 2, 1}, 0), k = filled({1, 1, 2, 1}, 0),
         v = Tensor::from<float>({1, 1, 2, 1}, {2, 4});
  EXPECT_THAT(numbers_of(result_of("Attention", {q, k, v})), ElementsAre(3, 3));
  EXPECT_THAT(numbers_of(result_of("Attention", {q, k, v}, {{"is_causal", int64_t{1}}})), ElementsAre(2, 3));
  Tensor mask = Tensor::from<bool>({2, 2}, {false, false, false, true});
  EXPECT_THAT(numbers_of(result_of("Attention", {q, k, v, mask})), ElementsAre(0, 4));
}

TEST(Attention, AppendsToThePast) {
  Tensor q = filled({1, 1, 1, 1}, 0), k = filled({1, 1, 1, 1}, 7), v = filled({1, 1, 1, 1}, 6),
         past = filled({1, 1, 2, 1}, 3);
  auto results = numbers_of("Attention", {q, k, v, Tensor(), past, past}, {{"is_causal", int64_t{1}}}, 3);
  EXPECT_THAT(results[0], ElementsAre(4));
  EXPECT_THAT(results[1], ElementsAre(3, 3, 7));
  EXPECT_THAT(results[2], ElementsAre(3, 3, 6));
}

TEST(Attention, Infers) {
  Attributes heads = {{"q_num_heads", int64_t{4}}, {"kv_num_heads", int64_t{2}}};
  EXPECT_THAT(inferred("Attention", {"f32[n, s, 32]", "f32[n, t, 16]", "f32[n, t, 12]"}, heads, 4),
              ElementsAre("f32[n, s, 24]", "f32[n, 2, t, 8]", "f32[n, 2, t, 6]", "f32[n, 4, s, t]"));
  EXPECT_THAT(inferred("Attention", {"f32[n, s, 30]", "f32[n, t, 16]", "f32[n, t, 12]"}, heads)[0],
              HasSubstr("4 heads do not divide the 30 features"));
  EXPECT_THAT(inferred("Attention", {"f32[1, 3, 2, 8]", "f32[1, 2, 2, 8]", "f32[1, 2, 2, 8]"})[0],
              HasSubstr("2 key and value heads do not divide 3"));
  EXPECT_THAT(
      inferred("Attention", {"f32[1, 2, 2, 8]", "f32[1, 2, 2, 8]", "f32[1, 2, 2, 8]", "f32[3, 2]"})[0],
      HasSubstr("does not broadcast"));
}

TEST(RotaryEmbedding, TurnsPairsOfFeatures) {
  Tensor x = Tensor::from<float>({1, 1, 1, 4}, {1, 2, 3, 4});
  Tensor cosine = Tensor::from<float>({2, 2}, {1, 1, 0, 1}), sine = Tensor::from<float>({2, 2}, {0, 0, 1, 0});
  Tensor position = Tensor::from<int64_t>({1, 1}, {1});
  EXPECT_THAT(numbers_of(result_of("RotaryEmbedding", {x, cosine, sine, position})),
              ElementsAre(-3, 2, 1, 4));
  EXPECT_THAT(
      numbers_of(result_of("RotaryEmbedding", {x, cosine, sine, position}, {{"interleaved", int64_t{1}}})),
      ElementsAre(-2, 1, 3, 4));
  EXPECT_THAT(error_of("RotaryEmbedding", {x, cosine, sine, Tensor::from<int64_t>({1, 1}, {2})}),
              HasSubstr("position 2 is outside caches of 2"));
}

TEST(RotaryEmbedding, Gradient) {
  expect_gradient("RotaryEmbedding",
                  {random_tensor({2, 3, 2, 4}, 1), random_tensor({2, 2, 2}, 2), random_tensor({2, 2, 2}, 3)},
                  {}, {0});
}

}  // namespace
}  // namespace gannet::test
