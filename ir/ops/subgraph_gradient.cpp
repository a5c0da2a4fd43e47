#include "ir/ops/subgraph_gradient.h"

#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {

BodyGradient::BodyGradient(std::shared_ptr<Graph> graph)
    : graph_(std::move(graph)), old_(graph_->inputs()),
      before_(*graph_, graph_->nodes().empty() ? nullptr : graph_->nodes().front().get()) {}

Result<BodyGradient> BodyGradient::of(const Graph& body) {
  bool random = false;
  for_each_node(body, [&](const Node& node) { random |= node.op().random && !node.attrs.has("seed"); });
  if (random) return unsupported("there is no gradient through a subgraph that draws random numbers");
  return BodyGradient(std::shared_ptr<Graph>(body.clone()));
}

Result<std::vector<Value*>> BodyGradient::run(VjpContext& c, const std::vector<ResultGradient>& given, std::vector<Value*> variables) {
  TRY(Status(before_.status()));
  std::vector<ValueGradient> starts;
  for (const ResultGradient& start : given) starts.push_back({graph_->outputs[start.result].value, start.gradient});
  for (size_t i = 0; i < old_.size(); ++i) graph_->erase_input(0);
  TRY(infer_graph(*graph_));
  return c.backpropagate(*graph_, std::move(starts), std::move(variables));
}

void BodyGradient::finish(std::vector<Value*> results) {
  graph_->outputs.clear();
  for (Value* value : results) graph_->outputs.push_back({value->name, value});
  erase_dead_nodes(*graph_);
}

namespace {

Value* or_zeros(GraphBuilder& b, Value* gradient, Value* variable) { return gradient ? gradient : zeros_like(b, variable); }

bool is_float_tensor(const Value* value) { return value->type.is_tensor() && carries_gradient(value->type); }

// Operands and results of a Loop or Scan whose gradient is wanted.
struct Carried {
  size_t count = 0;             // of carried values
  std::vector<size_t> active;   // those through which gradients flow
  std::vector<size_t> captures;  // operands
  std::vector<size_t> scans;    // results beside the carried values that have a gradient
  std::vector<Value*> stacks;   // of the carried values, as they entered each run
};

Carried carried_of(VjpContext& c, size_t first, size_t count, size_t captures, size_t scans) {
  Carried carried{count, {}, {}, {}, {}};
  for (size_t i = 0; i < count; ++i) {
    carried.stacks.push_back(c.output(count + scans + i));
    if (is_float_tensor(c.operand(first + i))) carried.active.push_back(i);
  }
  const size_t operands = c.node().inputs().size();
  for (size_t i = operands - captures; i < operands; ++i) {
    if (c.wants(i)) carried.captures.push_back(i);
  }
  // Of a second order also those that hold the carried values.
  for (size_t i = 0; i < scans + count; ++i) {
    if (c.gradient(count + i)) carried.scans.push_back(i);
  }
  return carried;
}

// Where the gradients of carried values and the sums of those of captures start.
std::vector<Value*> initial_gradients(VjpContext& c, const Carried& carried, size_t first) {
  std::vector<Value*> initial;
  for (size_t i : carried.active) initial.push_back(or_zeros(c.b, c.gradient(i), c.operand(first + i)));
  for (size_t i : carried.captures) initial.push_back(zeros_like(c.b, c.operand(i)));
  return initial;
}

// The same after one more run, whose gradients are `gradients`.
void append_updates(GraphBuilder& b, std::span<Value* const> entering, const Carried& carried, std::span<Value* const> gradients,
                    std::vector<Value*>& results) {
  for (size_t i = 0; i < entering.size(); ++i) {
    if (i < carried.active.size()) results.push_back(or_zeros(b, gradients[i], entering[i]));
    else results.push_back(gradients[i] ? sum_of_gradients(b, entering[i], gradients[i]) : entering[i]);
  }
}

void set_results(VjpContext& c, const Carried& carried, size_t first, std::span<Value* const> results) {
  size_t next = 0;
  for (size_t i : carried.active) c.set(first + i, results[next++]);
  for (size_t i : carried.captures) c.set(i, results[next++]);
}

Status save_carried(DecomposeContext& c, std::string_view op, size_t first_operand, size_t first_input, size_t count, size_t others) {
  for (size_t i = 0; i < count; ++i) {
    const Value* operand = c.operand(first_operand + i);
    if (operand->type != c.attrs().graph("body")->inputs()[first_input + i]->type) {
      return unsupported(fmt::format("the gradient needs carried values whose shape stays, number {} is {} at first", i, to_string(operand->type)));
    }
    if (!operand->type.is_tensor()) return unsupported(fmt::format("the gradient needs carried values that are tensors, got {}", to_string(operand->type)));
  }
  const auto body = std::shared_ptr<Graph>(c.attrs().graph("body")->clone());
  for (size_t i = 0; i < count; ++i) body->outputs.push_back({"saved", body->inputs()[first_input + i]});
  Attributes attrs = c.attrs();
  attrs.set("body", body);
  attrs.set("saved", static_cast<int64_t>(count));
  for (const char* entries : {"scan_output_axes", "scan_output_directions"}) {
    if (!attrs.has(entries)) continue;
    std::vector<int64_t> list = attrs.integers(entries);
    list.resize(list.size() + count, 0);
    attrs.set(entries, list);
  }
  std::vector<Value*> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) operands.push_back(c.operand(i));
  const std::vector<Value*> results = c.b.op_n(op, std::move(operands), std::move(attrs), body->outputs.size() - others);
  for (size_t i = 0; i < c.output_count(); ++i) c.set(i, results[i]);
  return {};
}

