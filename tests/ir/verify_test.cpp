#include "ir/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/parse.h"

namespace gannet {
namespace {

using testing::HasSubstr;

struct Scene {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{2}));
  GraphBuilder b{graph};
  Value* y = b.neg(x);
  Value* z = b.add(y, x);

  Scene() {
    y->producer()->name = "first";
    z->producer()->name = "second";
    graph.outputs = {{"z", z}};
  }
  std::string error() const {
    Status status = verify(graph);
    return status.ok() ? "" : status.error().message;
  }
};

TEST(Verify, ASoundGraphPasses) {
  Scene s;
  EXPECT_EQ(s.error(), "");
}

TEST(Verify, OperandsAreDefinedBefore) {
  Scene s;
  s.graph.move_before(s.z->producer(), s.y->producer());
  EXPECT_EQ(s.error(), "node 'second' (Add): operand 0 ('v_1') is not defined before it");
}

TEST(Verify, OperandsAreOfTheSameGraph) {
  Scene s, other;
  s.graph.set_operand(s.z->producer(), 1, other.y);
  EXPECT_THAT(s.error(), HasSubstr("node 'second' (Add): operand 1"));
  s.graph.set_operand(s.z->producer(), 1, s.x);
}

TEST(Verify, NamesAreUnique) {
  Scene s;
  s.z->name = "x";
  EXPECT_EQ(s.error(), "the name 'x' is used twice");
}

TEST(Verify, OperandCountsFit) {
  Scene s;
  s.graph.set_operands(s.z->producer(), {s.x});
  EXPECT_EQ(s.error(), "node 'second' (Add): takes 2 inputs, got 1");
  s.graph.set_operands(s.z->producer(), {s.x, nullptr});
  EXPECT_EQ(s.error(), "node 'second' (Add): input 1 is required");
}

TEST(Verify, AttributesAreDeclaredWithTheirKind) {
  Scene s;
  s.y->producer()->attrs.set("alpha", 1.0f);
  EXPECT_EQ(s.error(), "node 'first' (Neg): attribute 'alpha' is not declared");
  s.y->producer()->attrs.erase("alpha");
  Value* leaky = s.b.op("LeakyRelu", {s.x}, {{"alpha", 0.5f}});
  EXPECT_EQ(s.error(), "");
  leaky->producer()->attrs.set("alpha", int64_t{1});
  EXPECT_THAT(s.error(), HasSubstr("attribute 'alpha' has another kind than declared"));
}

TEST(Verify, TypesAgreeWithInference) {
  Scene s;
  s.y->type = Type::tensor(DType::kF32, Shape{3});
  EXPECT_THAT(s.error(), HasSubstr("node 'first' (Neg): output 0: dimension 0 is 2 and 3"));
  s.y->type = Type::tensor(DType::kF64, Shape{2});
  EXPECT_THAT(s.error(), HasSubstr("node 'first' (Neg): output 0: element type f32 against f64"));
  s.y->type = Type::tensor(DType::kF32, Shape{2, 1});
  EXPECT_THAT(s.error(), HasSubstr("rank 1 against rank 2"));
  s.y->type = Type::sequence(Type::tensor(DType::kF32, Shape{2}));
  EXPECT_THAT(s.error(), HasSubstr("f32[2] against seq(f32[2])"));
}

TEST(Verify, ResultsAreDefined) {
  Scene s, other;
  s.graph.outputs.push_back({"missing", nullptr});
  EXPECT_EQ(s.error(), "output 'missing' is not defined");
  s.graph.outputs.back() = {"foreign", other.y};
  EXPECT_EQ(s.error(), "output 'foreign' is not defined");
}

TEST(Verify, StatesFitTheirValues) {
  Scene s;
  Value* w = s.graph.add_state_value("w", Type::tensor(DType::kF32, Shape{2}));
  s.graph.states.push_back({"weight", w, s.z, Tensor::zeros(DType::kF32, {2}), {}});
  EXPECT_EQ(s.error(), "");
  s.graph.states[0].initial = Tensor::zeros(DType::kF32, {3});
  EXPECT_EQ(s.error(), "state 'weight': dimension 0 is 2 and 3");
  s.graph.states[0].initial = Tensor::zeros(DType::kF32, {2});
  s.graph.states[0].out = s.b.op("Shape", {s.z});
  EXPECT_EQ(s.error(), "state 'weight': element type f32 against i64");
  s.graph.states[0].out = nullptr;
  s.graph.states[0].in = s.y;
  EXPECT_THAT(s.error(), HasSubstr("producer"));
  s.graph.states[0].in = nullptr;
  EXPECT_EQ(s.error(), "state 'weight' has no value");
}

TEST(Verify, SubgraphsObeyTheSame) {
  auto graph = parse_graph(R"(graph "g"(%c: bool[], %x: f32[2]) {
  %y = If(%c, %x) {captures = 1, then_branch = graph "t"(%a: f32[2]) { %b = Neg(%a) "inner" return %b },
                   else_branch = graph "e"(%a: f32[2]) { return %a }} "choice"
  return %y
})");
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  EXPECT_TRUE(verify(**graph).ok());
  for_each_node(**graph, [](const Node& node) {
    if (node.op().name == "Neg") const_cast<Node&>(node).attrs.set("stray", int64_t{1});
  });
  Status status = verify(**graph);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            "node 'choice' (If): node 'inner' (Neg): attribute 'stray' is not declared");
}

}  // namespace
}  // namespace gannet
