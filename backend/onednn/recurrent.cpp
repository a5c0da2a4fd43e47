#include <fmt/format.h>

#include <array>

#include "backend/onednn/contraction.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/ops/recurrent_layer.h"

namespace gannet::onednn {
namespace {

constexpr size_t kResultCount = 3;
constexpr std::string_view kRoles[] = {"X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"};

// Inference has compared what is constant; the rest is checked in each run.
void check_shape(const Node& node, size_t operand, const Shape& wanted, ProgramBuilder& builder) {
  const Value* value = node.input(operand);
  if (!value) return;
  for (size_t axis = 0; axis < wanted.size(); ++axis) {
    builder.check((*value->type.shape)[axis], wanted[axis], false, fmt::format("{}{} dimension {}", describe(node), kRoles[operand], axis));
  }
}

RecurrentKind kind_of(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "LSTM" ? RecurrentKind::kLstm : op == "GRU" ? RecurrentKind::kGru : RecurrentKind::kRnn;
}

bool flag(const Node& node, std::string_view name) { return node.attrs.has(name) && node.attrs.integer(name) != 0; }

}  // namespace

Refusal lower_recurrent(const Node& node, ProgramBuilder& builder) {
  if (const DType dtype = node.input(kX)->type.dtype; dtype != DType::kF32) return std::string(name_of(dtype));
  const Shape &x = *node.input(kX)->type.shape, &r = *node.input(kR)->type.shape;
  if (!r[2].is_constant() || r[2].constant() < 1) return fmt::format("a state of {} units", r[2].to_string());
  const RecurrentCell& cell = recurrent_cell(node.op().name);
  RecurrentRecipe recipe;
  recipe.kind = kind_of(node);
  recipe.hidden_size = r[2].constant();
  recipe.reversed = node.attrs.text("direction") == "reverse";
  recipe.bidirectional = node.attrs.text("direction") == "bidirectional";
  recipe.batch_first = node.attrs.integer("layout") != 0;
  recipe.linear_before_reset = flag(node, "linear_before_reset");
  recipe.input_forget = flag(node, "input_forget");
  const int64_t directions = recipe.bidirectional ? 2 : 1;
  Result<std::vector<Activation>> activations = activations_of(node.attrs, cell, directions);
  if (!activations.ok()) return activations.error().message;
  recipe.activations = *std::move(activations);
  recipe.activations.resize(cell.activations.size() * static_cast<size_t>(directions));
  recipe.constant_weights = true;
  recipe.given_h = node.input(kInitialH) != nullptr;
  recipe.gives_y = node.output(0) != nullptr;
  recipe.gives_last_c = node.output(2) != nullptr;
  for (const size_t operand : {kW, kR, kB, kP}) recipe.constant_weights &= !node.input(operand) || node.input(operand)->constant();

  const Dim steps = x[recipe.batch_first ? 1 : 0], batch = x[recipe.batch_first ? 0 : 1], hidden = r[2];
  recipe.steps = builder.size(steps);
  recipe.batch = builder.size(batch);
  recipe.input_size = builder.size(x[2]);
  const Shape state = recipe.batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  check_shape(node, kW, {directions, Dim(cell.gates) * hidden, x[2]}, builder);
  check_shape(node, kR, {directions, Dim(cell.gates) * hidden, hidden}, builder);
  check_shape(node, kB, {directions, Dim(2 * cell.gates) * hidden}, builder);
  check_shape(node, kLengths, {batch}, builder);
  check_shape(node, kInitialH, state, builder);
  check_shape(node, kInitialC, state, builder);
  check_shape(node, kP, {directions, Dim(3) * hidden}, builder);
  std::vector<ValueId> inputs, outputs;
  for (size_t i = 0; i < kRecurrentOperands; ++i) inputs.push_back(builder.value(node.input(i)));
  for (size_t i = 0; i < kResultCount; ++i) outputs.push_back(builder.value(node.output(i)));
  add_primitive_step(node, std::string(node.op().name), std::move(inputs), std::move(outputs), std::move(recipe), builder);
  return "";
}

}  // namespace gannet::onednn
