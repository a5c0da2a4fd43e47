// Gradients of convolutions and poolings by oneDNN against the reference evaluator.
#include <gtest/gtest.h>

#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

const std::string kInput = R"(graph "g"(%dy: f32[n, 6, OUT, OUT], %w: f32[6, 4, 3, 3], %x: f32[n, 4, IN, IN]) {
  %dx = ConvInputGradient(%dy, %w, %x) {ATTRS}
  return %dx
})";
const std::string kWeights = R"(graph "g"(%x: f32[n, 4, p, q], %dy: f32[n, 6, h, w]) {
  %dw = ConvWeightGradient(%x, %dy) {ATTRS}
  return %dw
})";

std::string with(std::string text, const std::string& name, const std::string& value) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + value.size())) text.replace(at, name.size(), value);
  return text;
}

struct Geometry {
  std::string attrs;
  int64_t x, y;
};

const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> kAll = {{"kernel_shape = [3, 3], pads = [1, 1, 1, 1]", 9, 9},
                                             {"kernel_shape = [3, 3]", 9, 7},
                                             {"kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]", 9, 5},
                                             {"kernel_shape = [3, 3], strides = [2, 2]", 8, 3},
                                             {"kernel_shape = [3, 3], strides = [3, 3]", 11, 3},
                                             {"kernel_shape = [3, 3], dilations = [2, 2]", 9, 5},
                                             {"kernel_shape = [3, 3], auto_pad = \"SAME_UPPER\", strides = [2, 2]", 8, 4}};
  return kAll;
}

TEST(OnednnGradient, OfTheInput) {
  for (const Geometry& g : geometries()) {
    const std::string text = with(with(with(kInput, "ATTRS", g.attrs), "IN", std::to_string(g.x)), "OUT", std::to_string(g.y));
    expect_onednn(text, {uniform({3, 6, g.y, g.y}, 1), uniform({6, 4, 3, 3}, 2), uniform({3, 4, g.x, g.x}, 3)});
  }
}

TEST(OnednnGradient, OfTheWeights) {
  for (const Geometry& g : geometries()) {
    for (const int64_t batch : {1, 3, 19}) {
      expect_onednn(with(kWeights, "ATTRS", g.attrs), {uniform({batch, 4, g.x, g.x}, 1), uniform({batch, 6, g.y, g.y}, 2)}, {.tolerance = 1e-4});
    }
  }
}

TEST(OnednnGradient, OfManyChannels) {
  const std::string text = R"(graph "g"(%x: f32[n, 512, 2, 2], %dy: f32[n, 520, 2, 2]) {
  %dw = ConvWeightGradient(%x, %dy) {kernel_shape = [1, 1]}
  return %dw
})";
  expect_onednn(text, {uniform({5, 512, 2, 2}, 1), uniform({5, 520, 2, 2}, 2)});
}

TEST(OnednnGradient, OfGroups) {
  const std::string text = R"(graph "g"(%x: f32[n, 6, 7, 7], %dy: f32[n, 12, 7, 7], %w: f32[12, 2, 3, 3]) {
  %dw = ConvWeightGradient(%x, %dy) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 3}
  %dx = ConvInputGradient(%dy, %w, %x) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 3}
  return %dw, %dx
})";
  expect_onednn(text, {uniform({4, 6, 7, 7}, 1), uniform({4, 12, 7, 7}, 2), uniform({12, 2, 3, 3}, 3)}, {.tolerance = 1e-4});
}

TEST(OnednnGradient, OfOneAndThreeSpatialAxes) {
  const std::string line = R"(graph "g"(%x: f32[n, 3, 10], %dy: f32[n, 5, 8]) {
  %dw = ConvWeightGradient(%x, %dy) {kernel_shape = [3]}
  return %dw
})";
  expect_onednn(line, {uniform({4, 3, 10}, 1), uniform({4, 5, 8}, 2)}, {.tolerance = 1e-4});
  const std::string volume = R"(graph "g"(%x: f32[n, 3, 5, 6, 4], %dy: f32[n, 5, 4, 5, 3]) {
  %dw = ConvWeightGradient(%x, %dy) {kernel_shape = [2, 2, 2]}
  return %dw
})";
  expect_onednn(volume, {uniform({2, 3, 5, 6, 4}, 1), uniform({2, 5, 4, 5, 3}, 2)}, {.tolerance = 1e-4});
}

TEST(OnednnGradient, OverNothing) {
  expect_onednn_over_shapes(with(kWeights, "ATTRS", "kernel_shape = [3, 3]"), {{uniform({2, 4, 5, 5}, 1), uniform({2, 6, 3, 3}, 2)},
                                                                      {uniform({0, 4, 5, 5}, 1), uniform({0, 6, 3, 3}, 2)}});
}

TEST(OnednnGradient, OfPoolings) {
  for (const std::string attrs : {"kernel_shape = [2, 2], strides = [2, 2]", "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
                                  "kernel_shape = [3, 2]"}) {
    for (const std::string op : {"MaxPool", "AveragePool"}) {
      const std::string text = "graph \"g\"(%x: f32[n, 6, 9, 9]) {\n  %y = " + op + "(%x) {" + attrs + "}\n  %z = Mul(%y, %y)\n  %dx = " + op +
                               "Gradient(%x, %z) {" + attrs + "}\n  return %dx\n}";
      expect_onednn(text, {uniform({3, 6, 9, 9}, 1)}, {.tolerance = 1e-5});
    }
  }
}

// Windows overlap, and there is work for several threads.
TEST(OnednnGradient, OfPoolingsOfManyChannels) {
  const std::string attrs = " {kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]}\n";
  for (const std::string op : {"MaxPool", "AveragePool"}) {
    const std::string text = "graph \"g\"(%x: f32[n, 64, 64, 64]) {\n  %y = " + op + "(%x)" + attrs + "  %z = Mul(%y, %y)\n  %dx = " + op +
                             "Gradient(%x, %z)" + attrs + "  return %dx\n}";
    expect_onednn(text, {uniform({3, 64, 64, 64}, 1)}, {.tolerance = 1e-5});
  }
}

}  // namespace
}  // namespace gannet::test
