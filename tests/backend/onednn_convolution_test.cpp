#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

// A graph with one Conv or ConvTranspose with a bias.
std::string convolution(const std::string& op, const std::string& x, const std::string& w, const std::string& attrs, int64_t channels) {
  return fmt::format("graph \"main\"(%x: f32[{}], %w: f32[{}], %b: f32[{}]) {{\n  %y = {}(%x, %w, %b){}\n  return %y as \"y\"\n}}", x, w,
                     channels, op, attrs.empty() ? "" : " {" + attrs + "}");
}

void expect_convolution(std::vector<int64_t> x, std::vector<int64_t> w, const std::string& attrs, int64_t channels,
                        const std::string& op = "Conv") {
  const std::string text = convolution(op, fmt::format("{}", fmt::join(x, ", ")), fmt::format("{}", fmt::join(w, ", ")), attrs, channels);
  expect_onednn(text, {uniform(x, 1), uniform(w, 2), uniform({channels}, 3)});
}

TEST(OnednnConvolution, plain_forms) {
  expect_convolution({1, 3, 9, 8}, {5, 3, 3, 3}, "", 5);
  expect_convolution({2, 16, 7, 7}, {32, 16, 3, 3}, "pads = [1, 1, 1, 1]", 32);
  expect_convolution({2, 7, 11, 13}, {9, 7, 1, 1}, "", 9);
  expect_convolution({1, 3, 19, 17}, {8, 3, 7, 7}, "pads = [3, 3, 3, 3], strides = [2, 2]", 8);
  expect_convolution({1, 4, 1, 1}, {6, 4, 1, 1}, "", 6);
}

TEST(OnednnConvolution, uneven_pads_strides_and_dilations) {
  expect_convolution({2, 5, 10, 9}, {6, 5, 3, 2}, "pads = [0, 2, 1, 0], strides = [2, 1]", 6);
  expect_convolution({1, 5, 14, 15}, {6, 5, 3, 3}, "dilations = [2, 3], pads = [1, 0, 2, 3]", 6);
  expect_convolution({1, 5, 14, 15}, {6, 5, 2, 2}, "strides = [3, 4]", 6);
}

TEST(OnednnConvolution, groups) {
  expect_convolution({2, 6, 9, 8}, {4, 3, 3, 3}, "group = 2, pads = [1, 1, 1, 1]", 4);
  expect_convolution({1, 12, 9, 8}, {12, 1, 3, 3}, "group = 12, pads = [1, 1, 1, 1]", 12);
  expect_convolution({2, 12, 9, 8}, {12, 1, 5, 5}, "group = 12, pads = [2, 2, 2, 2], strides = [2, 2]", 12);
  expect_convolution({1, 5, 9, 8}, {10, 1, 3, 3}, "group = 5", 10);
}

TEST(OnednnConvolution, one_and_three_spatial_dimensions) {
  expect_convolution({2, 5, 20}, {6, 5, 3}, "pads = [2, 1], strides = [2]", 6);
  expect_convolution({1, 5, 20}, {5, 1, 3}, "group = 5", 5);
  expect_convolution({1, 3, 6, 7, 5}, {4, 3, 3, 2, 3}, "pads = [1, 0, 1, 1, 1, 1]", 4);
}

TEST(OnednnConvolution, auto_pad) {
  for (const std::string mode : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
    expect_convolution({1, 3, 10, 11}, {4, 3, 3, 4}, "auto_pad = \"" + mode + "\", strides = [2, 2]", 4);
    expect_convolution({1, 3, 5, 6}, {3, 4, 3, 4}, "auto_pad = \"" + mode + "\", strides = [2, 2]", 4, "ConvTranspose");
  }
}

TEST(OnednnConvolution, transposed) {
  expect_convolution({2, 6, 4, 5}, {6, 5, 4, 4}, "pads = [1, 1, 1, 1], strides = [2, 2]", 5, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 5, 3, 3}, "", 5, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 5, 3, 3}, "output_padding = [1, 0], pads = [1, 1, 1, 1], strides = [2, 2]", 5, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 5, 3, 3}, "output_padding = [1, 2], strides = [3, 3]", 5, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 5, 3, 3}, "output_shape = [9, 12], strides = [2, 2]", 5, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 2, 3, 3}, "group = 3, strides = [2, 1]", 6, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 1, 3, 3}, "group = 6, strides = [2, 1]", 6, "ConvTranspose");
  expect_convolution({1, 6, 4, 5}, {6, 5, 3, 3}, "dilations = [2, 2]", 5, "ConvTranspose");
  expect_convolution({2, 6, 9}, {6, 5, 4}, "strides = [2]", 5, "ConvTranspose");
}

