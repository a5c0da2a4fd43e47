#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/llvm/lower_node.h"
#include "ir/parse.h"
#include "tests/backend/run_kernel.h"

namespace gannet {
namespace {

using test::expect_kernels;
using test::expect_region;

TEST(Elementwise, LengthsAroundTheVector) {
  for (int n : {0, 1, 7, 8, 15, 16, 17, 63, 64, 65, 4095, 4096, 4097, 10000}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[{0}], %y: f32[{0}]) {{
      %z = Add(%x, %y)
      return %z as "z"
    }})", n));
  }
}

TEST(Elementwise, Broadcasting) {
  for (auto [a, b] : {std::pair("2, 3, 17", "3, 17"), {"2, 3, 17", "2, 3, 1"}, {"2, 3, 17", "1, 3, 1"}, {"5, 1, 20", "1, 6, 20"},
                      {"4, 1", "1, 33"}, {"2, 3, 4, 5", "3, 1, 5"}, {"1", "1"}, {"", "7"}, {"0, 3", "1, 3"}, {"3, 40", ""}}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[{}], %y: f32[{}]) {{
      %z = Mul(%x, %y)
      return %z as "z"
    }})", a, b));
  }
}

TEST(Elementwise, SymbolicBroadcasting) {
  constexpr std::string_view kText = R"(graph "g"(%x: f32[n, m], %y: f32[k, m]) {
      %z = Sub(%x, %y)
      return %z as "z"
    })";
  for (auto [n, k] : {std::pair<int64_t, int64_t>(3, 3), {1, 5}, {5, 1}, {1, 1}}) {
    expect_kernels(kText, {{"n", n}, {"k", k}, {"m", 21}});
    expect_kernels(kText, {{"n", n}, {"k", k}, {"m", 1}});
  }
}

TEST(Elementwise, IntegersAndBool) {
  for (std::string_view type : {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"}) {
    for (std::string_view op : {"Add", "Sub", "Mul", "Div", "Mod", "BitwiseAnd", "BitwiseXor", "Max", "Min", "Pow"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {0}[3, 37], %y: {0}[37]) {{
        %z = {1}(%x, %y)
        return %z as "z"
      }})", type, op));
    }
    for (std::string_view direction : {"LEFT", "RIGHT"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {0}[37], %y: {0}[37]) {{
        %z = BitShift(%x, %y) {{direction = "{1}"}}
        return %z as "z"
      }})", type, direction));
    }
  }
  expect_kernels(R"(graph "g"(%c: bool[5, 1], %x: f32[5, 9], %y: f32[9]) {
      %z = Where(%c, %x, %y)
      return %z as "z"
    })");
  expect_kernels(R"(graph "g"(%a: bool[50], %b: bool[50]) {
      %z = Xor(%a, %b)
      return %z as "z"
    })");
  expect_kernels(R"(graph "g"(%a: f32[50], %b: f32[50]) {
      %z = Less(%a, %b)
      return %z as "z"
    })");
}

TEST(Elementwise, FloatTypes) {
  for (std::string_view type : {"f32", "f64", "f16", "bf16"}) {
    const double tolerance = type == "f32" ? 1e-6 : type == "f64" ? 1e-14 : type == "f16" ? 1e-3 : 8e-3;
    for (std::string_view op : {"Exp", "Tanh", "Erf", "Sigmoid", "Softplus", "Sin", "Cos", "Tan", "Atan", "Gelu", "Elu", "Neg", "Floor", "Round", "Sqrt",
                                "Log", "Mish", "HardSwish", "Sign", "Reciprocal"}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {0}[77]) {{
        %z = {1}(%x)
        return %z as "z"
      }})", type, op), {}, tolerance);
    }
    expect_kernels(fmt::format(R"(graph "g"(%x: {0}[77], %y: {0}[77]) {{
        %z = Pow(%x, %y)
        return %z as "z"
      }})", type), {}, tolerance);
    expect_kernels(fmt::format(R"(graph "g"(%x: {0}[77], %y: {0}[77]) {{
        %z = Mod(%x, %y) {{fmod = 1}}
        return %z as "z"
      }})", type), {}, tolerance);
  }
}

