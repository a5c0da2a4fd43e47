#include "ir/graph.h"
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

Value* three(GraphBuilder& b, Operands x) { return b.op("SequenceConstruct", {x[0], x[1], x[2]}); }

std::vector<Tensor> operands() { return {random_tensor({2, 3}, 1), random_tensor({2, 3}, 2), random_tensor({2, 3}, 3)}; }

Value* joined(GraphBuilder& b, Value* sequence, int64_t new_axis = 0) {
  return b.op("ConcatFromSequence", {sequence}, {{"axis", int64_t{1}}, {"new_axis", new_axis}});
}

void add_positions(Cases& cases) {
  for (int64_t position : {0, 1, -1, -3}) {
    Model at = [=](GraphBuilder& b, Operands x) { return b.op("SequenceAt", {three(b, x), b.constant(integer(position))}); };
    cases.add_once("SequenceAt", at, operands());
    Model erase = [=](GraphBuilder& b, Operands x) { return joined(b, b.op("SequenceErase", {three(b, x), b.constant(integer(position))})); };
    cases.add_once("SequenceErase", erase, operands());
    Model insert = [=](GraphBuilder& b, Operands x) {
      Value* two = b.op("SequenceInsert", {three(b, x), b.mul(x[0], x[1]), b.constant(integer(position))});
      return joined(b, two, 1);
    };
    cases.add_once("SequenceInsert", insert, operands());
  }
  Model ends = [](GraphBuilder& b, Operands x) {
    return joined(b, b.op("SequenceErase", {b.op("SequenceInsert", {three(b, x), x[2]}), b.constant(integer(0))}));
  };
  cases.add_once("Sequence without positions", ends, operands());
  Model last = [](GraphBuilder& b, Operands x) { return joined(b, b.op("SequenceErase", {three(b, x)})); };
  cases.add_once("SequenceErase of the last", last, operands());
}

void add_splits(Cases& cases) {
  for (int64_t keepdims : {0, 1}) {
    Model rows = [=](GraphBuilder& b, Operands x) {
      Value* parts = b.op("SplitToSequence", {x[0]}, {{"axis", int64_t{1}}, {"keepdims", keepdims}});
      return b.op("SequenceAt", {parts, b.constant(integer(1))});
    };
    cases.add_once("SplitToSequence", rows, {random_tensor({2, 3}, 1)});
  }
  for (const Tensor& split : {integer(2), Tensor::of_ints(Ints{1, 3, 1})}) {
    Model parts = [=](GraphBuilder& b, Operands x) {
      Value* sequence = b.op("SplitToSequence", {x[0], b.constant(split)}, {{"axis", int64_t{-1}}});
      return b.reshape(b.add(joined(b, sequence), joined(b, sequence)), {Dim(2), Dim(5)});
    };
    cases.add_once("SplitToSequence in parts", parts, {random_tensor({2, 5}, 1)});
  }
}

void add_maps(Cases& cases) {
  Model map = [](GraphBuilder& b, Operands x) {
    auto body = std::make_shared<Graph>("body", b.graph().symbols());
    for (size_t i = 0; i < 3; ++i) body->add_input("in", x[i]->type);
    GraphBuilder inner(*body);
    const auto& in = body->inputs();
    body->outputs = {{"y", inner.op("Tanh", {inner.add(inner.mul(in[0], in[1]), in[2])})}};
    Value* sequence = b.op("SequenceConstruct", {x[0], x[1]});
    return joined(b, b.op("SequenceMap", {sequence, x[1], x[2]}, {{"body", body}, {"captures", int64_t{1}}}));
  };
  cases.add_once("SequenceMap", map, operands());
  Model optional = [](GraphBuilder& b, Operands x) {
    return b.mul(x[0], b.op("OptionalGetElement", {b.op("Optional", {b.op("Sin", {x[1]})})}));
  };
  cases.add_once("Optional", optional, operands());
}

}  // namespace

void sequence_cases(Cases& cases) {
  add_positions(cases);
  add_splits(cases);
  add_maps(cases);
}

}  // namespace gannet::test
