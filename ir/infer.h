// Type inference: from the types (and, where known, contents) of a node's operands to those of its results. The same
// `infer` of an op serves import, where dimensions are symbols, and evaluation, where they are integers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace gannet {

struct InferOperand {
  const Type* type = nullptr;               // null: absent
  const Tensor* constant = nullptr;         // the data, where known
  const std::vector<Dim>* contents = nullptr;  // an integer tensor's elements as dimensions, where known
};

class InferContext {
 public:
  InferContext(const OpDef& op, const Attributes& attrs, std::span<const InferOperand> operands, size_t output_count,
               Symbols& symbols, bool evaluating = false);

  const OpDef& op() const { return op_; }
  // True while a node runs on concrete operands. Types of subgraphs must not be touched then: several sessions may
  // share the graph, and eval asks only for the types of tensors that it allocates by them.
  bool evaluating() const { return evaluating_; }
  const Attributes& attrs() const { return attrs_; }

  size_t operand_count() const { return operands_.size(); }
  bool has(size_t i) const { return i < operands_.size() && operands_[i].type != nullptr; }
  // The type of operand i (CHECKs has(i)).
  const Type& type(size_t i) const;
  DType dtype(size_t i) const { return type(i).dtype; }
  // The shape of operand i, or null when its rank is not known.
  const Shape* shape(size_t i) const;
  // The data of operand i where it is known, else null.
  const Tensor* constant(size_t i) const;
  // The elements of integer operand i as dimensions, where all are known (from a constant or by inference).
  std::optional<std::vector<Dim>> contents(size_t i) const;
  // The same as integers, where they are.
  std::optional<std::vector<int64_t>> ints(size_t i) const;

  size_t output_count() const { return types_.size(); }
  // Sets the type of output i; ignored when fewer outputs are wanted.
  void set(size_t i, Type type);
  void set_tensor(size_t i, DType dtype, std::optional<Shape> shape) { set(i, Type::tensor(dtype, std::move(shape))); }
  // States the elements of output i, an integer tensor of rank 0 or 1.
  void set_contents(size_t i, std::vector<Dim> contents);
  // A fresh symbol for a data-dependent dimension.
  Dim fresh(const std::string& prefix) { return symbols_.fresh(prefix); }
  Symbols& symbols() { return symbols_; }

  std::vector<Type>& types() { return types_; }
  std::vector<std::optional<std::vector<Dim>>>& output_contents() { return contents_; }

 private:
  const OpDef& op_;
  const Attributes& attrs_;
  std::span<const InferOperand> operands_;
  std::vector<Type> types_;
  std::vector<std::optional<std::vector<Dim>>> contents_;
  Symbols& symbols_;
  bool evaluating_;
};

// Checks operand and output counts, required attributes, then runs the op's infer. Errors do not name the node.
Status infer(InferContext& context);
// Infers a node in place: sets types and contents of its outputs. Errors start with "node 'x' (Conv): ".
Status infer_node(Node& node);
// infer_node over all nodes in order. Subgraphs are inferred by the ops that own them.
Status infer_graph(Graph& graph);
// "node 'x' (Conv): ", or "Conv: " for a nameless one.
std::string describe(const Node& node);

// Broadcasting of two shapes (numpy's rules); an error when two integer extents differ and neither is 1.
Result<Shape> broadcast_shapes(const Shape& a, const Shape& b);
// `axis` counted from the end when negative; an error when it is outside [-rank, rank).
Result<int64_t> normalize_axis(int64_t axis, int64_t rank);
// Each axis normalized, sorted; an error on a duplicate.
Result<std::vector<int64_t>> normalize_axes(std::span<const int64_t> axes, int64_t rank);
// Two shapes known to describe the same value: per dimension the more precise of both; an error when integers differ.
Result<Shape> merge_shapes(const Shape& a, const Shape& b);
Result<Type> merge_types(const Type& a, const Type& b);
// Checks for infer functions: "input 1 (weight) must have rank 4, got f32[3, 3]".
Status expect_rank(const InferContext& context, size_t i, int64_t rank, std::string_view role);
Status expect_float(const InferContext& context, size_t i, std::string_view role);
Status expect_same_dtype(const InferContext& context, size_t i, size_t j);

// Infers a subgraph for operands of these types (their shapes are set on its inputs) and gives its output types.
Result<std::vector<Type>> infer_subgraph(Graph& graph, std::span<const Type> input_types);

}  // namespace gannet
