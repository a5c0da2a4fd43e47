#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "ir/ops/fourier.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

Tensor texts(std::vector<int64_t> extents, std::vector<std::string> values) {
  return Tensor::from<std::string>(std::move(extents), values);
}
std::vector<std::string> texts_of(const Tensor& tensor) {
  auto data = tensor.data<std::string>();
  return {data.begin(), data.end()};
}

TEST(Fourier, EveryLengthComesBack) {
  for (int64_t length : {1, 2, 3, 4, 6, 7, 16, 30, 67, 97, 128, 134, 1009}) {
    std::vector<std::complex<double>> line(static_cast<size_t>(length));
    for (size_t i = 0; i < line.size(); ++i)
      line[i] = {std::sin(static_cast<double>(i)), 1.0 / static_cast<double>(i + 1)};
    std::vector<std::complex<double>> original = line;
    FourierTransform(length, false).run(line);
    std::complex<double> total = std::accumulate(original.begin(), original.end(), std::complex<double>());
    EXPECT_NEAR(std::abs(line[0] - total), 0, 1e-10) << length;
    FourierTransform(length, true).run(line);
    for (size_t i = 0; i < line.size(); ++i) {
      EXPECT_NEAR(std::abs(line[i] / static_cast<double>(length) - original[i]), 0, 1e-12)
          << length << " at " << i;
    }
  }
}

TEST(Dft, OnesidedThereAndBack) {
  Tensor x = random_tensor({2, 9, 1}, 1), length = Tensor::scalar<int64_t>(9);
  Tensor spectrum = result_of("DFT", {x}, {{"onesided", int64_t{1}}});
  EXPECT_EQ(spectrum.extents(), (std::vector<int64_t>{2, 5, 2}));
  Tensor back = result_of("DFT", {spectrum, length}, {{"onesided", int64_t{1}}, {"inverse", int64_t{1}}});
  EXPECT_EQ(back.extents(), x.extents());
  EXPECT_THAT(numbers_of(back), Pointwise(DoubleNear(1e-12), numbers_of(x)));
}

TEST(Dft, InfersAndRefuses) {
  EXPECT_THAT(inferred("DFT", {"f32[n, t, 1]"}, {{"onesided", int64_t{1}}}),
              ElementsAre("f32[n, floordiv(t, 2)+1, 2]"));
  EXPECT_THAT(inferred("DFT", {"f32[n, t, 3]"})[0], HasSubstr("1 (real) or 2 (complex), got 3"));
  EXPECT_THAT(error_of("DFT", {random_tensor({4, 1}, 1), Tensor::scalar<int64_t>(-1)}),
              HasSubstr("dft_length"));
  EXPECT_THAT(error_of("DFT", {random_tensor({4, 1}, 1), Tensor(), Tensor::scalar<int64_t>(1)}),
              HasSubstr("axis 1"));
}

TEST(Stft, FramesTheSignal) {
  Tensor ones = Tensor::from<float>({1, 6, 1}, {1, 1, 1, 1, 1, 1}), step = Tensor::scalar<int64_t>(2),
         window = Tensor::from<float>({4}, {0, 1, 1, 0});
  Tensor y = result_of("STFT", {ones, step, window});
  EXPECT_EQ(y.extents(), (std::vector<int64_t>{1, 2, 3, 2}));
  EXPECT_THAT(numbers_of(y),
              Pointwise(DoubleNear(1e-6), {2.0, 0.0, -1.0, -1.0, 0.0, 0.0, 2.0, 0.0, -1.0, -1.0, 0.0, 0.0}));
  EXPECT_THAT(error_of("STFT", {ones, Tensor::scalar<int64_t>(0), window}),
              HasSubstr("frame_step must be positive, got 0"));
  EXPECT_THAT(error_of("STFT", {ones, step, Tensor(), Tensor::scalar<int64_t>(7)}),
              HasSubstr("frame_length 7 exceeds a signal of 6"));
}

