#include "runtime/core/program_check.h"

#include <algorithm>
#include <span>

#include "ir/graph.h"
#include "ir/op.h"

namespace gannet {
namespace {

template <class List>
bool within(int64_t index, const List& list) {
  return index >= 0 && static_cast<uint64_t>(index) < list.size();
}

class ProgramCheck {
 public:
  explicit ProgramCheck(const Program& program) : program_(program) {}

  Status run() {
    for (size_t i = 0; i < program_.buffers.size(); ++i) TRY(require(buffer_fits(program_.buffers[i]), "buffer", i));
    for (size_t i = 0; i < program_.values.size(); ++i) TRY(require(value_fits(program_.values[i]), "value", i));
    TRY(check_signature());
    for (size_t i = 0; i < program_.steps.size(); ++i) TRY(require(step_fits(program_.steps[i]), "step", i));
    for (size_t i = 0; i < program_.checks.size(); ++i) {
      const SizeCheck& check = program_.checks[i];
      TRY(require(is_size(check.a) && is_size(check.b) && check.step >= 0, "check", i));
    }
    for (size_t i = 0; i < program_.bodies.size(); ++i) {
      if (Status status = check_program(*program_.bodies[i]); !status.ok()) return with_prefix(fmt::format("body {}: ", i), status.error());
    }
    return {};
  }

 private:
  static Status require(bool holds, std::string_view what, size_t index) {
    if (holds) return {};
    return invalid_input(fmt::format("{} {} refers to what is not there", what, index));
  }

  bool is_size(SizeId id) const { return within(id, program_.sizes); }
  bool is_optional_size(SizeId id) const { return id == kNone || is_size(id); }
  bool are_sizes(std::span<const SizeId> ids) const {
    return std::ranges::all_of(ids, [&](SizeId id) { return is_size(id); });
  }
  const Buffer& buffer_of(ValueId id) const {
    return program_.buffers[static_cast<size_t>(program_.values[static_cast<size_t>(id)].buffer)];
  }
  static bool is_dense(const ProgramValue& value) {
    return value.type.is_tensor() && value.type.shape && element_size(value.type.dtype) > 0;
  }

  bool buffer_fits(const Buffer& buffer) const {
    const bool in_time = buffer.first_step >= 0 && buffer.first_step <= buffer.last_step && within(buffer.last_step, program_.steps);
    switch (buffer.kind) {
      case BufferKind::kArena: return is_size(buffer.bytes) && in_time;
      case BufferKind::kOutput: return is_size(buffer.bytes) && in_time && within(buffer.index, program_.outputs);
      case BufferKind::kInput: return within(buffer.index, program_.inputs);
      case BufferKind::kConstant: return within(buffer.index, program_.constants);
      case BufferKind::kState: return within(buffer.index, program_.states);
      case BufferKind::kBoxed: return in_time;
    }
    return false;
  }

  bool value_fits(const ProgramValue& value) const {
    const bool known = within(value.buffer, program_.buffers) && is_optional_size(value.offset) && are_sizes(value.extents);
    if (!known) return false;
    const int64_t rank = value.type.is_tensor() ? value.type.rank() : -1;
    return value.extents.empty() || rank == static_cast<int64_t>(value.extents.size());
  }

  Status check_signature() const {
    for (size_t i = 0; i < program_.inputs.size(); ++i) {
      const ValueId id = program_.inputs[i].value;
      TRY(require(within(id, program_.values) && buffer_of(id).kind == BufferKind::kInput, "input", i));
    }
    for (size_t i = 0; i < program_.outputs.size(); ++i) TRY(require(output_fits(i), "output", i));
    for (size_t i = 0; i < program_.states.size(); ++i) {
      const ProgramState& state = program_.states[i];
      const bool fits = within(state.in, program_.values) && (state.out == kNone || within(state.out, program_.values)) &&
                        within(state.initial, program_.constants);
      TRY(require(fits, "state", i));
    }
    return {};
  }

