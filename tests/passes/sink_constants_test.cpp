// What it is for: weights that a body captures fold there as they do outside.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/pass.h"

namespace gannet {
namespace {

// Both branches put the halves of the weights in another order, one of them in a loop inside.
constexpr std::string_view kText = R"(graph "main"(%c: bool[], %x: f32[1, 2]) {
  %w: f32[2, 4] = Constant() {value = f32[2, 4] {1, 2, 3, 4, 5, 6, 7, 8}}
  %y = If(%c, %w, %x) {captures = 2, else_branch = graph "else"(%w: f32[2, 4], %a: f32[1, 2]) {
      %three = Constant() {value = i64[] {3}}
      %go = Constant() {value = bool[] {true}}
      %z = Loop(%three, %go, %a, %w) {body = graph "body"(%i: i64[], %g: bool[], %h: f32[1, 2], %v: f32[2, 4]) {
          %zero = Constant() {value = i64[1] {0}}
          %two = Constant() {value = i64[1] {2}}
          %four = Constant() {value = i64[1] {4}}
          %one = Constant() {value = i64[1] {1}}
          %left = Slice(%v, %zero, %two, %one)
          %right = Slice(%v, %two, %four, %one)
          %sum = Add(%left, %right)
          %n = MatMul(%h, %sum)
          return %g, %n
        }, captures = 1}
      return %z
    }, then_branch = graph "then"(%w: f32[2, 4], %a: f32[1, 2]) {
      %zero = Constant() {value = i64[1] {0}}
      %two = Constant() {value = i64[1] {2}}
      %four = Constant() {value = i64[1] {4}}
      %one = Constant() {value = i64[1] {1}}
      %left = Slice(%w, %zero, %two, %one)
      %right = Slice(%w, %two, %four, %one)
      %turned = Concat(%right, %left) {axis = 1}
      %product = MatMul(%a, %turned)
      %both = ReduceSum(%product, %one) {keepdims = 1}
      %n = Mul(%both, %a)
      return %n
    }}
  return %y as "y"
})";

TEST(SinkConstants, WhatBodiesDoWithWeightsFolds) {
  auto graph = parse_graph(kText);
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  const std::vector<Datum> inputs[] = {{Tensor::scalar(true), Tensor::from<float>({1, 2}, {1, -2})},
                                       {Tensor::scalar(false), Tensor::from<float>({1, 2}, {1, -2})}};
  std::vector<Tensor> expected;
  for (const std::vector<Datum>& given : inputs) {
    auto before = evaluate(**graph, given);
    ASSERT_TRUE(before.ok()) << before.error().message;
    expected.push_back(before->outputs[0].tensor());
  }
  PassContext context;
  const Status status = run_passes(**graph, find_pipeline("inference"), context);
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_TRUE(verify(**graph).ok());
  std::multiset<std::string> ops;
  for_each_node(**graph, [&](const Node& node) { ops.emplace(node.op().name); });
  EXPECT_EQ(ops.count("Slice"), 0u);
  EXPECT_EQ(ops.count("Concat"), 0u);
  for (const auto& node : (*graph)->nodes()) {
    if (node->op().name == "If") {
      EXPECT_EQ(node->attrs.integer("captures"), 1);
    }
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    auto after = evaluate(**graph, inputs[i]);
    ASSERT_TRUE(after.ok()) << after.error().message;
    EXPECT_TRUE(after->outputs[0].tensor().identical(expected[i]));
  }
}

}  // namespace
}  // namespace gannet