TEST(Elementwise, Casts) {
  const std::vector<std::string_view> types = {"f32", "f64", "f16", "bf16", "bool", "i8", "u8", "i16", "i32", "i64", "u64"};
  for (std::string_view from : types) {
    for (std::string_view to : types) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {0}[45]) {{
        %z = Cast(%x) {{to = {1}}}
        return %z as "z"
      }})", from, to), {}, 0);
    }
  }
}

TEST(Reduction, Axes) {
  for (std::string_view op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
                              "ReduceLogSumExp"}) {
    for (std::string_view axes : {"2", "0", "1", "0, 1", "1, 2", "0, 2", "0, 1, 2"}) {
      const int64_t count = (static_cast<int64_t>(axes.size()) + 2) / 3;
      for (int keep : {0, 1}) {
        expect_kernels(fmt::format(R"(graph "g"(%x: f32[3, 5, 37]) {{
          %a = Constant() {{value = i64[{2}] {{{1}}}}}
          %z = {0}(%x, %a) {{keepdims = {3}}}
          return %z as "z"
        }})", op, axes, count, keep), {}, 2e-5);
      }
    }
  }
}

TEST(Reduction, TypesAndEmpty) {
  for (std::string_view type : {"f64", "f16", "bf16", "i32", "i64", "u32", "u64"}) {
    for (std::string_view op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"}) {
      for (std::string_view shape : {"4, 100", "4, 0", "0, 4", "100, 4"}) {
        expect_kernels(fmt::format(R"(graph "g"(%x: {1}[{2}]) {{
          %a = Constant() {{value = i64[1] {{1}}}}
          %z = {0}(%x, %a)
          return %z as "z"
        }})", op, type, shape), {}, type == "f16" ? 2e-3 : type == "bf16" ? 1e-2 : 1e-12);
      }
    }
  }
  expect_kernels(R"(graph "g"(%x: bool[3, 50]) {
      %a = Constant() {value = i64[1] {1}}
      %z = ReduceMax(%x, %a)
      return %z as "z"
    })");
}

TEST(Reduction, LongSumsKeepTheirDigits) {
  for (std::string_view shape : {"1000000, 3", "3, 1000000", "7, 1200, 2, 350"}) {
    const std::string_view axes = shape.starts_with("3") ? "1" : shape.starts_with("7") ? "1, 3" : "0";
    const int count = shape.starts_with("7") ? 2 : 1;
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[{}]) {{
      %a = Constant() {{value = i64[{}] {{{}}}}}
      %y = ReduceSumSquare(%x, %a)
      return %y as "y"
    }})", shape, count, axes), {}, 5e-6);
  }
}

TEST(Reduction, PositionsOfExtremes) {
  for (std::string_view type : {"f32", "f64", "f16", "i8", "i64", "u8"}) {
    for (auto [op, axis, keep] : {std::tuple("ArgMax", 0, 1), {"ArgMin", 1, 0}, {"ArgMax", -1, 0}, {"ArgMin", 2, 1}}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {}[5, 19, 21]) {{
        %y = {}(%x) {{axis = {}, keepdims = {}}}
        return %y as "y"
      }})", type, op, axis, keep));
    }
  }
}

TEST(Reduction, Norms) {
  for (std::string_view shape : {"2, 3, 768", "4, 17", "5, 1", "3, 100, 33"}) {
    for (int axis : {-1, 1}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: f32[{}]) {{
        %z = Softmax(%x) {{axis = {}}}
        return %z as "z"
      }})", shape, axis));
      expect_kernels(fmt::format(R"(graph "g"(%x: f32[{}]) {{
        %z = LogSoftmax(%x) {{axis = {}}}
        return %z as "z"
      }})", shape, axis));
    }
  }
  expect_kernels(R"(graph "g"(%x: f32[2, 5, 96], %s: f32[96], %b: f32[96]) {
      %z, %m, %d = LayerNormalization(%x, %s, %b)
      return %z as "z", %m as "m", %d as "d"
    })");
  expect_kernels(R"(graph "g"(%x: f16[b, s, 96], %s: f16[96]) {
      %z = RMSNormalization(%x, %s)
      return %z as "z"
    })", {{"b", 2}, {"s", 3}}, 4e-3);
  expect_kernels(R"(graph "g"(%x: f32[2, 6, 5, 7], %s: f32[6], %b: f32[6]) {
      %z = InstanceNormalization(%x, %s, %b)
      return %z as "z"
    })", {}, 1e-4);
  expect_kernels(R"(graph "g"(%x: f32[2, 6, 5, 7], %s: f32[6], %b: f32[6]) {
      %z = GroupNormalization(%x, %s, %b) {num_groups = 3}
      return %z as "z"
    })", {}, 1e-4);
}