// A fixed output_shape asks for what inputs of other extents do not reach.
TEST(OnednnConvolution, transposed_results_beyond_the_input_are_left_to_others) {
  const auto refusal = [](const std::string& extents, const std::string& shape) {
    return refusal_of(convolution("ConvTranspose", "1, 6, " + extents, "6, 5, 3, 3", "output_shape = [" + shape + "], strides = [2, 2]", 5),
                      "ConvTranspose");
  };
  EXPECT_EQ(refusal("4, 5", "9, 12"), "");
  EXPECT_NE(refusal("4, 5", "9, 13"), "");
  EXPECT_NE(refusal("4, n", "9, 12"), "");
}

TEST(OnednnConvolution, nothing_to_sum) {
  expect_convolution({0, 3, 9, 8}, {5, 3, 3, 3}, "", 5);
  expect_convolution({2, 0, 9, 8}, {5, 0, 3, 3}, "", 5);
}

const std::vector<std::string> kEpilogues = {"Relu(%s)", "LeakyRelu(%s) {alpha = 0.2}", "Elu(%s)", "Tanh(%s)", "Sigmoid(%s)", "Gelu(%s)",
                                             "Gelu(%s) {approximate = \"tanh\"}", "Swish(%s) {alpha = 1.5}", "HardSwish(%s)",
                                             "HardSigmoid(%s)", "Abs(%s)", "Exp(%s)", "Softplus(%s)", "Mul(%s, %r)", "Max(%s, %r)",
                                             "Min(%r, %s)", "Neg(%s)"};

TEST(OnednnConvolution, epilogues) {
  for (const std::string& op : kEpilogues) {
    const std::string text = R"(graph "main"(%x: f32[2, 6, 7, 8], %w: f32[6, 6, 3, 3], %b: f32[6], %r: f32[2, 6, 7, 8]) {
    %c = Conv(%x, %w, %b) {pads = [1, 1, 1, 1]}
    %s = Add(%r, %c)
    %y = )" + op + "\n    return %y as \"y\"\n  }";
    expect_onednn(text, {uniform({2, 6, 7, 8}, 1), uniform({6, 6, 3, 3}, 2), uniform({6}, 3), uniform({2, 6, 7, 8}, 4)}, {.one_step = true});
  }
}

// Windows of one pixel are products where they are small.
TEST(OnednnConvolution, epilogues_with_channels_last) {
  for (const int64_t kernel : {3, 1}) {
    for (const std::string& op : kEpilogues) {
      const std::string text = fmt::format(R"(graph "main"(%x: f32[2, 7, 8, 16], %w: f32[16, 16, {0}, {0}], %b: f32[16], %rl: f32[2, 7, 8, 16]) {{
    %t = Transpose(%x) {{perm = [0, 3, 1, 2]}}
    %r = Transpose(%rl) {{perm = [0, 3, 1, 2]}}
    %c = Conv(%t, %w, %b) {{pads = [{1}, {1}, {1}, {1}]}}
    %s = Add(%r, %c)
    %u = {2}
    %y = Transpose(%u) {{perm = [0, 2, 3, 1]}}
    return %y as "y"
  }})", kernel, kernel / 2, op);
      expect_onednn(text, {uniform({2, 7, 8, 16}, 1), uniform({16, 16, kernel, kernel}, 2), uniform({16}, 3), uniform({2, 7, 8, 16}, 4)},
                    {.one_step = true});
    }
  }
}

TEST(OnednnConvolution, small_products_of_pixels) {
  expect_convolution({1, 1, 39, 1}, {16, 1, 1, 1}, "", 16);
  expect_convolution({3, 7, 20}, {9, 7, 1}, "", 9);
  expect_convolution({2, 3, 4, 5, 6}, {4, 3, 1, 1, 1}, "", 4);
  expect_convolution({2, 3, 4, 5}, {4, 3, 1, 1}, "pads = [0, 1, 0, 1]", 4);
  expect_convolution({2, 3, 4, 5}, {4, 3, 1, 1}, "strides = [2, 1]", 4);
}

TEST(OnednnConvolution, small_products_of_pixels_take_little_scratch) {
  constexpr int64_t kPage = 4096;  // of which the library's convolutions take two and more
  EXPECT_LT(scratch_of(R"(graph "main"(%x: f32[n, 5, 6, 8], %w: f32[16, 8, 1, 1], %b: f32[16]) {
    %t = Transpose(%x) {perm = [0, 3, 1, 2]}
    %c = Conv(%t, %w, %b)
    %r = Relu(%c)
    %y = Transpose(%r) {perm = [0, 2, 3, 1]}
    return %y as "y"
  })", {uniform({1, 5, 6, 8}, 1), uniform({16, 8, 1, 1}, 2), uniform({16}, 3)}), kPage);
}