  // Memory of an output is made for the value of that output.
  bool output_fits(size_t index) const {
    const ValueId id = program_.outputs[index].value;
    if (!within(id, program_.values)) return false;
    const auto& value = program_.values[static_cast<size_t>(id)];
    const bool own = std::ranges::any_of(program_.buffers, [&](const Buffer& buffer) {
      return buffer.kind == BufferKind::kOutput && buffer.index == static_cast<int32_t>(index);
    });
    return !own || (is_dense(value) && value.type.rank() == static_cast<int64_t>(value.extents.size()));
  }

  bool operand_fits(ValueId id, bool dense) const {
    if (id == kNone) return true;
    if (!within(id, program_.values)) return false;
    const ProgramValue& value = program_.values[static_cast<size_t>(id)];
    return !dense || (is_dense(value) && value.extents.size() == value.type.shape->size());
  }

  bool result_fits(ValueId id, bool boxed) const {
    if (!operand_fits(id, !boxed)) return false;
    if (id == kNone) return true;
    const BufferKind kind = buffer_of(id).kind;
    if (boxed) return kind == BufferKind::kBoxed;
    return kind == BufferKind::kArena || kind == BufferKind::kOutput || kind == BufferKind::kState;
  }

  bool step_fits(const Step& step) const {
    const bool eval = std::holds_alternative<EvalCall>(step.call);
    for (const ValueId id : step.inputs) {
      if (!operand_fits(id, !eval)) return false;
    }
    for (const ValueId id : step.outputs) {
      if (!result_fits(id, eval)) return false;
    }
    return is_optional_size(step.flop_count) && std::visit([&](const auto& call) { return call_fits(step, call); }, step.call);
  }

  bool call_fits(const Step&, const KernelCall& call) const {
    return program_.code && within(call.function, program_.code->functions()) && are_sizes(call.sizes) &&
           is_optional_size(call.iterations) && is_optional_size(call.cost) && is_optional_size(call.scratch_bytes);
  }

  bool call_fits(const Step& step, const CopyCall&) const {
    if (step.inputs.size() != 1 || step.outputs.size() != 1 || step.inputs[0] == kNone || step.outputs[0] == kNone) return false;
    const auto& from = program_.values[static_cast<size_t>(step.inputs[0])].type;
    const auto& to = program_.values[static_cast<size_t>(step.outputs[0])].type;
    return from.dtype == to.dtype && element_count(*from.shape) == element_count(*to.shape);
  }

  bool call_fits(const Step& step, const PrimitiveCall& call) const {
    return std::visit([&](const auto& recipe) { return recipe_fits(step, recipe); }, call.recipe);
  }

  bool layout_fits(const TensorLayout& layout) const {
    return layout.extents.size() == layout.strides.size() && are_sizes(layout.extents) && are_sizes(layout.strides);
  }

  static bool has_operands(const Step& step, size_t inputs, size_t outputs) {
    auto absent = [](ValueId id) { return id == kNone; };
    return step.inputs.size() >= inputs && step.outputs.size() >= outputs && std::ranges::none_of(step.inputs, absent) &&
           (outputs == 0 || step.outputs[0] != kNone);
  }

  bool epilogue_fits(const Step& step, std::span<const EpilogueStep> epilogue, size_t rank) const {
    return std::ranges::all_of(epilogue, [&](const EpilogueStep& each) {
      const bool further = each.kind == EpilogueKind::kAdd || each.kind == EpilogueKind::kMul || each.kind == EpilogueKind::kMax ||
                           each.kind == EpilogueKind::kMin;
      if (!further) return each.operand == -1 && layout_fits(each.layout);
      return within(each.operand, step.inputs) && layout_fits(each.layout) && each.layout.extents.size() == rank;
    });
  }

  static bool zero_fits(const Step& step, int32_t input) { return input == -1 || within(input, step.inputs); }