TEST(Region, SoftmaxWithMaskAndScale) {
  expect_region(R"(graph "g"(%x: f32[b, 4, s, s], %m: f32[b, 1, 1, s]) {
      %k = Constant() {value = f32[] {0.125}}
      %scaled = Mul(%x, %k)
      %masked = Add(%scaled, %m)
      %z = Softmax(%masked)
      return %z as "z"
    })", {{"b", 2}, {"s", 19}});
}

TEST(Region, ResidualNormAndActivation) {
  expect_region(R"(graph "g"(%x: f32[n, 40], %r: f32[n, 40], %bias: f32[40], %s: f32[40], %b: f32[40]) {
      %1 = Add(%x, %bias)
      %2 = Add(%1, %r)
      %3 = LayerNormalization(%2, %s, %b)
      %4 = Gelu(%3)
      return %4 as "y", %2 as "sum"
    })", {{"n", 5}});
}

TEST(Region, ReductionsWithoutKeptDimensions) {
  expect_region(R"(graph "g"(%x: f32[6, 7, 30], %y: f32[6, 7]) {
      %a = Constant() {value = i64[1] {-1}}
      %m = ReduceMean(%x, %a) {keepdims = 0}
      %d = Sub(%m, %y)
      %e = Exp(%d)
      return %e as "e", %m as "m"
    })");
}

TEST(Region, TransposedOperand) {
  expect_region(R"(graph "g"(%x: f32[2, 33, 50], %y: f32[2, 50, 33]) {
      %t = Transpose(%x) {perm = [0, 2, 1]}
      %z = Add(%t, %y)
      %r = Relu(%z)
      return %r as "r"
    })");
}

TEST(Movement, Transpose) {
  for (std::string_view type : {"f32", "f64", "f16", "i8", "bool"}) {
    for (auto [shape, perm] : {std::pair("33, 50", "1, 0"), {"3, 16, 32", "0, 2, 1"}, {"2, 3, 17, 19", "0, 2, 3, 1"}, {"2, 17, 19, 3", "0, 3, 1, 2"},
                               {"2, 5, 4, 16", "0, 2, 1, 3"}, {"4, 3, 2", "2, 1, 0"}, {"1, 64, 1", "2, 1, 0"}}) {
      expect_kernels(fmt::format(R"(graph "g"(%x: {}[{}]) {{
        %z = Transpose(%x) {{perm = [{}]}}
        return %z as "z"
      }})", type, shape, perm));
    }
  }
}

TEST(Movement, SliceAndExpand) {
  expect_kernels(R"(graph "g"(%x: f32[10, 40]) {
      %s = Constant() {value = i64[2] {1, -3}}
      %e = Constant() {value = i64[2] {9, -30}}
      %a = Constant() {value = i64[2] {0, 1}}
      %t = Constant() {value = i64[2] {2, -1}}
      %z = Slice(%x, %s, %e, %a, %t)
      return %z as "z"
    })");
  expect_kernels(R"(graph "g"(%x: f32[n, 40]) {
      %s = Constant() {value = i64[1] {-2}}
      %e = Constant() {value = i64[1] {100}}
      %a = Constant() {value = i64[1] {0}}
      %z = Slice(%x, %s, %e, %a)
      return %z as "z"
    })", {{"n", 5}});
  expect_kernels(R"(graph "g"(%x: f32[3, 1, 20]) {
      %s = Constant() {value = i64[4] {2, 3, 5, 20}}
      %z = Expand(%x, %s)
      return %z as "z"
    })");
}

TEST(Movement, Gather) {
  for (int axis : {0, 1, 2}) {
    expect_kernels(fmt::format(R"(graph "g"(%x: f32[3, 4, 33], %index: i64[2, 5]) {{
      %z = Gather(%x, %index) {{axis = {}}}
      return %z as "z"
    }})", axis));
  }
}

}  // namespace
}  // namespace gannet
