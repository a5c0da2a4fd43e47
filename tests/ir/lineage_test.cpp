// Which nodes of the user's file a node stands for, through rewrites.
#include "ir/lineage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/op.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// x -> Neg (0) -> Abs (1) -> Exp (2) -> y, as an importer makes it.
struct Line {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{2}));
  std::vector<Node*> nodes;

  Line() {
    Value* value = x;
    for (const char* op : {"Neg", "Abs", "Exp"}) {
      graph.new_sources = {static_cast<int32_t>(nodes.size())};
      value = GraphBuilder(graph).op(op, {value});
      nodes.push_back(value->producer());
    }
    graph.new_sources.clear();
    graph.outputs.push_back({"y", value});
  }
};

TEST(LineageTest, NodesAreMarkedWhenTheyAreMade) {
  Line line;
  EXPECT_THAT(line.nodes[1]->sources(), ElementsAre(1));
  EXPECT_THAT(GraphBuilder(line.graph).neg(line.x)->producer()->sources(), IsEmpty());
  EXPECT_THAT(GraphBuilder(line.graph, line.nodes[1]).neg(line.x)->producer()->sources(), ElementsAre(1));
  EXPECT_THAT(line.graph.add_constant(Tensor::scalar(1.0f), "", line.nodes[1])->producer()->sources(), IsEmpty());
  const std::unique_ptr<Graph> copy = line.graph.clone();
  EXPECT_THAT(copy->outputs[0].value->producer()->sources(), ElementsAre(2));
}

TEST(LineageTest, AReplacementTakesWhatOnlyTheReplacedNodeNeeded) {
  Line line;
  GraphBuilder b(line.graph, line.nodes[2]);
  Value* whole = b.op("Sigmoid", {line.x});
  line.graph.replace_uses(line.nodes[2]->output(), whole);
  line.graph.erase(line.nodes[2]);
  erase_dead_nodes(line.graph);
  EXPECT_THAT(whole->producer()->sources(), ElementsAre(0, 1, 2));
  EXPECT_EQ(line.graph.node_count(), 1u);
}

TEST(LineageTest, WhatOthersNeedStaysTheirs) {
  Line line;
  line.graph.outputs.push_back({"z", line.nodes[0]->output()});
  Value* whole = GraphBuilder(line.graph, line.nodes[2]).op("Sigmoid", {line.x});
  line.graph.replace_uses(line.nodes[2]->output(), whole);
  line.graph.erase(line.nodes[2]);
  erase_dead_nodes(line.graph);
  EXPECT_THAT(whole->producer()->sources(), ElementsAre(1, 2));
  EXPECT_THAT(line.nodes[0]->sources(), ElementsAre(0));
}

TEST(LineageTest, AnHeirThatIsReplacedPassesOnWhatItGets) {
  Line line;
  Value* first = GraphBuilder(line.graph, line.nodes[2]).op("Sigmoid", {line.x});
  line.graph.replace_uses(line.nodes[2]->output(), first);
  Value* second = GraphBuilder(line.graph, first->producer()).op("Tanh", {line.x});
  line.graph.replace_uses(first, second);
  erase_dead_nodes(line.graph);
  EXPECT_THAT(second->producer()->sources(), ElementsAre(0, 1, 2));
}

TEST(LineageTest, SuccessionInACircleEnds) {
  const auto a = std::make_shared<Lineage>(), b = std::make_shared<Lineage>();
  const int32_t one[] = {1};
  a->add(one);
  Lineage::succeed(a, b);
  Lineage::succeed(b, a);
  EXPECT_FALSE(b->has_heir());
  a->leave(std::vector<int32_t>{3});
  EXPECT_THAT(b->sources(), ElementsAre(1, 3));
}

}  // namespace
}  // namespace gannet