// One branch of the gradient of an If: from the captures and the gradients of results to those of `wanted` captures.
Result<std::shared_ptr<Graph>> branch_gradient(VjpContext& c, std::string_view name, const std::vector<size_t>& given, const std::vector<size_t>& wanted) {
  BodyGradient body = TRY(BodyGradient::of(*c.attrs().graph(name)));
  std::vector<Value*> captures, variables;
  for (size_t i = 0; i < body.old_inputs().size(); ++i) {
    captures.push_back(body.add_input(body.old_inputs()[i]->type));
    body.replace(i, captures.back());
  }
  std::vector<ResultGradient> starts;
  for (size_t i : given) starts.push_back({i, body.add_input(c.gradient(i)->type)});
  for (size_t i : wanted) variables.push_back(captures[i - 1]);
  const std::vector<Value*> gradients = TRY(body.run(c, starts, variables));
  GraphBuilder b(body.graph());
  std::vector<Value*> results;
  for (size_t i = 0; i < wanted.size(); ++i) results.push_back(or_zeros(b, gradients[i], variables[i]));
  TRY(Status(b.status()));
  body.finish(std::move(results));
  return body.shared();
}

}  // namespace

Status if_vjp(VjpContext& c) {
  std::vector<size_t> given, wanted;
  std::vector<Value*> operands(c.node().inputs().begin(), c.node().inputs().end());
  for (size_t i = 0; i < c.node().outputs().size(); ++i) {
    if (!c.gradient(i)) continue;
    given.push_back(i);
    operands.push_back(c.gradient(i));
  }
  for (size_t i = 1; i < c.node().inputs().size(); ++i) {
    if (c.wants(i)) wanted.push_back(i);
  }
  Attributes attrs = {{"captures", static_cast<int64_t>(operands.size() - 1)}};
  for (const char* name : {"then_branch", "else_branch"}) attrs.set(name, TRY(branch_gradient(c, name, given, wanted)));
  const std::vector<Value*> results = c.b.op_n("If", std::move(operands), std::move(attrs), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) c.set(wanted[i], results[i]);
  return c.b.status();
}

Status loop_for_gradient(DecomposeContext& c) {
  const auto captures = static_cast<size_t>(c.attrs().integer("captures"));
  const size_t count = c.operand_count() < 2 ? 0 : c.operand_count() - 2 - captures;
  if (count == 0 || c.attrs().integer("saved") > 0) return {};
  return save_carried(c, "Loop", 2, 2, count, 1);
}

Status scan_for_gradient(DecomposeContext& c) {
  const auto others = static_cast<size_t>(c.attrs().integer("captures") + c.attrs().integer("num_scan_inputs"));
  const size_t count = c.operand_count() - others;
  if (count == 0 || c.attrs().integer("saved") > 0) return {};
  return save_carried(c, "Scan", 0, 0, count, 0);
}

