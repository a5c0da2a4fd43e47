#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/backend/run_kernel.h"

namespace gannet {
namespace {

using test::expect_kernels;
using test::refusal_of;

TEST(MovementKernel, Tile) {
  for (std::string_view type : {"f32", "bool", "i64"}) {
    for (auto [shape, repeats] : {std::pair("3, 5", "2, 3"), {"3, 5", "1, 1"}, {"3, 5", "0, 2"}, {"1, 7, 2", "4, 1, 3"}, {"n, 5", "2, 2"}}) {
      const int rank = shape == std::string_view("1, 7, 2") ? 3 : 2;
      expect_kernels(fmt::format(R"(graph "g"(%x: {}[{}]) {{
        %r = Constant() {{value = i64[{}] {{{}}}}}
        %y = Tile(%x, %r)
        return %y as "y"
      }})", type, shape, rank, repeats), {{"n", 4}});
    }
  }
}

TEST(MovementKernel, BlocksBetweenDepthAndSpace) {
  for (std::string_view mode : {"DCR", "CRD"}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[n, 12, 3, w]) {{
      %y = DepthToSpace(%x) {{blocksize = 2, mode = "{}"}}
      return %y as "y"
    }})", mode), {{"n", 2}, {"w", 5}});
  }
  expect_kernels(R"(graph "g"(%x: u8[n, 3, 6, 9]) {
    %y = SpaceToDepth(%x) {blocksize = 3}
    return %y as "y"
  })", {{"n", 2}});
  EXPECT_NE(refusal_of(R"(graph "g"(%x: f32[1, 3, h, 9]) {
    %y = SpaceToDepth(%x) {blocksize = 3}
    return %y as "y"
  })"), "");
}

TEST(MovementKernel, ResizeThatRepeatsElements) {
  for (std::string_view mode : {"asymmetric\", nearest_mode = \"floor", "half_pixel", "tf_half_pixel_for_nn\", nearest_mode = \"floor"}) {
    for (std::string_view type : {"f32", "f16", "i8"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {}[n, 2, h, 5]) {{
        %s = Constant() {{value = f32[4] {{1, 1, 2, 3}}}}
        %y = Resize(%x, %_, %s) {{mode = "nearest", coordinate_transformation_mode = "{}"}}
        return %y as "y"
      }})", type, mode), {{"n", 2}, {"h", 4}});
    }
  }
}

std::string resize(std::string_view type, std::string_view scales, std::string_view attrs) {
  return fmt::format(R"(graph "g"(%x: {}[n, 3, 7, 6]) {{
    %s = Constant() {{value = f32[4] {{{}}}}}
    %y = Resize(%x, %_, %s) {{{}}}
    return %y as "y"
  }})", type, scales, attrs);
}

TEST(MovementKernel, ResizeByTables) {
  for (std::string_view transformation : {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"}) {
    for (std::string_view scales : {"1, 1, 2, 3", "1, 1, 0.6, 1.7", "1, 2, 0.5, 1"}) {
      for (std::string_view mode : {"linear", "cubic", "nearest"}) {
        expect_kernels(resize("f32", scales, fmt::format(R"(mode = "{}", coordinate_transformation_mode = "{}")", mode, transformation)), {{"n", 2}});
      }
    }
  }
  expect_kernels(resize("f32", "1, 1, 0.4, 0.6", "mode = \"linear\", antialias = 1"), {{"n", 1}});
  for (std::string_view type : {"f64", "f16"}) expect_kernels(resize(type, "1, 1, 1.5, 2", "mode = \"linear\""), {{"n", 1}}, 2e-3);
  expect_kernels(resize("i16", "1, 1, 1.5, 0.7", "mode = \"nearest\", nearest_mode = \"ceil\""), {{"n", 1}});
  EXPECT_NE(refusal_of(resize("i16", "1, 1, 1.5, 2", "mode = \"linear\"")), "");
  EXPECT_NE(refusal_of(resize("f32", "1.5, 1, 1, 1", "mode = \"linear\"")), "");
}

TEST(MovementKernel, ResizeOfPixelsInRows) {
  expect_kernels(R"(graph "g"(%x: f32[2, 4, 5, 21]) {
    %s = Constant() {value = i64[2] {9, 11}}
    %y = Resize(%x, %_, %_, %s) {mode = "linear", axes = [1, 2], coordinate_transformation_mode = "align_corners"}
    return %y as "y"
  })");
}

TEST(MovementKernel, GatherElements) {
  for (auto [axis, indices] : {std::pair(0, "2, 4, 33"), {1, "3, 7, 33"}, {2, "3, 2, 40"}, {-1, "1, 1, 1"}}) {
    for (std::string_view type : {"i64", "i32"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: f32[3, 4, 33], %index: {}[{}]) {{
        %y = GatherElements(%x, %index) {{axis = {}}}
        return %y as "y"
      }})", type, indices, axis));
    }
  }
  EXPECT_NE(refusal_of(R"(graph "g"(%x: f32[3, 4], %index: i64[n, 4]) {
    %y = GatherElements(%x, %index) {axis = 1}
    return %y as "y"
  })"), "");
}

}  // namespace
}  // namespace gannet
