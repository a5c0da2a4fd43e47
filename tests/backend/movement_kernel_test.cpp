#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "tests/backend/run_kernel.h"

namespace gannet {
namespace {

using test::expect_kernels;
using test::expect_region;
using test::kernel_of;
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

std::string transpose(std::string_view type, std::string_view shape, std::string_view permutation) {
  return fmt::format(R"(graph "g"(%x: {}[{}]) {{
    %y = Transpose(%x) {{perm = [{}]}}
    return %y as "y"
  }})", type, shape, permutation);
}

TEST(InterleavedKernel, ChannelsOfPixels) {
  for (int channels = 2; channels <= 8; ++channels) {
    for (std::string_view type : {"f32", "u8", "bf16", "f64"}) {
      if (type != "f32" && channels > 4) continue;
      for (std::string_view pixels : {"5, 7", "h, 19"}) {
        expect_kernels(transpose(type, fmt::format("n, {}, {}", channels, pixels), "0, 2, 3, 1"), {{"n", 2}, {"h", 37}});
        expect_kernels(transpose(type, fmt::format("n, {}, {}", pixels, channels), "0, 3, 1, 2"), {{"n", 2}, {"h", 37}});
      }
    }
  }
  // More than one block of the row.
  expect_kernels(transpose("f32", "1, 3, 61, 83", "0, 2, 3, 1"));
  expect_kernels(transpose("u8", "1, 61, 83, 3", "0, 3, 1, 2"));
}

TEST(InterleavedKernel, IsChosenForFewChannels) {
  for (Isa isa : {Isa::kV3, Isa::kV4}) {
    for (std::string_view type : {"f32", "u8", "bf16"}) {
      EXPECT_GE(kernel_of(transpose(type, "n, 3, h, w", "0, 2, 3, 1"), isa).interleaved, 0) << type;
      EXPECT_GE(kernel_of(transpose(type, "n, h, w, 3", "0, 3, 1, 2"), isa).interleaved, 0) << type;
    }
    EXPECT_EQ(kernel_of(transpose("f32", "n, 64, h, w", "0, 2, 3, 1"), isa).interleaved, -1);
  }
}

TEST(InterleavedKernel, WorkOnWhatIsMoved) {
  const std::string to_last = R"(graph "g"(%x: u8[n, 3, h, 21], %mean: f32[3], %std: f32[1, 1, 3], %w: f32[h, 21, 1]) {
    %t = Transpose(%x) {perm = [0, 2, 3, 1]}
    %f = Cast(%t) {to = f32}
    %c = Constant() {value = f32[] {255}}
    %s = Div(%f, %c)
    %m = Sub(%s, %mean)
    %d = Mul(%m, %std)
    %y = Add(%d, %w)
    return %y as "y", %d as "d"
  })";
  expect_region(to_last, {{"n", 2}, {"h", 5}});
  const std::string to_first = R"(graph "g"(%x: bf16[2, 9, 31, 3]) {
    %t = Transpose(%x) {perm = [0, 3, 1, 2]}
    %f = Cast(%t) {to = f32}
    %low = Constant() {value = f32[] {0}}
    %high = Constant() {value = f32[] {1}}
    %y = Clip(%f, %low, %high)
    return %y as "y"
  })";
  expect_region(to_first);
  // Groups in all operands but a row of numbers for them.
  const std::string bias = R"(graph "g"(%x: f32[n, 13, 5], %b: f32[5]) {
    %s = Add(%x, %b)
    %y = Relu(%s)
    return %y as "y"
  })";
  expect_region(bias, {{"n", 9}});
  for (const std::string& text : {to_last, to_first, bias}) EXPECT_GE(kernel_of(text, Isa::kV3, true).interleaved, 0) << text;
}

