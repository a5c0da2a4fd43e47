#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ints = std::vector<int64_t>;

Tensor ones(Ints extents) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  for (double& value : tensor.mutable_data<double>()) value = 1;
  return tensor;
}

// The definition of a 2-D convolution, one element at a time.
std::vector<double> plain_convolution(const Tensor& x, const Tensor& w, int64_t group, const Ints& strides,
                                      const Ints& dilations, const Ints& pads, const Ints& output) {
  std::vector<double> y;
  auto at = [&](int64_t n, int64_t c, int64_t h, int64_t v) {
    if (h < 0 || v < 0 || h >= x.extent(2) || v >= x.extent(3)) return 0.0;
    return x.double_at(((n * x.extent(1) + c) * x.extent(2) + h) * x.extent(3) + v);
  };
  const int64_t per_group = w.extent(0) / group;
  for (int64_t n = 0; n < output[0]; ++n) {
    for (int64_t o = 0; o < output[1]; ++o) {
      for (int64_t i = 0; i < output[2] * output[3]; ++i) {
        double sum = 0;
        for (int64_t t = 0; t < w.extent(1) * w.extent(2) * w.extent(3); ++t) {
          const int64_t c = t / (w.extent(2) * w.extent(3)), kh = t / w.extent(3) % w.extent(2),
                        kw = t % w.extent(3);
          sum +=
              w.double_at(o * w.extent(1) * w.extent(2) * w.extent(3) + t) *
              at(n, o / per_group * w.extent(1) + c, i / output[3] * strides[0] + kh * dilations[0] - pads[0],
                 i % output[3] * strides[1] + kw * dilations[1] - pads[1]);
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

struct Case {
  Ints x, w;
  int64_t group = 1;
  Ints strides = {1, 1}, dilations = {1, 1}, pads = {0, 0, 0, 0};

  Attributes attrs() const {
    return {{"group", group}, {"strides", strides}, {"dilations", dilations}, {"pads", pads}};
  }
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{2, 3, 7, 6}, {4, 3, 3, 2}},
      {{1, 4, 9, 9}, {6, 2, 3, 3}, 2, {2, 1}, {1, 2}, {1, 0, 2, 3}},
      {{1, 5, 6, 8}, {5, 1, 3, 3}, 5, {2, 2}, {1, 1}, {1, 1, 1, 1}},  // depthwise
      {{1, 2, 5, 5}, {4, 1, 2, 3}, 2, {1, 3}, {3, 1}, {2, 2, 0, 4}},  // with a multiplier
      {{2, 8, 4, 5}, {7, 8, 1, 1}},                                   // pointwise
      {{1, 3, 4, 4}, {2, 3, 4, 4}, 1, {3, 3}, {1, 1}, {3, 3, 3, 3}},  // windows in the padding
      {{1, 1, 3, 3}, {1, 1, 2, 2}, 1, {5, 5}, {1, 1}, {4, 4, 0, 0}},  // a window that sees nothing
      {{1, 1, 5, 4}, {1, 1, 2, 1}, 1, {1, 1}, {1, 1}, {2, 2, 0, 0}},  // padding beyond the kernel's extent
  };
  return all;
}

TEST(Convolution, IsItsDefinition) {
  for (const Case& c : cases()) {
    const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.w, 2);
    const Tensor y = result_of("Conv", {x, w}, c.attrs());
    ASSERT_TRUE(y.defined());
    EXPECT_THAT(numbers_of(y), testing::Pointwise(testing::DoubleNear(1e-12),
                                                  plain_convolution(x, w, c.group, c.strides, c.dilations,
                                                                    c.pads, y.extents())));
  }
}

TEST(Convolution, GradientsAreThoseOfFiniteDifferences) {
  for (const Case& c : cases()) {
    const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.w, 2), bias = random_tensor({c.w[0]}, 3);
    expect_gradient("Conv", {x, w, bias}, c.attrs(), {0, 1, 2});
  }
  const Tensor x = random_tensor({1, 2, 7}, 1), w = random_tensor({3, 2, 4}, 2);
  const Attributes same = {{"auto_pad", std::string("SAME_LOWER")}, {"strides", Ints{2}}};
  expect_gradient("Conv", {x, w}, same, {0, 1});
  const Tensor dy = result_of("Conv", {x, w}, same);
  expect_gradient("ConvInputGradient", {dy, w, x}, same, {0, 1});
  Attributes with_kernel = same;
  with_kernel.set("kernel_shape", Ints{4});
  expect_gradient("ConvWeightGradient", {x, dy}, with_kernel, {0, 1});
}

TEST(Convolution, ShapesStaySymbolic) {
  EXPECT_THAT(inferred("Conv", {"f32[batch, 3, h, w]", "f32[64, 3, 3, 3]"}, {{"pads", Ints{1, 1, 1, 1}}}),
              ElementsAre("f32[batch, 64, h, w]"));
  EXPECT_THAT(inferred("Conv", {"f32[n, 3, 2*h]", "f32[8, 3, 2]"}, {{"strides", Ints{2}}}),
              ElementsAre("f32[n, 8, h]"));
  EXPECT_THAT(inferred("Conv", {"f32[1, 3, h]", "f32[8, 3, 3]"},
                       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2}}}),
              ElementsAre("f32[1, 8, floordiv(h+1, 2)]"));
  EXPECT_THAT(inferred("Conv", {"f32", "f32[8, 3, 3]"}), ElementsAre("f32"));
  EXPECT_THAT(inferred("ConvTranspose", {"f32[n, 4, h, w]", "f32[4, 2, 4, 4]"},
                       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}),
              ElementsAre("f32[n, 2, 2*h, 2*w]"));
}