TEST(Windows, EdgeCases) {
  EXPECT_THAT(numbers_of(result_of("HannWindow", {Tensor::scalar<int64_t>(4)})),
              Pointwise(DoubleNear(1e-7), {0.0, 0.5, 1.0, 0.5}));
  EXPECT_THAT(numbers_of(result_of("HannWindow", {Tensor::scalar<int64_t>(3)}, {{"periodic", int64_t{0}}})),
              Pointwise(DoubleNear(1e-7), {0.0, 1.0, 0.0}));
  EXPECT_THAT(
      numbers_of(result_of("BlackmanWindow", {Tensor::scalar<int64_t>(1)}, {{"periodic", int64_t{0}}})),
      Pointwise(DoubleNear(1e-7), {1.0}));
  EXPECT_EQ(result_of("HammingWindow", {Tensor::scalar<int64_t>(0)}).elements(), 0);
  EXPECT_THAT(error_of("HannWindow", {Tensor::scalar<int64_t>(-1)}), HasSubstr("-1"));
  EXPECT_NE(error_of("HannWindow", {Tensor::scalar<int64_t>(int64_t{1} << 60)}), "");
}

TEST(MelWeightMatrix, RefusesBandsOutsideOfTheSpectrum) {
  auto mel = [](int64_t rate) {
    return error_of("MelWeightMatrix",
                    {Tensor::scalar<int64_t>(8), Tensor::scalar<int64_t>(16), Tensor::scalar<int64_t>(rate),
                     Tensor::scalar(0.0f), Tensor::scalar(4096.0f)});
  };
  EXPECT_EQ(mel(8192), "");
  EXPECT_THAT(mel(100), HasSubstr("a mel band ends at bin"));
  EXPECT_NE(mel(0), "");
}

TEST(Random, FollowsTheSeed) {
  Attributes seeded = {
      {"shape", std::vector<int64_t>{1000}}, {"seed", 3.0f}, {"mean", 5.0f}, {"scale", 2.0f}};
  Tensor x = result_of("RandomNormal", {}, seeded);
  EXPECT_TRUE(x.identical(result_of("RandomNormal", {}, seeded)));
  std::vector<double> numbers = numbers_of(x);
  EXPECT_NEAR(std::accumulate(numbers.begin(), numbers.end(), 0.0) / 1000, 5, 0.3);
  Attributes free = {{"shape", std::vector<int64_t>{4}}};
  auto first = run_op("RandomUniform", {}, free, 1, 1), second = run_op("RandomUniform", {}, free, 1, 2);
  EXPECT_FALSE((*first)[0].tensor().identical((*second)[0].tensor()));
  EXPECT_THAT(error_of("RandomNormal", {}, {{"shape", std::vector<int64_t>{-1}}}), HasSubstr("-1"));
  EXPECT_NE(
      error_of("RandomNormal", {}, {{"shape", std::vector<int64_t>{int64_t{1} << 50, int64_t{1} << 50}}}),
      "");
}

TEST(Random, LikeKeepsShapeAndDtype) {
  EXPECT_THAT(inferred("RandomNormalLike", {"f16[n, 2]"}), ElementsAre("f16[n, 2]"));
  EXPECT_THAT(inferred("RandomUniformLike", {"i32[n]"}, {{"dtype", DType::kF64}}), ElementsAre("f64[n]"));
  EXPECT_THAT(inferred("RandomUniformLike", {"i32[n]"})[0],
              HasSubstr("dtype must be floating point, got i32"));
}

TEST(Random, CertainDraws) {
  Tensor certain = Tensor::from<float>({2}, {0, 1});
  EXPECT_THAT(numbers_of(result_of("Bernoulli", {certain}, {{"dtype", DType::kI8}})), ElementsAre(0, 1));
  Tensor logits = Tensor::from<float>({2, 3}, {-1e30f, 0, -1e30f, 5, -1e30f, -1e30f});
  EXPECT_THAT(result_of("Multinomial", {logits}, {{"sample_size", int64_t{2}}}).ints(),
              ElementsAre(1, 1, 0, 0));
  EXPECT_NE(error_of("Multinomial", {Tensor::zeros(DType::kF32, {1, 0})}), "");
}

