// Convolutions and products between DequantizeLinear and QuantizeLinear sum their codes in integers: ConvInteger or
// MatMulInteger, a factor and a summand for each channel, what stands between, and rounding. Sums are exact where those
// of f32 are rounded; the factors of operands, weights and result become one (docs/numerics.md says what that may change).
// Only for inference, and for machines whose products of 8 bits do not saturate (Target::integer_products).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/quantize_scalar.h"
#include "passes/linear_code.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {
namespace {

bool is_convolution(const Node& node) { return node.op().name == "Conv"; }

// The axis of the result with one scale of the weights for each index, and that of the weights it comes from.
int64_t channel_axis(const Node& node) { return is_convolution(node) ? 1 : node.output()->type.rank() - 1; }

// What stands between a contraction and the QuantizeLinear after it, and what is known of the contraction itself.
struct Plan {
  Node* core = nullptr;
  Node* decoder = nullptr;
  CodedConstant weights;
  Value* last = nullptr;             // what the new nodes take the place of
  std::vector<double> summands;      // per channel, in units of the result; empty for none
  Node* activation = nullptr;        // Relu or LeakyRelu
  Node* encoder = nullptr;
};

std::vector<double> all_numbers(const Tensor& tensor) {
  std::vector<double> numbers;
  for (int64_t i = 0; i < tensor.elements(); ++i) numbers.push_back(tensor.double_at(i));
  return numbers;
}

// A constant, or the DequantizeLinear of constants, in f64.
std::optional<std::pair<std::vector<double>, Shape>> known_numbers(const Value* value) {
  if (!value->type.shape) return std::nullopt;
  if (const Tensor* tensor = value->constant()) return std::pair(all_numbers(*tensor), *value->type.shape);
  const Node* node = producer_of(value, "DequantizeLinear");
  if (!node || !node->input(0)->constant() || !node->input(1)->constant() || (node->input(2) && !node->input(2)->constant())) {
    return std::nullopt;
  }
  std::vector<double> numbers = all_numbers(*node->input(0)->constant());
  const std::vector<double> scales = all_numbers(*node->input(1)->constant());
  const std::vector<double> zeros = node->input(2) ? all_numbers(*node->input(2)->constant()) : std::vector<double>{0};
  // Only lists: their axis is the one they have.
  if (value->type.rank() > 1 || (scales.size() > 1 && scales.size() != numbers.size())) return std::nullopt;
  if (zeros.size() != 1 && zeros.size() != scales.size()) return std::nullopt;
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = (numbers[i] - zeros[zeros.size() == 1 ? 0 : i]) * scales[scales.size() == 1 ? 0 : i];
  }
  return std::pair(std::move(numbers), *value->type.shape);
}

// `value` as one number for each of `channels` along `axis` of `rank` dimensions, or one for all.
std::optional<std::vector<double>> channel_numbers(const Value* value, int64_t axis, int64_t rank, int64_t channels) {
  std::optional<std::pair<std::vector<double>, Shape>> known = known_numbers(value);
  if (!known || static_cast<int64_t>(known->second.size()) > rank) return std::nullopt;
  const int64_t added = rank - static_cast<int64_t>(known->second.size());
  for (size_t d = 0; d < known->second.size(); ++d) {
    if (known->second[d].is_constant(1)) continue;
    if (static_cast<int64_t>(d) + added != axis || !known->second[d].is_constant(channels)) return std::nullopt;
  }
  return known->first.size() == 1 ? std::vector<double>(static_cast<size_t>(channels), known->first[0]) : std::move(known->first);
}

Node* only_user(const Value* value) { return has_one_use(value) ? value->uses()[0].node : nullptr; }

// Adds the nodes after the contraction that join it.
void follow(Plan& plan, int64_t channels) {
  const int64_t rank = plan.last->type.rank(), axis = channel_axis(*plan.core);
  Node* next = only_user(plan.last);
  if (plan.summands.empty() && next && next->op().name == "Add") {
    const Value* other = next->input(next->input(0) == plan.last ? 1 : 0);
    std::optional<std::vector<double>> numbers = channel_numbers(other, axis, rank, channels);
    if (numbers && next->output()->type.shape == plan.last->type.shape) {
      plan.summands = std::move(*numbers);
      plan.last = next->output();
      next = only_user(plan.last);
    }
  }
  Node* activation = nullptr;
  if (next && (next->op().name == "Relu" || next->op().name == "LeakyRelu")) {
    activation = next;
    next = only_user(next->output());
  }
  const std::optional<LinearCode> code = next ? linear_code_of(*next) : std::nullopt;
  if (!code || next->op().name != "QuantizeLinear" || element_bits(code->dtype) != 8) return;
  plan.activation = activation;
  plan.encoder = next;
  plan.last = next->output();
}