TEST(Convolution, ReportsWhatDoesNotFit) {
  const Tensor x = ones({1, 64, 5, 5});
  EXPECT_THAT(error_of("Conv", {x, ones({6, 21, 3, 3})}, {{"group", int64_t{3}}}),
              HasSubstr("group 3 does not divide 64 input channels"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 32, 3, 3})}),
              HasSubstr("the input has 64 channels in 1 groups, the weights take 32 a group"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 7, 3})}),
              HasSubstr("the kernel spans 7 elements along spatial dimension 0, the padded input has 5"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3})}),
              HasSubstr("the input has rank 4, the weights have rank 3"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3}), ones({5})}),
              HasSubstr("bias has 5 elements for 6 output channels"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3})}, {{"strides", Ints{0, 1}}}),
              HasSubstr("strides holds 0, less than 1"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3})}, {{"pads", Ints{1, 1}}}),
              HasSubstr("pads has 2 entries where 4 are expected"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3})}, {{"kernel_shape", Ints{3, 2}}}),
              HasSubstr("kernel_shape 2 along spatial dimension 1 differs from the weights' 3"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3})}, {{"group", int64_t{0}}}),
              HasSubstr("group 0 is less than 1"));
  EXPECT_THAT(error_of("Conv", {x, ones({6, 64, 3, 3})}, {{"auto_pad", std::string("SAME")}}),
              HasSubstr("auto_pad 'SAME'"));
  EXPECT_EQ(result_of("Conv", {ones({0, 2, 5, 5}), ones({3, 2, 3, 3})}).extents(), (Ints{0, 3, 3, 3}));
  EXPECT_THAT(
      numbers_of(result_of("Conv", {ones({1, 0, 2}), ones({2, 0, 2}), Tensor::from<double>({2}, {4, 5})})),
      ElementsAre(4, 5));
}

TEST(ConvTranspose, IsTheAdjointOfConv) {
  for (const Case& c : cases()) {
    const Tensor w = random_tensor(c.w, 2), x = random_tensor(c.x, 1);
    const Tensor y = result_of("Conv", {x, w}, c.attrs());
    const Tensor dx = result_of("ConvInputGradient", {y, w, x}, c.attrs());
    Attributes attrs = c.attrs();
    attrs.set("output_shape", Ints{c.x[2], c.x[3]});
    const bool split_alike = c.pads[0] == c.pads[2] && c.pads[1] == c.pads[3] && c.strides == Ints{1, 1};
    if (!split_alike) continue;
    EXPECT_THAT(numbers_of(result_of("ConvTranspose", {y, w}, attrs)),
                testing::Pointwise(testing::DoubleNear(1e-12), numbers_of(dx)));
  }
}