  bool recipe_fits(const Step& step, const ConvolutionRecipe& r) const {
    const size_t rank = r.x.extents.size(), spatial = rank - 2;
    return rank > 2 && layout_fits(r.x) && layout_fits(r.w) && layout_fits(r.y) && r.w.extents.size() == rank && r.y.extents.size() == rank &&
           r.groups > 0 && r.strides.size() == spatial && r.dilations.size() == spatial && r.pads_begin.size() == spatial &&
           r.pads_end.size() == spatial && are_sizes(r.pads_begin) && are_sizes(r.pads_end) && epilogue_fits(step, r.epilogue, rank) &&
           zero_fits(step, r.x_zero_input) &&
           has_operands(step, r.has_bias ? 3 : 2, 1) && in_place_fits(step, r);
  }

  // What is added in place lies where the result goes.
  bool in_place_fits(const Step& step, const ConvolutionRecipe& r) const {
    if (r.in_place == -1) return true;
    if (r.in_place < 0 || static_cast<size_t>(r.in_place) >= r.epilogue.size() || r.transposed) return false;
    const EpilogueStep& added = r.epilogue[static_cast<size_t>(r.in_place)];
    if ((r.x.dtype != DType::kF32 && r.x.dtype != DType::kBF16) || added.layout.dtype != r.y.dtype) return false;
    if (added.kind != EpilogueKind::kAdd || added.layout.extents != r.y.extents || added.layout.strides != r.y.strides) return false;
    const ValueId input = step.inputs[static_cast<size_t>(added.operand)];
    if (input == kNone) return false;
    const ProgramValue& z = program_.values[static_cast<size_t>(input)];
    const ProgramValue& y = program_.values[static_cast<size_t>(step.outputs[0])];
    return z.buffer == y.buffer && z.offset == y.offset;
  }

  bool recipe_fits(const Step& step, const MatmulRecipe& r) const {
    const size_t rank = r.y.extents.size();
    return rank >= 2 && r.x.extents.size() == rank && r.w.extents.size() == rank && layout_fits(r.x) && layout_fits(r.w) && layout_fits(r.y) &&
           layout_fits(r.bias) && (!r.has_bias || r.bias.extents.size() == rank) && epilogue_fits(step, r.epilogue, rank) &&
           zero_fits(step, r.x_zero_input) &&
           has_operands(step, r.has_bias ? 3 : 2, 1);
  }

  bool recipe_fits(const Step& step, const PoolingRecipe& r) const {
    const size_t rank = r.x.extents.size(), spatial = rank - 2;
    return rank > 2 && layout_fits(r.x) && layout_fits(r.y) && r.y.extents.size() == rank && r.kernel.size() == spatial &&
           r.strides.size() == spatial && r.dilations.size() == spatial && r.pads_begin.size() == spatial && r.pads_end.size() == spatial &&
           are_sizes(r.pads_begin) && are_sizes(r.pads_end) && has_operands(step, r.gradient ? 2 : 1, 1);
  }

  bool recipe_fits(const Step& step, const WeightGradientRecipe& r) const {
    const size_t rank = r.x.extents.size(), spatial = rank - 2;
    return rank > 2 && layout_fits(r.x) && layout_fits(r.w) && layout_fits(r.y) && r.w.extents.size() == rank && r.y.extents.size() == rank &&
           r.groups > 0 && r.strides.size() == spatial && r.dilations.size() == spatial && r.pads_begin.size() == spatial &&
           are_sizes(r.pads_begin) && has_operands(step, 2, 1);
  }

  bool recipe_fits(const Step& step, const ScatterRowsRecipe& r) const {
    return is_size(r.outer) && is_size(r.count) && is_size(r.rows) && is_size(r.inner) && has_operands(step, 2, 1) &&
           (r.positions == DType::kI64 || r.positions == DType::kI32);
  }

  bool recipe_fits(const Step& step, const ScatterBlocksRecipe& r) const {
    return is_size(r.rows) && is_size(r.block) && are_sizes(r.extents) && has_operands(step, 3, 1);
  }

