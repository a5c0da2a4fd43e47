#include "ir/graph.h"
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

using Build = std::function<std::vector<Value*>(GraphBuilder&, Operands)>;

// A subgraph whose inputs have the types of these values, or for null an i64, then a bool.
std::shared_ptr<Graph> subgraph(GraphBuilder& outer, const std::vector<Type>& types, const Build& build) {
  auto graph = std::make_shared<Graph>("body", outer.graph().symbols());
  for (const Type& type : types) graph->add_input("in", type);
  GraphBuilder b(*graph);
  for (Value* value : build(b, graph->inputs())) graph->outputs.push_back({"out", value});
  if (!b.status().ok()) outer.fail(b.status().error());
  return graph;
}

const Type kCount = Type::tensor(DType::kI64, Shape{}), kTruth = Type::tensor(DType::kBool, Shape{});

Value* truth(GraphBuilder& b, bool value) { return b.constant(Tensor::scalar(value)); }

void add_ifs(Cases& cases) {
  for (bool chosen : {true, false}) {
    Model one = [=](GraphBuilder& b, Operands x) {
      auto then_branch = subgraph(b, {x[0]->type, x[1]->type}, [](GraphBuilder& i, Operands v) { return std::vector<Value*>{i.mul(v[0], v[1])}; });
      auto else_branch = subgraph(b, {x[0]->type, x[1]->type}, [](GraphBuilder& i, Operands v) { return std::vector<Value*>{i.op("Tanh", {v[0]})}; });
      return b.op("If", {truth(b, chosen), x[0], x[1]}, {{"then_branch", then_branch}, {"else_branch", else_branch}, {"captures", int64_t{2}}});
    };
    cases.add(chosen ? "If, then" : "If, else", one, {random_tensor({2, 3}, 1), random_tensor({2, 3}, 2)});
    // The condition depends on the operand; of two results one is passed through, one is a composite.
    Model two = [=](GraphBuilder& b, Operands x) {
      auto branch = [&](double factor) {
        return subgraph(b, {x[0]->type}, [=](GraphBuilder& i, Operands v) {
          Value* normal = i.op("MeanVarianceNormalization", {i.mul(v[0], i.number(factor, v[0]))}, {{"axes", Ints{1}}});
          return std::vector<Value*>{v[0], normal};
        });
      };
      Value* sum = b.reduce_sum(x[0], {0, 1}, false);
      Value* positive = b.op("Greater", {sum, b.number(chosen ? -100 : 100, sum)});
      auto results = b.op_n("If", {positive, x[0]}, {{"then_branch", branch(2)}, {"else_branch", branch(-1)}, {"captures", int64_t{1}}}, 2);
      return b.add(results[0], results[1]);
    };
    cases.add("If with two results", two, {random_tensor({2, 4}, 1)});
  }
}

// h <- tanh(h * w + i), with h of each run as a scan output.
Model loop(int64_t runs, bool scans) {
  return [=](GraphBuilder& b, Operands x) {
    auto body = subgraph(b, {kCount, kTruth, x[0]->type, x[1]->type}, [](GraphBuilder& i, Operands v) {
      Value* step = i.cast(v[0], DType::kF64);
      Value* next = i.op("Tanh", {i.add(i.mul(v[2], v[3]), step)});
      return std::vector<Value*>{v[1], next, i.mul(next, v[2])};
    });
    auto results = b.op_n("Loop", {b.constant(integer(runs)), nullptr, x[0], x[1]}, {{"body", body}, {"captures", int64_t{1}}}, 2);
    return scans ? results[1] : results[0];
  };
}