TEST(Text, SplitsAndJoins) {
  auto results = run_op("StringSplit", {texts({2}, {"a,b,,c", ""})}, {{"delimiter", std::string(",")}}, 2);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ((*results)[0].tensor().extents(), (std::vector<int64_t>{2, 4}));
  EXPECT_THAT(texts_of((*results)[0].tensor()), ElementsAre("a", "b", "", "c", "", "", "", ""));
  EXPECT_THAT((*results)[1].tensor().ints(), ElementsAre(4, 1));
  EXPECT_THAT(texts_of(result_of("StringSplit", {texts({1}, {"  x y  z "})}, {{"maxsplit", int64_t{1}}})),
              ElementsAre("x", "y  z"));
  EXPECT_THAT(texts_of(result_of("StringConcat", {texts({2, 1}, {"a", "b"}), texts({2}, {"x", ""})})),
              ElementsAre("ax", "a", "bx", "b"));
  EXPECT_EQ(result_of("StringSplit", {texts({0}, {})}).extents(), (std::vector<int64_t>{0, 0}));
}

TEST(Text, NormalizesCaseAndStopWords) {
  Attributes attrs = {{"case_change_action", std::string("LOWER")},
                      {"stopwords", std::vector<std::string>{"the"}}};
  EXPECT_THAT(texts_of(result_of("StringNormalizer", {texts({3}, {"The", "ÀB", "ж"})}, attrs)),
              ElementsAre("àb", "ж"));
  Tensor nothing = result_of("StringNormalizer", {texts({1, 1}, {"THE"})}, attrs);
  EXPECT_EQ(nothing.extents(), (std::vector<int64_t>{1, 1}));
  EXPECT_THAT(texts_of(nothing), ElementsAre(""));
  EXPECT_THAT(error_of("StringNormalizer", {texts({2, 1}, {"a", "b"})}), HasSubstr("[C] or [1, C]"));
}

TEST(Text, CountsNgramsWithSkips) {
  Attributes attrs = {{"mode", std::string("TF")},
                      {"min_gram_length", int64_t{1}},
                      {"max_gram_length", int64_t{2}},
                      {"max_skip_count", int64_t{1}},
                      {"ngram_counts", std::vector<int64_t>{0, 1}},
                      {"ngram_indexes", std::vector<int64_t>{1, 0}},
                      {"pool_strings", std::vector<std::string>{"a", "a", "b"}}};
  EXPECT_THAT(numbers_of(result_of("TfIdfVectorizer", {texts({4}, {"a", "a", "b", "z"})}, attrs)),
              ElementsAre(2, 2));
  attrs.set("ngram_counts", std::vector<int64_t>{0, 2});
  EXPECT_THAT(error_of("TfIdfVectorizer", {texts({1}, {"a"})}, attrs), HasSubstr("do not fit a pool of 3"));
  attrs.set("ngram_counts", std::vector<int64_t>{0, 1});
  attrs.set("max_skip_count", std::numeric_limits<int64_t>::max());
  EXPECT_EQ(error_of("TfIdfVectorizer", {texts({1}, {"a"})}, attrs), "");
  EXPECT_THAT(error_of("TfIdfVectorizer", {Tensor::from<int64_t>({1}, {1})}, attrs),
              HasSubstr("must hold strings, got i64"));
}

TEST(Optimizers, OneStepEach) {
  Tensor rate = Tensor::scalar(0.1f), step = Tensor::scalar<int64_t>(0), x = Tensor::scalar(1.0f),
         g = Tensor::scalar(2.0f), zero = Tensor::scalar(0.0f);
  Attributes momentum = {
      {"alpha", 0.5f}, {"beta", 1.0f}, {"norm_coefficient", 0.0f}, {"mode", std::string("nesterov")}};
  auto results = numbers_of("Momentum", {rate, step, x, g, zero}, momentum, 2);
  EXPECT_THAT(results[0], Pointwise(DoubleNear(1e-6), {1 - 0.1 * 3}));
  EXPECT_THAT(results[1], ElementsAre(2));
  EXPECT_THAT(numbers_of(result_of("Adagrad", {rate, step, x, g, zero})), Pointwise(DoubleNear(1e-6), {0.9}));
  EXPECT_THAT(numbers_of(result_of("Adam", {rate, Tensor::scalar<int64_t>(1), x, g, zero, zero})),
              Pointwise(DoubleNear(1e-5), {0.9}));
  EXPECT_THAT(error_of("Adam", {rate, step, x, g, zero}), HasSubstr("3 tensors are not 4 a parameter"));
}

}  // namespace
}  // namespace gannet::test
