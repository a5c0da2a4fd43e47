// Building graphs: each call adds one node, with its type inferred. The first error sticks: later calls do nothing but
// return a value of unknown type, and status() tells at the end what went wrong. So a composition reads like
// mathematics and still reports malformed operands.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/infer.h"

namespace gannet {

class GraphBuilder {
 public:
  // New nodes go before `before` (null: at the end). With `name_prefix`, nodes are named after it.
  explicit GraphBuilder(Graph& graph, Node* before = nullptr, std::string name_prefix = "");

  Graph& graph() { return graph_; }
  const Status& status() const { return status_; }
  void fail(Error error);

  Value* op(std::string_view name, std::vector<Value*> operands, Attributes attrs = {});
  std::vector<Value*> op_n(std::string_view name, std::vector<Value*> operands, Attributes attrs, size_t output_count);

  Value* constant(Tensor tensor);
  // A rank-0 constant of the dtype of `like`.
  Value* number(double value, const Value* like);
  Value* ints(std::initializer_list<int64_t> values) { return ints(std::vector<int64_t>(values)); }
  Value* ints(const std::vector<int64_t>& values);
  // A 1-D i64 tensor of dimensions: a Constant where all are integers, else a Dims node.
  Value* dims(const Shape& shape);
  // An elementwise function of its operands as one Map node.
  Value* map(ScalarExpr body, std::vector<Value*> operands);

  Value* add(Value* x, Value* y) { return op("Add", {x, y}); }
  Value* sub(Value* x, Value* y) { return op("Sub", {x, y}); }
  Value* mul(Value* x, Value* y) { return op("Mul", {x, y}); }
  Value* div(Value* x, Value* y) { return op("Div", {x, y}); }
  Value* neg(Value* x) { return op("Neg", {x}); }
  Value* matmul(Value* x, Value* y) { return op("MatMul", {x, y}); }
  Value* cast(Value* x, DType dtype);  // x itself when it has that dtype
  Value* reshape(Value* x, const Shape& shape);
  Value* expand(Value* x, const Shape& shape);
  Value* transpose(Value* x, std::vector<int64_t> permutation);
  // Axes as in ONNX; an empty list reduces over none.
  Value* reduce(std::string_view op_name, Value* x, const std::vector<int64_t>& axes, bool keep_dims);
  Value* reduce_sum(Value* x, const std::vector<int64_t>& axes, bool keep_dims) { return reduce("ReduceSum", x, axes, keep_dims); }
  Value* reduce_mean(Value* x, const std::vector<int64_t>& axes, bool keep_dims) { return reduce("ReduceMean", x, axes, keep_dims); }
  Value* unsqueeze(Value* x, const std::vector<int64_t>& axes);
  Value* squeeze(Value* x, const std::vector<int64_t>& axes);
  Value* slice(Value* x, std::vector<int64_t> starts, std::vector<int64_t> ends, std::vector<int64_t> axes,
               std::vector<int64_t> steps = {});
  Value* concat(std::vector<Value*> parts, int64_t axis);
  // The sum of `x` over the dimensions that broadcasting added or stretched, so that it has `shape` again.
  Value* sum_to(Value* x, const Shape& shape);
  // The same for the shape of `like`, and x broadcast to it; the rank may be unknown.
  Value* sum_to_like(Value* x, Value* like);
  Value* expand_like(Value* x, Value* like);
  // A tensor of `shape` filled with `value`.
  Value* full(const Shape& shape, DType dtype, double value);

 private:
  Graph& graph_;
  Node* before_;
  std::string name_prefix_;
  Status status_;
};

// What a decompose function sees: build the results from the operands, call set for each wanted output.
class DecomposeContext {
 public:
  DecomposeContext(GraphBuilder& graph_builder, const Attributes& attributes, std::vector<Value*> operand_values,
                   size_t output_count)
      : b(graph_builder), attrs_(attributes), operands_(std::move(operand_values)), outputs_(output_count) {}

  GraphBuilder& b;
  const Attributes& attrs() const { return attrs_; }
  size_t operand_count() const { return operands_.size(); }
  // Operand i, or null when absent.
  Value* operand(size_t i) const { return i < operands_.size() ? operands_[i] : nullptr; }
  size_t output_count() const { return outputs_.size(); }
  void set(size_t i, Value* value) {
    if (i < outputs_.size()) outputs_[i] = value;
  }
  const std::vector<Value*>& outputs() const { return outputs_; }

 private:
  const Attributes& attrs_;
  std::vector<Value*> operands_;
  std::vector<Value*> outputs_;
};

// infer and eval of ops that only decompose.
Status infer_by_decomposition(InferContext& context);
Status eval_by_decomposition(EvalContext& context);

}  // namespace gannet