TEST(ConvTranspose, HasGradients) {
  const Tensor x = random_tensor({2, 4, 3, 3}, 1), w = random_tensor({4, 2, 4, 3}, 2),
               bias = random_tensor({4}, 3);
  expect_gradient("ConvTranspose", {x, w, bias},
                  {{"group", int64_t{2}},
                   {"strides", Ints{2, 1}},
                   {"pads", Ints{1, 0, 1, 1}},
                   {"output_padding", Ints{1, 0}}},
                  {0, 1, 2});
  expect_gradient("ConvTranspose", {x, w, bias},
                  {{"group", int64_t{2}}, {"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
                  {0, 1, 2});
}

TEST(ConvTranspose, ReportsWhatDoesNotFit) {
  EXPECT_THAT(error_of("ConvTranspose", {ones({1, 3, 4}), ones({4, 2, 3})}),
              HasSubstr("the input has 3 channels, the weights take 4"));
  EXPECT_THAT(error_of("ConvTranspose", {ones({1, 4, 1}), ones({4, 2, 3})}, {{"pads", Ints{2, 2}}}),
              HasSubstr("would have the extent -1"));
  EXPECT_THAT(error_of("ConvTranspose", {ones({1, 4, 2}), ones({4, 2, 3})}, {{"output_padding", Ints{1, 1}}}),
              HasSubstr("output_padding has 2 entries for 1 spatial"));
}

TEST(QuantizedConvolution, CountsPaddingAsZero) {
  const Tensor x = Tensor::from<uint8_t>({1, 1, 2, 2}, {2, 3, 4, 5}),
               w = Tensor::from<uint8_t>({1, 1, 2, 2}, {1, 1, 1, 1});
  const Tensor zero = Tensor::scalar<uint8_t>(1);
  EXPECT_THAT(result_of("ConvInteger", {x, w, zero}, {{"pads", Ints{1, 1, 0, 0}}}).ints(),
              ElementsAre(1, 3, 4, 10));
  const Tensor two = Tensor::from<int8_t>({2}, {0, 1}), w2 = Tensor::from<int8_t>({2, 1, 1, 1}, {2, 2});
  EXPECT_THAT(result_of("ConvInteger", {x, w2, zero, two}).ints(), ElementsAre(2, 4, 6, 8, 1, 2, 3, 4));
  EXPECT_THAT(error_of("ConvInteger", {x, w2, zero, Tensor::from<int8_t>({3}, {0, 1, 2})}),
              HasSubstr("3 elements for 2"));
}

TEST(DeformConv, WithoutOffsetsIsConv) {
  const Tensor x = random_tensor({1, 4, 6, 5}, 1), w = random_tensor({2, 2, 3, 2}, 2),
               bias = random_tensor({2}, 3);
  const Attributes attrs = {{"group", int64_t{2}}, {"pads", Ints{1, 0, 1, 1}}, {"strides", Ints{2, 1}}};
  const Tensor y = result_of("Conv", {x, w, bias}, attrs);
  Attributes deform = attrs;
  deform.set("offset_group", int64_t{2});
  const Tensor offset = Tensor::zeros(DType::kF64, {1, 24, y.extent(2), y.extent(3)});
  EXPECT_THAT(numbers_of(result_of("DeformConv", {x, w, offset, bias}, deform)),
              testing::Pointwise(testing::DoubleNear(1e-12), numbers_of(y)));
  EXPECT_THAT(error_of("DeformConv", {x, w, Tensor::zeros(DType::kF64, {1, 12, 3, 5})}, deform),
              HasSubstr("dimension 1 of the offset is 12, expected 24"));
}

}  // namespace
}  // namespace gannet::test
