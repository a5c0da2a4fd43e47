#include "ir/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace gannet {
namespace {

using testing::ElementsAre;

Type f32(Shape shape) { return Type::tensor(DType::kF32, std::move(shape)); }

struct Scene {
  Graph graph;
  Value* x = graph.add_input("x", f32({2}));
  GraphBuilder b{graph};

  ~Scene() {
    Status status = verify(graph);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  }
};

TEST(Graph, UsesAreRecordedForEachOperand) {
  Scene s;
  Value* y = s.b.add(s.x, s.x);
  EXPECT_EQ(s.x->uses().size(), 2u);
  Value* z = s.b.mul(y, s.x);
  EXPECT_EQ(s.x->uses().size(), 3u);
  s.graph.set_operand(z->producer(), 1, y);
  EXPECT_EQ(s.x->uses().size(), 2u);
  EXPECT_EQ(y->uses().size(), 2u);
  s.graph.set_operands(z->producer(), {s.x, y});
  EXPECT_EQ(s.x->uses().size(), 3u);
  s.graph.outputs = {{"z", z}};
}

TEST(Graph, ReplacingUsesReachesOperandsOutputsAndStates) {
  Scene s;
  Value* y = s.b.neg(s.x);
  Value* twice = s.b.add(y, y);
  Value* w = s.graph.add_state_value("w", f32({2}));
  s.graph.states.push_back({"w", w, y, Tensor::zeros(DType::kF32, {2}), {}});
  s.graph.outputs = {{"y", y}, {"twice", twice}};
  Value* other = s.b.op("Abs", {s.x});
  s.graph.move_before(other->producer(), twice->producer());
  s.graph.replace_uses(y, other);
  EXPECT_TRUE(y->uses().empty());
  EXPECT_FALSE(s.graph.is_result(y));
  EXPECT_EQ(s.graph.outputs[0].value, other);
  EXPECT_EQ(s.graph.states[0].out, other);
  EXPECT_EQ(twice->producer()->input(0), other);
  EXPECT_EQ(twice->producer()->input(1), other);
  s.graph.erase(y->producer());
  s.graph.replace_uses(other, other);
  EXPECT_EQ(other->uses().size(), 2u);
}

TEST(Graph, ErasingFreesNames) {
  Scene s;
  Value* y = s.b.neg(s.x);
  s.graph.rename(y, "result");
  s.graph.erase(y->producer());
  EXPECT_TRUE(s.x->uses().empty());
  EXPECT_EQ(s.graph.unique_name("result"), "result");
  EXPECT_EQ(s.graph.unique_name("result"), "result_1");
  EXPECT_EQ(s.graph.unique_name("x"), "x_1");
}

TEST(Graph, NamelessValuesLeaveEveryNameToOthers) {
  Scene s;
  EXPECT_EQ(s.graph.unique_name(""), "v_1");
  EXPECT_EQ(s.graph.unique_name("v"), "v");
  EXPECT_EQ(s.graph.unique_name(""), "v_2");
  EXPECT_EQ(s.graph.unique_name("v"), "v_3");
}

TEST(Graph, AnOutputWithoutUsesCanBeDropped) {
  Scene s;
  Value* image = s.graph.add_input("image", f32({1, 1, 4, 4}));
  auto pooled = s.b.op_n("MaxPool", {image}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}, 2);
  Node* node = pooled[0]->producer();
  s.graph.drop_output(node, 1);
  EXPECT_EQ(node->output(1), nullptr);
  s.graph.drop_output(node, 1);
  s.graph.outputs = {{"y", pooled[0]}};
  EXPECT_DEATH(s.graph.drop_output(node, 0), "is used");
  EXPECT_DEATH(s.graph.erase(node), "is used");
}

TEST(Graph, DeadNodesAreErased) {
  Scene s;
  Value* y = s.b.neg(s.x);
  s.b.add(s.b.mul(s.x, s.x), y);
  s.graph.outputs = {{"y", y}};
  EXPECT_TRUE(erase_dead_nodes(s.graph));
  EXPECT_EQ(s.graph.node_count(), 1u);
  EXPECT_FALSE(erase_dead_nodes(s.graph));
}

TEST(Graph, SymbolsAreFresh) {
  Graph graph;
  graph.add_input("x", f32({Dim::symbol("n"), 2 * Dim::symbol("n_1") + 1}));
  EXPECT_EQ(graph.symbols()->fresh("n").to_string(), "n_2");
  EXPECT_EQ(graph.symbols()->fresh("m").to_string(), "m");
  EXPECT_EQ(graph.symbols()->fresh("m").to_string(), "m_1");
}

TEST(Graph, ConstantsKnowTheirContents) {
  Graph graph;
  Value* c = graph.add_constant(Tensor::of_ints(std::vector<int64_t>{3, -1}), "c");
  EXPECT_THAT(*constant_ints(c), ElementsAre(3, -1));
  EXPECT_THAT(*c->contents, ElementsAre(Dim(3), Dim(-1)));
  EXPECT_EQ(to_string(c->type), "i64[2]");
  EXPECT_FALSE(constant_ints(graph.add_constant(Tensor::scalar(1.f))).has_value());
  EXPECT_FALSE(constant_ints(graph.add_input("x", f32({}))).has_value());
  EXPECT_FALSE(constant_ints(nullptr).has_value());
}

constexpr std::string_view kNested = R"(graph "outer"(%condition: bool[], %x: f32[n], %"odd name": f32[2]) {
  state %w: f32[2] -> %w2 = f32[2] {1, 2} "weight"
  %v: f32[2] = Add(%w, %"odd name")
  %m: f32[1, 1, 2, 2], %_ = MaxPool(%image) {kernel_shape = [1, 1]}
  %w2: f32[2] = Neg(%v) "last"
  %chosen: f32[n] = If(%condition, %x) {captures = 1, else_branch = graph "else"(%x: f32[n]) {
    return %x as "x"
  }, then_branch = graph "then"(%x: f32[n]) {
    %y: f32[n] = Neg(%x)
    return %y as "y"
  }}
  return %chosen as "chosen", %w as "w"
})";

TEST(Graph, AClonePrintsTheSameAndIsIndependent) {
  std::string text(kNested);
  text.replace(text.find("%x: f32[n], "), 0, "%image: f32[1, 1, 2, 2], ");
  auto graph = parse_graph(text);
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  (*graph)->states[0].origin = Origin{"weight", 17};
  std::string printed = print_graph(**graph);
  std::unique_ptr<Graph> copy = (*graph)->clone();
  EXPECT_EQ(print_graph(*copy), printed);
  EXPECT_TRUE(verify(*copy).ok());
  EXPECT_EQ(copy->states[0].origin->offset, 17);
  for_each_node(*copy, [](const Node& node) {
    if (node.op().name == "Neg") const_cast<Node&>(node).name = "changed";
  });
  EXPECT_EQ(print_graph(**graph), printed);
  EXPECT_NE(print_graph(*copy), printed);
}

}  // namespace
}  // namespace gannet
