// The one op with a scalar body.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

ScalarExpr x0() { return ScalarExpr::arg(0); }

Tensor mapped(const ScalarExpr& body, const std::vector<Tensor>& operands) {
  return result_of("Map", operands, {{"body", body}});
}

TEST(Map, LiteralsTakeTheTypeOfTheirNeighbours) {
  EXPECT_EQ(mapped(x0() + 1, {Tensor::scalar<int8_t>(127)}).int_at(0), -128);
  EXPECT_EQ(mapped(x0() + 0.5, {Tensor::scalar<double>(1)}).double_at(0), 1.5);
  EXPECT_EQ(mapped(ScalarExpr::integer(int64_t{1} << 62) + x0(), {Tensor::scalar<int64_t>(1)}).int_at(0),
            (int64_t{1} << 62) + 1);
  EXPECT_EQ(mapped(select(x0() < 0, 1, 2), {Tensor::scalar<float>(-1)}).double_at(0), 1);
  EXPECT_EQ(mapped(scalar::pow(2.0, x0()), {Tensor::scalar(0.5)}).double_at(0), std::sqrt(2.0));
  EXPECT_EQ(mapped(scalar::exp(0.0) + x0(), {Tensor::scalar(0.5)}).double_at(0), 1.5);
  EXPECT_EQ(mapped(ScalarExpr(3.5), {}).double_at(0), 3.5);
  EXPECT_EQ(mapped(cast(x0() < 2, DType::kF64), {Tensor::scalar(0.5)}).double_at(0), 1);
}

TEST(Map, WhatHasNoLoopIsAnError) {
  EXPECT_THAT(error_of("Map", {Tensor::scalar(1.f)}, {{"body", cast(x0(), DType::kString)}}),
              HasSubstr("cast of f32"));
  EXPECT_THAT(error_of("Map", {Tensor::scalar(1.f)}, {{"body", cast(x0(), DType::kF8E5M2)}}),
              HasSubstr("cast of f32"));
  EXPECT_THAT(error_of("Map", {Tensor::scalar(1.f)}, {{"body", ScalarExpr::arg(1)}}),
              HasSubstr("the body uses 2 operands, 1 are given"));
  EXPECT_THAT(error_of("Map", {Tensor::zeros(DType::kC64, {1})}, {{"body", x0() == x0()}}),
              HasSubstr("equal of c64"));
  EXPECT_THAT(error_of("Map", {Tensor::scalar(true)}, {{"body", x0() + 1}}),
              HasSubstr("add takes numeric operands, got bool"));
  EXPECT_THAT(error_of("Map", {Tensor::scalar(1.f)}, {{"body", select(x0(), x0(), x0())}}),
              HasSubstr("select takes bool operands, got f32"));
  EXPECT_THAT(error_of("Map", {}, {{"body", scalar::bit_not(1.5)}}), HasSubstr("bit_not of f32"));
}

}  // namespace
}  // namespace gannet::test