Status read_operands(Plan& plan) {
  const Node& core = *plan.core;
  plan.decoder = decoder_of(core.input(0));
  if (!plan.decoder) return unsupported("its operand has no code with one scale");
  const DType dtype = plan.decoder->input(0)->type.dtype;
  if (element_bits(dtype) != 8) return unsupported(fmt::format("its operand is {}", name_of(dtype)));
  if (!core.output()->type.shape || !core.input(1)->type.shape) return unsupported("a rank is not known");
  const int64_t weight_rank = core.input(1)->type.rank();
  if (!is_convolution(core) && weight_rank < 2) return unsupported("a product with a vector");
  if (is_convolution(core) && (weight_rank < 3 || weight_rank > 5)) return unsupported("more than 3 spatial dimensions");
  plan.weights = TRY(coded_constant(core.input(1), is_convolution(core) ? 0 : weight_rank - 1));
  return {};
}

Result<Plan> plan_of(Node& core) {
  Plan plan;
  plan.core = &core;
  plan.last = core.output();
  TRY(read_operands(plan));
  const std::vector<int64_t>& extents = plan.weights.elements.extents();
  const int64_t channels = is_convolution(core) ? extents.front() : extents.back();
  if (plan.weights.elements.elements() == 0) return unsupported("there is nothing to sum");
  if (is_convolution(core) && core.input(2)) {
    std::optional<std::vector<double>> bias = channel_numbers(core.input(2), 0, 1, channels);
    if (!bias) return unsupported("its bias is not constant");
    plan.summands = std::move(*bias);
  }
  follow(plan, channels);
  return plan;
}

// One number a channel, or a scalar where they are equal, that broadcasts against the result.
Value* channel_constant(GraphBuilder& b, const Plan& plan, const std::vector<double>& numbers) {
  std::vector<float> values(numbers.begin(), numbers.end());
  if (std::ranges::all_of(values, [&](float v) { return v == values[0]; })) return b.constant(Tensor::scalar<float>(values[0]));
  std::vector<int64_t> extents(static_cast<size_t>(plan.core->output()->type.rank() - channel_axis(*plan.core)), 1);
  extents[0] = static_cast<int64_t>(values.size());
  return b.constant(Tensor::from<float>(extents, values));
}

// The same as summands of the sums, so that sums and summands have one factor.
std::vector<double> in_units_of(const std::vector<double>& summands, const std::vector<double>& scales) {
  std::vector<double> result;
  for (size_t i = 0; i < summands.size(); ++i) result.push_back(summands[i] / scales[scales.size() == 1 ? 0 : i]);
  return result;
}

Status rewrite(Graph& graph, const Plan& plan) {
  Node& place = *plan.last->producer();
  GraphBuilder b(graph, &place, plan.core->name);
  const LinearCode code = *linear_code_of(*plan.decoder);
  Value* zero = code.zero == 0 ? nullptr : b.constant(Tensor::scalar_of(code.dtype, code.zero));
  std::vector<Value*> operands = {plan.decoder->input(0), b.constant(plan.weights.elements)};
  if (zero) operands.push_back(zero);
  Value* sums = b.op(is_convolution(*plan.core) ? "ConvInteger" : "MatMulInteger", operands,
                     is_convolution(*plan.core) ? plan.core->attrs : Attributes());
  sums->producer()->name = plan.core->name;
  std::vector<double> scales = plan.weights.scales;
  for (double& scale : scales) scale *= static_cast<double>(code.scale);
  Value* y = b.cast(sums, DType::kF32);
  if (!plan.summands.empty()) y = b.add(y, channel_constant(b, plan, in_units_of(plan.summands, scales)));
  const std::optional<LinearCode> wanted = plan.encoder ? linear_code_of(*plan.encoder) : std::nullopt;
  if (wanted) {
    for (double& scale : scales) scale /= static_cast<double>(wanted->scale);
  }
  y = b.mul(y, channel_constant(b, plan, scales));
  if (plan.activation) y = b.op(plan.activation->op().name, {y}, plan.activation->attrs);
  if (wanted) y = b.map(quantize_scalar(ScalarExpr::arg(0), wanted->zero, wanted->dtype), {y});
  TRY(b.status());
  const std::string name = plan.last->name;
  graph.replace_uses(plan.last, y);
  graph.rename(plan.last, name + ".coded");
  graph.rename(y, name);
  return {};
}

}  // namespace

Result<bool> integer_contractions(Graph& graph, PassContext& context) {
  if (!context.target.integer_products) return false;
  std::vector<Node*> cores;
  for (const auto& node : graph.nodes()) {
    const std::string_view op = node->op().name;
    if (op == "Conv" || op == "MatMul") cores.push_back(node.get());
  }
  bool changed = false;
  for (Node* core : cores) {
    Result<Plan> plan = plan_of(*core);
    if (plan.ok()) {
      TRY(rewrite(graph, *plan));
      changed = true;
    } else if (decoder_of(core->input(0)) || producer_of(core->input(1), "DequantizeLinear")) {
      context.remark(*core, "sums in f32: " + plan.error().message);
    }
  }
  if (changed) erase_dead_nodes(graph);
  return changed;
}

}  // namespace gannet