// The gradient is a loop over the same runs from the last to the first.
Status loop_vjp(VjpContext& c) {
  const auto captures = static_cast<size_t>(c.attrs().integer("captures")), saved = static_cast<size_t>(c.attrs().integer("saved"));
  const size_t operand_count = c.node().inputs().size(), count = operand_count - 2 - captures;
  const Graph& forward = *c.attrs().graph("body");
  const Carried carried = carried_of(c, 2, count, captures, forward.outputs.size() - 1 - count - saved);
  BodyGradient body = TRY(BodyGradient::of(forward));
  Value* iteration = body.add_input(Type::tensor(DType::kI64, Shape{}));
  Value* going_on = body.add_input(Type::tensor(DType::kBool, Shape{}));
  std::vector<Value*> initial = initial_gradients(c, carried, 2), entering, variables;
  for (Value* value : initial) entering.push_back(body.add_input(value->type));
  Value* last = body.add_input(Type::tensor(DType::kI64, Shape{}));
  Value* run = body.before().sub(last, iteration);
  auto entered = [&](Value* stack) { return body.before().op("Gather", {body.add_input(stack->type), run}); };
  std::vector<Value*> outer;
  body.replace(0, run);
  body.replace(1, body.before().constant(Tensor::scalar(true)));
  for (size_t i = 0; i < count; ++i) {
    outer.push_back(carried.stacks[i]);
    Value* value = entered(outer.back());
    body.replace(2 + i, value);
    if (is_float_tensor(c.operand(2 + i))) variables.push_back(value);
  }
  std::vector<ResultGradient> given;
  for (size_t i = 0; i < carried.active.size(); ++i) given.push_back({1 + carried.active[i], entering[i]});
  for (size_t i : carried.scans) {
    outer.push_back(c.gradient(count + i));
    given.push_back({1 + count + i, entered(outer.back())});
  }
  for (size_t i = operand_count - captures; i < operand_count; ++i) {
    outer.push_back(c.operand(i));
    Value* value = body.add_input(body.old_inputs()[i]->type);
    body.replace(i, value);
    if (c.wants(i)) variables.push_back(value);
  }
  const std::vector<Value*> gradients = TRY(body.run(c, given, std::move(variables)));
  GraphBuilder b(body.graph());
  std::vector<Value*> results = {going_on};
  append_updates(b, entering, carried, gradients, results);
  TRY(Status(b.status()));
  body.finish(std::move(results));
  Value* runs = c.b.squeeze(c.b.op("Shape", {outer[0]}, {{"start", int64_t{0}}, {"end", int64_t{1}}}), {0});
  std::vector<Value*> operands = {runs, nullptr};
  operands.insert(operands.end(), initial.begin(), initial.end());
  operands.push_back(c.b.sub(runs, c.b.constant(Tensor::scalar<int64_t>(1))));
  operands.insert(operands.end(), outer.begin(), outer.end());
  Attributes attrs = {{"body", body.shared()}, {"captures", static_cast<int64_t>(1 + outer.size())}};
  set_results(c, carried, 2, c.b.op_n("Loop", std::move(operands), std::move(attrs), initial.size()));
  return c.b.status();
}

namespace {

int64_t entry_of(const Attributes& attrs, std::string_view name, size_t i) { return attrs.has(name) ? attrs.integers(name)[i] : 0; }

// Scanned operands and results of the gradient of a Scan, with their axes and directions.
struct Scanned {
  std::vector<Value*> operands;
  std::vector<int64_t> input_axes, input_directions, output_axes, output_directions;

  void add(Value* operand, int64_t axis, int64_t direction) {
    operands.push_back(operand);
    input_axes.push_back(axis);
    input_directions.push_back(direction);
  }
};

}  // namespace