TEST(OnednnConvolution, bias_and_scale_as_nodes) {
  expect_onednn(R"(graph "main"(%x: f32[2, 6, 7, 8], %w: f32[5, 6, 3, 3], %b: f32[5, 1, 1], %g: f32[1, 5, 1, 1]) {
    %c = Conv(%x, %w)
    %d = Add(%c, %b)
    %e = Mul(%d, %g)
    %f = Relu(%e)
    return %f as "y"
  })", {uniform({2, 6, 7, 8}, 1), uniform({5, 6, 3, 3}, 2), uniform({5, 1, 1}, 3), uniform({1, 5, 1, 1}, 4)}, {.one_step = true});
  expect_onednn(R"(graph "main"(%x: f32[2, 6, 4, 4], %w: f32[6, 5, 4, 4], %b: f32[5, 1, 1]) {
    %c = ConvTranspose(%x, %w) {pads = [1, 1, 1, 1], strides = [2, 2]}
    %d = Add(%c, %b)
    %f = Tanh(%d)
    return %f as "y"
  })", {uniform({2, 6, 4, 4}, 1), uniform({6, 5, 4, 4}, 2), uniform({5, 1, 1}, 3)}, {.one_step = true});
}

TEST(OnednnConvolution, symbolic_extents) {
  const std::string text = R"(graph "main"(%x: f32[n, 3, h, w], %w: f32[8, 3, 3, 3], %b: f32[8]) {
    %c = Conv(%x, %w, %b) {auto_pad = "SAME_UPPER", strides = [2, 2]}
    %r = Relu(%c)
    %p = MaxPool(%r) {kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1}
    return %p as "y"
  })";
  std::vector<std::vector<Tensor>> runs;
  for (const auto& x : std::vector<std::vector<int64_t>>{{1, 3, 9, 10}, {0, 3, 9, 10}, {3, 3, 17, 8}, {1, 3, 9, 10}, {2, 3, 6, 5}}) {
    runs.push_back({uniform(x, 1), uniform({8, 3, 3, 3}, 2), uniform({8}, 3)});
  }
  expect_onednn_over_shapes(text, runs);
}

TEST(OnednnConvolution, refusals) {
  EXPECT_EQ(refusal_of(R"(graph "main"(%x: f64[1, 3, 9, 8], %w: f64[4, 3, 3, 3]) {
    %y = Conv(%x, %w)
    return %y as "y"
  })", "Conv"), "onednn: f64");
  EXPECT_EQ(refusal_of(R"(graph "main"(%x: f32[1, 3, 5, 5, 5, 5], %w: f32[4, 3, 3, 3, 3, 3]) {
    %y = Conv(%x, %w)
    return %y as "y"
  })", "Conv"), "onednn: 4 spatial dimensions");
}

TEST(OnednnPooling, forms) {
  auto pool = [](const std::string& op, const std::string& x) {
    return fmt::format("graph \"main\"(%x: f32[{}]) {{\n  %y = {}\n  return %y as \"y\"\n}}", x, op);
  };
  for (const std::string attrs : {"kernel_shape = [2, 2]", "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
                                  "kernel_shape = [3, 2], strides = [2, 3], ceil_mode = 1", "kernel_shape = [3, 3], auto_pad = \"SAME_LOWER\"",
                                  "kernel_shape = [2, 2], strides = [3, 3]", "kernel_shape = [9, 11]"}) {
    expect_onednn(pool("MaxPool(%x) {" + attrs + "}", "2, 5, 9, 11"), {uniform({2, 5, 9, 11}, 1)});
    expect_onednn(pool("AveragePool(%x) {" + attrs + "}", "2, 5, 9, 11"), {uniform({2, 5, 9, 11}, 1)});
  }
  expect_onednn(pool("MaxPool(%x) {kernel_shape = [2, 2], dilations = [2, 3]}", "2, 5, 9, 11"), {uniform({2, 5, 9, 11}, 1)});
  expect_onednn(pool("AveragePool(%x) {kernel_shape = [3, 3], count_include_pad = 1, pads = [1, 1, 0, 1], strides = [2, 2]}", "2, 5, 9, 11"),
                {uniform({2, 5, 9, 11}, 1)});
  expect_onednn(pool("MaxPool(%x) {kernel_shape = [3], strides = [2]}", "2, 17, 20"), {uniform({2, 17, 20}, 1)});
  expect_onednn(pool("AveragePool(%x) {kernel_shape = [2, 3, 2]}", "1, 17, 5, 6, 4"), {uniform({1, 17, 5, 6, 4}, 1)});
  expect_onednn(pool("MaxPool(%x) {kernel_shape = [2, 2]}", "0, 5, 9, 11"), {uniform({0, 5, 9, 11}, 1)});
}

}  // namespace
}  // namespace gannet::test
