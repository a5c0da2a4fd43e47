// A contraction as lowering finds it: one node, or the body of a Fused node taken apart into the contraction, operands
// seen through Transposes as strides, and the epilogue's steps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/program_builder.h"
#include "ir/graph.h"
#include "runtime/core/recipe.h"

namespace gannet::onednn {

// Why a node is not taken; taken when empty.
using Refusal = std::string;

// A tensor of the Program read with other axes than those it lies in.
struct MemoryView {
  const Value* value = nullptr;  // of the graph around the Fused node
  const Tensor* constant = nullptr;  // of a Constant inside the body, when value is null
  DType dtype = DType::kUndefined;
  Shape extents;
  std::vector<Dim> strides;

  bool is_constant() const { return constant || value->constant(); }
};

MemoryView dense_view(const Value* value);
// Axis i of the result is axis order[i] of `view`.
MemoryView permuted(const MemoryView& view, std::span<const int64_t> order);
// With an axis of one element put in before axis `axis`.
MemoryView with_axis(MemoryView view, size_t axis);
TensorLayout layout_of(const MemoryView& view, ProgramBuilder& builder);
ValueId value_of(const MemoryView& view, ProgramBuilder& builder);

// A step of the epilogue with its operand over the axes of the contraction's result.
struct EpilogueOperand {
  EpilogueStep step;
  std::optional<MemoryView> view;
};

class Contraction {
 public:
  // `node` must have one result. A refusal when a body is not made as ir/epilogue.h says.
  Refusal read(const Node& node);

  const Node& core() const { return *core_; }
  // Operand i of the core; nothing when absent.
  std::optional<MemoryView> operand(size_t i) const;
  // What the steps' result is written to, axes in the order of the core's result.
  const MemoryView& result() const { return result_; }
  std::vector<EpilogueOperand>& epilogue() { return epilogue_; }
  // Whether the core's operands are bf16 in memory.
  bool multiplies_bf16() const;
  // What the library cannot take of the element types of operands and result, where these are no codes.
  Refusal type_obstacle() const;
  // "Conv + Relu", "bf16 Conv + Relu"
  std::string description() const;

 private:
  Refusal follow_chain(const Graph& body);
  Refusal add_elementwise(const Node& node, const Value* chained);
  std::optional<MemoryView> view_of(const Value* value) const;

  const Node* node_ = nullptr;
  const Node* core_ = nullptr;
  const Graph* body_ = nullptr;
  MemoryView result_;
  std::vector<EpilogueOperand> epilogue_;
  std::vector<EpilogueTerm> chain_;  // the same without operands, in order
  std::vector<int64_t> order_;  // axis of the present result -> axis of the core's
  Shape core_extents_;
  bool widened_ = false;  // sums of integers have been made f32
  std::string description_;
};

// A step of `node` with the recipe's inputs and its result, and the recipe's epilogue filled in: inputs are `operands`,
// then those of the epilogue.
struct StepParts {
  std::vector<ValueId> inputs;
  std::vector<EpilogueStep> epilogue;
};
StepParts finish_epilogue(std::vector<ValueId> operands, std::span<const EpilogueOperand> epilogue, ProgramBuilder& builder);
// Gives the step's position.
size_t add_primitive_step(const Node& node, std::string op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, Recipe recipe,
                          ProgramBuilder& builder);

// The zero point of x: a number, or a value.
struct ZeroPoint {
  int32_t number = 0;
  std::optional<MemoryView> view;
};
// Of sums of integers; a refusal where the library has no form for their operands.
Refusal read_integer_operands(const Contraction& contraction, const MemoryView& x, const MemoryView& w, ZeroPoint& x_zero);

// Each lowers a node that is, or whose body holds, its kind of op.
Refusal lower_convolution(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_matmul(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_pooling(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_input_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_weight_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_pooling_gradient(const Node& node, Contraction& contraction, ProgramBuilder& builder);
Refusal lower_gather_gradient(const Node& node, ProgramBuilder& builder);
Refusal lower_scatter_blocks(const Node& node, ProgramBuilder& builder);
Refusal lower_cumulative(const Node& node, ProgramBuilder& builder);
Refusal lower_likelihood(const Node& node, ProgramBuilder& builder);
Refusal lower_attention(const Node& node, bool has_bf16_products, ProgramBuilder& builder);
Refusal lower_recurrent(const Node& node, ProgramBuilder& builder);

}  // namespace gannet::onednn