void add_loops(Cases& cases) {
  for (int64_t runs : {0, 1, 3}) {
    cases.add("Loop", loop(runs, false), {random_tensor({2, 3}, 1), random_tensor({2, 3}, 2)}, runs == 0 ? kStatic : GradientCheck{});
    if (runs > 0) cases.add("Loop, its scan output", loop(runs, true), {random_tensor({2, 3}, 1), random_tensor({2, 3}, 2)});
  }
  // Stops by its condition; carries an integer beside; the weights are a capture of a matrix product.
  Model stops = [](GraphBuilder& b, Operands x) {
    auto body = subgraph(b, {kCount, kTruth, kCount, x[0]->type, x[1]->type}, [](GraphBuilder& i, Operands v) {
      Value* count = i.add(v[2], i.constant(integer(2)));
      Value* going_on = i.op("Less", {count, i.constant(integer(5))});
      return std::vector<Value*>{going_on, count, i.op("Softmax", {i.matmul(v[3], v[4])})};
    });
    return b.op_n("Loop", {nullptr, truth(b, true), b.constant(integer(0)), x[0], x[1]}, {{"body", body}, {"captures", int64_t{1}}}, 2)[1];
  };
  cases.add("Loop that stops", stops, {random_tensor({2, 3}, 1), random_tensor({3, 3}, 2)});
  // Nothing is carried: each run takes its row.
  Model rows = [](GraphBuilder& b, Operands x) {
    auto body = subgraph(b, {kCount, kTruth, x[0]->type}, [](GraphBuilder& i, Operands v) {
      return std::vector<Value*>{v[1], i.op("Exp", {i.op("Gather", {v[2], v[0]})})};
    });
    return b.op("Loop", {b.constant(integer(2)), nullptr, x[0]}, {{"body", body}, {"captures", int64_t{1}}});
  };
  cases.add("Loop that carries nothing", rows, {random_tensor({3, 2}, 1)});
  Model nested = [](GraphBuilder& b, Operands x) {
    auto inner = [&](GraphBuilder& o, Operands v) {
      auto body = subgraph(o, {kCount, kTruth, v[2]->type, v[3]->type}, [](GraphBuilder& i, Operands u) {
        return std::vector<Value*>{u[1], i.op("Sin", {i.mul(u[2], u[3])})};
      });
      Value* next = o.op("Loop", {o.constant(integer(2)), nullptr, v[2], v[3]}, {{"body", body}, {"captures", int64_t{1}}});
      return std::vector<Value*>{v[1], o.add(next, v[3])};
    };
    auto body = subgraph(b, {kCount, kTruth, x[0]->type, x[1]->type}, inner);
    return b.op("Loop", {b.constant(integer(2)), nullptr, x[0], x[1]}, {{"body", body}, {"captures", int64_t{1}}});
  };
  cases.add("Loop in a Loop", nested, {random_tensor({2}, 1), random_tensor({2}, 2)});
}

void add_scans(Cases& cases) {
  for (int64_t backwards : {0, 1}) {
    for (int64_t axis : {0, 1}) {
      Model scan = [=](GraphBuilder& b, Operands x) {
        Type slice = x[1]->type;
        slice.shape->erase(slice.shape->begin() + axis);
        auto body = subgraph(b, {x[0]->type, slice, x[2]->type}, [](GraphBuilder& i, Operands v) {
          Value* state = i.op("Tanh", {i.add(i.mul(v[0], v[2]), v[1])});
          return std::vector<Value*>{state, i.mul(state, v[1])};
        });
        Attributes attrs = {{"body", body}, {"num_scan_inputs", int64_t{1}}, {"captures", int64_t{1}}, {"scan_input_axes", Ints{axis}},
                            {"scan_input_directions", Ints{backwards}}, {"scan_output_axes", Ints{1}}, {"scan_output_directions", Ints{1 - backwards}}};
        auto results = b.op_n("Scan", {x[0], x[1], x[2]}, attrs, 2);
        return b.add(results[1], b.unsqueeze(results[0], {1}));
      };
      const Ints extents = axis == 0 ? Ints{3, 2} : Ints{2, 3};
      cases.add("Scan", scan, {random_tensor({2}, 1), random_tensor(extents, 2), random_tensor({2}, 3)});
    }
  }
}

}  // namespace

void control_flow_cases(Cases& cases) {
  add_ifs(cases);
  add_loops(cases);
  add_scans(cases);
}

}  // namespace gannet::test