  bool recipe_fits(const Step& step, const CumulativeRecipe& r) const {
    return is_size(r.outer) && is_size(r.length) && is_size(r.inner) && has_operands(step, 1, 1);
  }

  bool recipe_fits(const Step& step, const LikelihoodRecipe& r) const {
    return is_size(r.samples) && is_size(r.classes) && is_size(r.pixels) && step.inputs.size() == 3 && step.inputs[0] != kNone &&
           step.inputs[1] != kNone && step.outputs.size() == 1 && step.outputs[0] != kNone;
  }

  bool recipe_fits(const Step& step, const AttentionRecipe& r) const {
    constexpr size_t kLeastRank = 3, kMostRank = 6, kMostMasks = 2;
    const auto fits = [&](const TensorLayout& layout) { return layout_fits(layout) && layout.extents.size() == r.y.extents.size(); };
    const bool narrow = r.q.dtype == DType::kBF16, typed = narrow ? r.rounds : r.q.dtype == DType::kF32 && r.y.dtype == DType::kF32;
    if (!typed || r.k.dtype != r.q.dtype || r.v.dtype != r.q.dtype || (r.y.dtype != DType::kF32 && r.y.dtype != DType::kBF16)) return false;
    if (!std::ranges::all_of(r.masks, [](const TensorLayout& mask) { return mask.dtype == DType::kF32; })) return false;
    return r.y.extents.size() >= kLeastRank && r.y.extents.size() <= kMostRank && fits(r.q) && fits(r.k) && fits(r.v) && fits(r.y) &&
           r.masks.size() <= kMostMasks && std::ranges::all_of(r.masks, fits) && has_operands(step, 3 + r.masks.size(), 1);
  }

  bool recipe_fits(const Step& step, const RecurrentRecipe& r) const {
    constexpr size_t kOperands = 8, kResults = 3, kNeeded = 3, kInitialH = 5, kLastC = 2;  // x, w, r
    const size_t functions = r.kind == RecurrentKind::kLstm ? 3 : r.kind == RecurrentKind::kGru ? 2 : 1;
    return is_size(r.steps) && is_size(r.batch) && is_size(r.input_size) && r.hidden_size > 0 &&
           r.activations.size() == functions * (r.bidirectional ? 2 : 1) && step.inputs.size() == kOperands &&
           step.outputs.size() == kResults && r.given_h == (step.inputs[kInitialH] != kNone) &&
           r.gives_y == (step.outputs[0] != kNone) && r.gives_last_c == (step.outputs[kLastC] != kNone) &&
           std::ranges::all_of(std::span(step.inputs).first(kNeeded), [](ValueId id) { return id != kNone; });
  }

  bool call_fits(const Step& step, const EvalCall& call) const {
    const OpDef* op = find_op(call.op);
    if (!op) return false;
    for (const auto& [name, attr] : call.attrs.entries()) {
      const auto def = std::ranges::find(op->attrs, name, &AttrDef::name);
      if (def == op->attrs.end() || attr.index() != static_cast<size_t>(def->kind)) return false;
    }
    for (const SymbolBinding& binding : call.bindings) {
      if (!within(binding.output, step.outputs) || binding.axis < 0) return false;
    }
    return std::ranges::all_of(call.bodies, [&](const auto& body) { return body_fits(call, body.first, body.second); });
  }

  bool body_fits(const EvalCall& call, const std::string& name, int32_t index) const {
    const Attr* attr = call.attrs.find(name);
    const auto* graph = attr ? std::get_if<std::shared_ptr<Graph>>(attr) : nullptr;
    if (!graph || !within(index, program_.bodies)) return false;
    const Program& body = *program_.bodies[static_cast<size_t>(index)];
    return (*graph)->inputs().size() == body.inputs.size() && (*graph)->outputs.size() == body.outputs.size();
  }

  const Program& program_;
};

}  // namespace

Status check_program(const Program& program) { return ProgramCheck(program).run(); }

}  // namespace gannet