TEST(InterleavedKernel, PartsOfGroups) {
  for (std::string_view type : {"f32", "u8", "f64"}) {
    // The last two of four channels, then every second column.
    for (auto [starts, ends, axes, steps] : {std::tuple("2", "4", "2", "1"), {"1", "100", "1", "2"}, {"0", "100", "1", "3"}, {"1, 0", "100, 3", "1, 2", "2, 1"}}) {
      for (std::string_view shape : {"n, 43, 4", "4, 35, 1"}) {
        const bool flat = shape.ends_with("1");
        if (flat && std::string_view(axes) != "1") continue;
        const int count = static_cast<int>(std::count(axes, axes + std::strlen(axes), ',')) + 1;
        expect_kernels(fmt::format(R"(graph "g"(%x: {}[{}]) {{
          %s = Constant() {{value = i64[{}] {{{}}}}}
          %e = Constant() {{value = i64[{}] {{{}}}}}
          %a = Constant() {{value = i64[{}] {{{}}}}}
          %t = Constant() {{value = i64[{}] {{{}}}}}
          %y = Slice(%x, %s, %e, %a, %t)
          return %y as "y"
        }})", type, shape, count, starts, count, ends, count, axes, count, steps), {{"n", 3}});
      }
    }
  }
  const std::string channels = R"(graph "g"(%x: f32[1, 40, 4]) {
    %s = Constant() {value = i64[1] {1}}
    %e = Constant() {value = i64[1] {4}}
    %a = Constant() {value = i64[1] {2}}
    %p = Slice(%x, %s, %e, %a)
    %y = Transpose(%p) {perm = [0, 2, 1]}
    return %y as "y"
  })";
  expect_region(channels);
}

TEST(InterleavedKernel, RepeatedAndMovedBlocks) {
  for (std::string_view factors : {"2, 2", "1, 3", "4, 4"}) {
    for (std::string_view type : {"f32", "u8"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {}[n, 3, h, 19]) {{
        %s = Constant() {{value = f32[4] {{1, 1, {}}}}}
        %y = Resize(%x, %_, %s) {{mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"}}
        return %y as "y"
      }})", type, factors), {{"n", 1}, {"h", 3}});
    }
  }
  for (int block : {2, 3, 4}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[n, {}, 3, 21]) {{
      %y = DepthToSpace(%x) {{blocksize = {}, mode = "CRD"}}
      return %y as "y"
    }})", 3 * block * block, block), {{"n", 2}});
  }
}

TEST(InterleavedKernel, ReductionsOfFewElements) {
  for (int count : {2, 3, 4, 7, 8, 9}) {
    for (std::string_view type : {"f32", "bf16"}) {
      const std::string softmax = fmt::format(R"(graph "g"(%x: {}[2, n, {}]) {{
        %y = Softmax(%x) {{axis = -1}}
        return %y as "y"
      }})", type, count);
      for (int rows : {1, 16, 41}) expect_kernels(softmax, {{"n", rows}}, type == "f32" ? 1e-5 : 8e-3);
      EXPECT_EQ(kernel_of(softmax, Isa::kV4).interleaved >= 0, count <= 8);
    }
    const std::string statistics = fmt::format(R"(graph "g"(%x: f32[37, {0}], %bias: f32[{0}]) {{
      %a = Constant() {{value = i64[1] {{1}}}}
      %b = Add(%x, %bias)
      %m = ReduceMean(%b, %a) {{keepdims = 1}}
      %d = Sub(%b, %m)
      %most = ReduceMax(%b, %a) {{keepdims = 0}}
      return %d as "d", %m as "m", %most as "most"
    }})", count);
    expect_region(statistics);
    EXPECT_EQ(kernel_of(statistics, Isa::kV4, true).interleaved >= 0, count <= 8);
  }
  expect_kernels(R"(graph "g"(%x: i32[n, 5]) {
    %a = Constant() {value = i64[1] {1}}
    %y = ReduceProd(%x, %a)
    return %y as "y"
  })", {{"n", 23}});
}

}  // namespace
}  // namespace gannet