// The gradient is a scan over the same slices in the opposite direction.
Status scan_vjp(VjpContext& c) {
  const Attributes& attrs = c.attrs();
  const auto captures = static_cast<size_t>(attrs.integer("captures")), slices = static_cast<size_t>(attrs.integer("num_scan_inputs"));
  const size_t operand_count = c.node().inputs().size(), count = operand_count - captures - slices;
  const Graph& forward = *attrs.graph("body");
  const size_t scans = forward.outputs.size() - count - static_cast<size_t>(attrs.integer("saved"));
  const Carried carried = carried_of(c, 0, count, captures, scans);
  BodyGradient body = TRY(BodyGradient::of(forward));
  std::vector<Value*> initial = initial_gradients(c, carried, 0), entering, variables, scanned_variables;
  for (Value* value : initial) entering.push_back(body.add_input(value->type));
  Scanned scanned;
  std::vector<size_t> wanted;
  auto exchange = [&](size_t i) {
    Value* value = body.add_input(body.old_inputs()[i]->type);
    body.replace(i, value);
    return value;
  };
  for (size_t i = 0; i < slices; ++i) {
    const int64_t axis = entry_of(attrs, "scan_input_axes", i), direction = 1 - entry_of(attrs, "scan_input_directions", i);
    scanned.add(c.operand(count + i), axis, direction);
    Value* slice = exchange(count + i);
    if (!c.wants(count + i)) continue;
    wanted.push_back(count + i);
    scanned_variables.push_back(slice);
    scanned.output_axes.push_back(axis);
    scanned.output_directions.push_back(direction);
  }
  for (size_t i = 0; i < count; ++i) {
    scanned.add(carried.stacks[i], 0, 1);
    Value* value = exchange(i);
    if (is_float_tensor(c.operand(i))) variables.push_back(value);
  }
  std::vector<ResultGradient> given;
  for (size_t i = 0; i < carried.active.size(); ++i) given.push_back({carried.active[i], entering[i]});
  for (size_t i : carried.scans) {
    scanned.add(c.gradient(count + i), entry_of(attrs, "scan_output_axes", i), 1 - entry_of(attrs, "scan_output_directions", i));
    given.push_back({count + i, body.add_input(body.graph().outputs[count + i].value->type)});
  }
  for (size_t i = operand_count - captures; i < operand_count; ++i) {
    Value* value = exchange(i);
    if (c.wants(i)) variables.push_back(value);
  }
  variables.insert(variables.end(), scanned_variables.begin(), scanned_variables.end());
  const std::vector<Value*> gradients = TRY(body.run(c, given, variables));
  GraphBuilder b(body.graph());
  std::vector<Value*> results;
  append_updates(b, entering, carried, gradients, results);
  for (size_t i = 0; i < wanted.size(); ++i) results.push_back(or_zeros(b, gradients[entering.size() + i], scanned_variables[i]));
  TRY(Status(b.status()));
  body.finish(std::move(results));
  std::vector<Value*> operands = initial;
  operands.insert(operands.end(), scanned.operands.begin(), scanned.operands.end());
  for (size_t i = operand_count - captures; i < operand_count; ++i) operands.push_back(c.operand(i));
  const Attributes all = {{"body", body.shared()},
                          {"num_scan_inputs", static_cast<int64_t>(scanned.operands.size())},
                          {"scan_input_axes", scanned.input_axes},
                          {"scan_input_directions", scanned.input_directions},
                          {"scan_output_axes", scanned.output_axes},
                          {"scan_output_directions", scanned.output_directions},
                          {"captures", static_cast<int64_t>(captures)}};
  const std::vector<Value*> outputs = c.b.op_n("Scan", std::move(operands), all, initial.size() + wanted.size());
  set_results(c, carried, 0, outputs);
  for (size_t i = 0; i < wanted.size(); ++i) c.set(wanted[i], outputs[initial.size() + i]);
  return c.b.status();
}

// The gradient of each element is that of the body; a value that all elements share collects theirs.
Status sequence_map_vjp(VjpContext& c) {
  const size_t operand_count = c.node().inputs().size(), mapped = operand_count - static_cast<size_t>(c.attrs().integer("captures"));
  BodyGradient body = TRY(BodyGradient::of(*c.attrs().graph("body")));
  std::vector<Value*> operands, variables;
  std::vector<size_t> wanted;
  auto exchange = [&](size_t i) {
    Value* value = body.add_input(body.old_inputs()[i]->type);
    body.replace(i, value);
    operands.push_back(c.operand(i));
    if (!c.wants(i)) return;
    wanted.push_back(i);
    variables.push_back(value);
  };
  for (size_t i = 0; i < mapped; ++i) exchange(i);
  std::vector<ResultGradient> given;
  for (size_t i = 0; i < c.node().outputs().size(); ++i) {
    if (!c.gradient(i)) continue;
    given.push_back({i, body.add_input(body.graph().outputs[i].value->type)});
    operands.push_back(c.gradient(i));
  }
  for (size_t i = mapped; i < operand_count; ++i) exchange(i);
  const std::vector<Value*> gradients = TRY(body.run(c, given, variables));
  GraphBuilder b(body.graph());
  std::vector<Value*> results;
  for (size_t i = 0; i < wanted.size(); ++i) results.push_back(or_zeros(b, gradients[i], variables[i]));
  TRY(Status(b.status()));
  body.finish(std::move(results));
  const Attributes attrs = {{"body", body.shared()}, {"captures", c.attrs().integer("captures")}};
  const std::vector<Value*> outputs = c.b.op_n("SequenceMap", std::move(operands), attrs, wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    Value* operand = c.operand(wanted[i]);
    if (operand->type.kind == Type::Kind::kSequence) {
      c.set(wanted[i], outputs[i]);
      continue;
    }
    Value* all = c.b.op("SequenceInsert", {outputs[i], zeros_like(c.b, operand)});
    Value* stacked = c.b.op("ConcatFromSequence", {all}, {{"axis", int64_t{0}}, {"new_axis", int64_t{1}}});
    Value* sum = c.b.reduce_sum(stacked, {0}, false);
    c.set(wanted[i], operand->type.shape ? c.b.reshape(sum, *operand->type.shape) : sum);
  }
  return c.b.status();
}

}  // namespace gannet
