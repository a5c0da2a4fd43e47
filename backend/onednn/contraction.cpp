#include "backend/onednn/contraction.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/bf16_cast.h"
#include "ir/epilogue.h"
#include "ir/op.h"

namespace gannet::onednn {
namespace {

constexpr std::string_view kCores[] = {"Conv",    "ConvTranspose", "ConvInputGradient", "ConvWeightGradient", "MatMul", "Gemm",
                                       "MaxPool", "AveragePool",   "MaxPoolGradient",   "AveragePoolGradient", "ConvInteger", "MatMulInteger"};

bool is_core(const Node& node) { return std::ranges::find(kCores, node.op().name) != std::end(kCores); }

bool is_transpose(const Node* node) { return node && node->op().name == "Transpose"; }

// The permutation of a Transpose; without the attribute it reverses the axes.
std::vector<int64_t> permutation_of(const Node& transpose) {
  if (transpose.attrs.has("perm")) return transpose.attrs.integers("perm");
  std::vector<int64_t> order(transpose.input(0)->type.shape->size());
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

// The extents a view must have along an axis to be read for a result of `extent`: the same, or 1.
bool fits(const Dim& operand, const Dim& extent) { return operand.is_constant(1) || operand == extent; }

}  // namespace

MemoryView dense_view(const Value* value) {
  MemoryView view{value, nullptr, value->type.dtype, *value->type.shape, {}};
  Dim stride = 1;
  view.strides.resize(view.extents.size());
  for (size_t d = view.extents.size(); d-- > 0;) {
    view.strides[d] = stride;
    stride = stride * view.extents[d];
  }
  return view;
}

MemoryView permuted(const MemoryView& view, std::span<const int64_t> order) {
  MemoryView result = view;
  for (size_t i = 0; i < order.size(); ++i) {
    result.extents[i] = view.extents[static_cast<size_t>(order[i])];
    result.strides[i] = view.strides[static_cast<size_t>(order[i])];
  }
  return result;
}

MemoryView with_axis(MemoryView view, size_t axis) {
  view.extents.insert(view.extents.begin() + static_cast<int64_t>(axis), Dim(1));
  view.strides.insert(view.strides.begin() + static_cast<int64_t>(axis), Dim(1));
  return view;
}

TensorLayout layout_of(const MemoryView& view, ProgramBuilder& builder) {
  return {view.dtype, builder.sizes(view.extents), builder.sizes(view.strides)};
}

ValueId value_of(const MemoryView& view, ProgramBuilder& builder) {
  return view.constant ? builder.constant(*view.constant) : builder.value(view.value);
}

Refusal Contraction::read(const Node& node) {
  node_ = core_ = &node;
  description_ = node.op().name;
  if (node.op().name != "Fused") {
    core_extents_ = *node.output()->type.shape;
    result_ = dense_view(node.output());
    return "";
  }
  body_ = node.attrs.graph("body").get();
  core_ = nullptr;
  for (const auto& inner : body_->nodes()) {
    if (!is_core(*inner)) continue;
    if (core_) return fmt::format("both {} and {} in one body", core_->op().name, inner->op().name);
    core_ = inner.get();
  }
  if (!core_) return "no contraction in the body";
  if (body_->outputs.size() != 1 || core_->outputs().size() != 1) return "more than one result";
  if (!core_->output()->type.shape) return "a result of unknown rank";
  description_ = core_->op().name;
  core_extents_ = *core_->output()->type.shape;
  return follow_chain(*body_);
}

Refusal Contraction::follow_chain(const Graph& body) {
  order_.resize(core_extents_.size());
  std::iota(order_.begin(), order_.end(), 0);
  const Value* present = core_->output();
  while (present != body.outputs[0].value) {
    if (present->uses().size() != 1) return "a result inside the body has two uses";
    const Use use = present->uses()[0];
    if (is_transpose(use.node)) {
      const std::vector<int64_t> permutation = permutation_of(*use.node), before = order_;
      for (size_t i = 0; i < order_.size(); ++i) order_[i] = before[static_cast<size_t>(permutation[i])];
    } else if (!widened_ && sums_integers(*core_) && widens_sums(*use.node)) {
      widened_ = true;
    } else if (rounds_to_bf16(*use.node)) {
      if (use.node->output() != body.outputs[0].value) return "a result that is rounded and goes on";
    } else {
      if (Refusal reason = add_elementwise(*use.node, present); !reason.empty()) return reason;
    }
    present = use.node->output();
  }
  std::vector<int64_t> inverse(order_.size());
  for (size_t i = 0; i < order_.size(); ++i) inverse[static_cast<size_t>(order_[i])] = static_cast<int64_t>(i);
  result_ = permuted(dense_view(node_->output()), inverse);
  return "";
}

Refusal Contraction::add_elementwise(const Node& node, const Value* chained) {
  const int position = chained->uses()[0].index;
  const std::optional<std::vector<EpilogueTerm>> terms = epilogue_of(node, static_cast<size_t>(position));
  if (!terms) return fmt::format("{} is no step of an epilogue", node.op().name);
  if (node.output()->type.shape != chained->type.shape) return fmt::format("{} changes the shape of the result", node.op().name);
  if (sums_integers(*core_) && !widened_) return "sums of integers go on as such";
  description_ += fmt::format(" + {}", node.op().name);
  for (const EpilogueTerm& term : *terms) {
    const TermPlace place = append_term(chain_, term);
    if (term.kind == EpilogueKind::kQuantize && !sums_integers(*core_)) return "codes after a contraction in f32";
    if (place == TermPlace::kRefused) return fmt::format("{} is a function that stands in the epilogue already", node.op().name);
    if (place == TermPlace::kMerged) {
      epilogue_.back().step.alpha = chain_.back().alpha;
      epilogue_.back().step.beta = chain_.back().beta;
      continue;
    }
    EpilogueOperand operand;
    operand.step.kind = term.kind;
    operand.step.alpha = term.alpha;
    operand.step.beta = term.beta;
    if (term.operand >= 0) {
      std::optional<MemoryView> view = view_of(node.input(static_cast<size_t>(term.operand)));
      if (!view || view->extents.size() > order_.size()) return fmt::format("operand {} of {} does not fit the result", term.operand, node.op().name);
      while (view->extents.size() < order_.size()) view = with_axis(*view, 0);
      std::vector<int64_t> inverse(order_.size());
      for (size_t i = 0; i < order_.size(); ++i) {
        inverse[static_cast<size_t>(order_[i])] = static_cast<int64_t>(i);
        if (!fits(view->extents[i], (*chained->type.shape)[i])) {
          return fmt::format("operand {} of {}: extent {} against {}", term.operand, node.op().name, view->extents[i].to_string(),
                             (*chained->type.shape)[i].to_string());
        }
      }
      operand.view = permuted(*view, inverse);
    }
    epilogue_.push_back(std::move(operand));
  }
  return "";
}

std::optional<MemoryView> Contraction::view_of(const Value* value) const {
  if (!value || !value->type.is_tensor() || !value->type.shape) return std::nullopt;
  if (is_transpose(value->producer()) && body_) {
    const std::optional<MemoryView> source = view_of(value->producer()->input(0));
    if (!source) return std::nullopt;
    return permuted(*source, permutation_of(*value->producer()));
  }
  if (body_ && value->producer() && widens_bf16(*value->producer())) return view_of(value->producer()->input(0));
  if (!body_) return dense_view(value);
  MemoryView view = dense_view(value);
  if (value->constant()) {
    view.constant = value->constant();
    view.value = nullptr;
    return view;
  }
  const auto found = std::ranges::find(body_->inputs(), value);
  if (found == body_->inputs().end()) return std::nullopt;
  const Value* outside = node_->input(static_cast<size_t>(found - body_->inputs().begin()));
  if (!outside) return std::nullopt;
  return dense_view(outside);
}

std::optional<MemoryView> Contraction::operand(size_t i) const {
  return core_->input(i) ? view_of(core_->input(i)) : std::nullopt;
}

bool Contraction::multiplies_bf16() const {
  const std::optional<MemoryView> x = operand(0);
  return x && x->dtype == DType::kBF16;
}

Refusal Contraction::type_obstacle() const {
  const std::optional<MemoryView> x = operand(0), w = operand(1);
  if (!x || !w) return "an operand that is neither given nor a Transpose";
  if (x->dtype != w->dtype || (x->dtype != DType::kF32 && x->dtype != DType::kBF16)) {
    return std::string(name_of(x->dtype == DType::kF32 ? w->dtype : x->dtype));
  }
  auto is_wide = [](const MemoryView& view) { return view.dtype == DType::kF32; };
  const bool all_wide = is_wide(result_) && std::ranges::all_of(epilogue_, [&](const EpilogueOperand& e) { return !e.view || is_wide(*e.view); });
  return x->dtype == DType::kF32 && !all_wide ? "operands in f32 with others in bf16" : "";
}

std::string Contraction::description() const { return multiplies_bf16() ? "bf16 " + description_ : description_; }

Refusal read_integer_operands(const Contraction& contraction, const MemoryView& x, const MemoryView& w, ZeroPoint& x_zero) {
  if (x.dtype != DType::kI8 && x.dtype != DType::kU8) return std::string(name_of(x.dtype));
  if (w.dtype != DType::kI8) return fmt::format("weights in {}", name_of(w.dtype));
  auto zero_of = [&](size_t i) -> std::optional<int64_t> {
    const Value* zero = contraction.core().input(i);
    if (!zero) return 0;
    const std::optional<MemoryView> view = contraction.operand(i);
    const Tensor* tensor = !view ? nullptr : view->constant ? view->constant : view->value->constant();
    if (!tensor || tensor->elements() == 0) return std::nullopt;
    for (int64_t k = 1; k < tensor->elements(); ++k) {
      if (tensor->int_at(k) != tensor->int_at(0)) return std::nullopt;
    }
    return tensor->int_at(0);
  };
  const std::optional<int64_t> of_x = zero_of(2), of_w = zero_of(3);
  if (!of_x) {
    x_zero.view = contraction.operand(2);
    const bool one = x_zero.view && !x_zero.view->is_constant() && element_count(x_zero.view->extents).is_constant(1);
    if (!one) return "more than one zero point";
  }
  if (!of_w || *of_w != 0) return "weights with a zero point";
  if (!is_static(w.extents) || std::ranges::any_of(w.extents, [](const Dim& d) { return d.is_constant(0); })) {
    return "weights of symbolic extents, or without elements";
  }
  x_zero.number = static_cast<int32_t>(of_x.value_or(0));
  return "";
}

StepParts finish_epilogue(std::vector<ValueId> operands, std::span<const EpilogueOperand> epilogue, ProgramBuilder& builder) {
  StepParts parts{std::move(operands), {}};
  for (const EpilogueOperand& operand : epilogue) {
    EpilogueStep step = operand.step;
    if (operand.view) {
      step.operand = static_cast<int32_t>(parts.inputs.size());
      step.layout = layout_of(*operand.view, builder);
      parts.inputs.push_back(value_of(*operand.view, builder));
    }
    parts.epilogue.push_back(std::move(step));
  }
  return parts;
}

size_t add_primitive_step(const Node& node, std::string op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, Recipe recipe,
                          ProgramBuilder& builder) {
  Step step;
  step.name = node.name.empty() && node.output() ? node.output()->name : node.name;
  step.op = std::move(op);
  step.inputs = std::move(inputs);
  step.outputs = std::move(outputs);
  step.call = PrimitiveCall{std::move(recipe)};
  if (const std::optional<Dim> flops = flops_of(node)) {
    if (flops->is_constant()) step.flops = static_cast<double>(flops->constant());
    step.flop_count = builder.size(*flops);
  }
  return builder.add_step(std::move(step));
}

}  // namespace gannet::onednn
