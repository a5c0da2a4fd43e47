#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "ir/base/checked.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "runtime/core/executor.h"

namespace gannet {

// A value as a Datum. Where it is not all of what a box, an input or a constant holds, it is a view: of the present
// contents of the arena, or with the tensor that it is part of as its owner.
Result<Datum> Executor::datum_of(ValueId id) const {
  if (id == kNone) return Datum();
  const ProgramValue& value = program_->values[static_cast<size_t>(id)];
  const auto buffer_index = static_cast<size_t>(value.buffer);
  const Buffer& buffer = program_->buffers[buffer_index];
  Datum whole;
  if (buffer.kind == BufferKind::kInput) whole = inputs_[static_cast<size_t>(buffer.index)];
  if (buffer.kind == BufferKind::kConstant) whole = Datum(program_->constants[static_cast<size_t>(buffer.index)]);
  if (buffer.kind == BufferKind::kBoxed) whole = boxes_[buffer_index];
  if (owners_[buffer_index] == id) return whole;
  std::vector<int64_t> extents;
  for (const SizeId size : value.extents) extents.push_back(TRY(size_at(size)));
  const std::optional<int64_t> elements = checked_product(extents);
  const int64_t offset = value.offset == kNone ? 0 : TRY(size_at(value.offset));
  const int64_t available = whole.is_tensor() ? whole.tensor().bytes() : buffer_bytes(buffer);
  const std::optional<int64_t> bytes = elements ? checked_mul(*elements, element_size(value.type.dtype)) : std::nullopt;
  const bool dtype_differs = whole.is_tensor() && whole.tensor().dtype() == DType::kString;
  if (!bytes || offset < 0 || offset > available || *bytes > available - offset || dtype_differs) {
    return invalid_model(fmt::format("'{}' of extents {} does not fit a buffer of {} bytes", value.name,
                                     to_string(std::span<const int64_t>(extents)), available));
  }
  const void* base = whole.is_tensor() ? whole.tensor().raw() : bases_[buffer_index];
  std::shared_ptr<const void> owner;
  if (whole.is_tensor()) owner = std::make_shared<Datum>(whole);
  if (*elements == 0) return Datum(Tensor::zeros(value.type.dtype, std::move(extents)));
  return Datum(Tensor::view(value.type.dtype, std::move(extents), static_cast<const std::byte*>(base) + offset, std::move(owner)));
}

bool Executor::is_mutable(const void* pointer) const {
  const auto* at = static_cast<const std::byte*>(pointer);
  auto within = [&](const void* begin, int64_t bytes) {
    const auto* first = static_cast<const std::byte*>(begin);
    return std::greater_equal<>()(at, first) && std::less<>()(at, first + bytes);
  };
  if (arena_.data() && within(arena_.data(), arena_.bytes())) return true;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (program_->states[i].out != kNone && within(states_[i].raw(), states_[i].bytes())) return true;
  }
  return std::ranges::any_of(outputs_, [&](const Datum& output) {
    return output.is_tensor() && within(output.tensor().raw(), output.tensor().bytes());
  });
}

// The same data in memory that no later step writes.
Datum Executor::detached(Datum datum) const {
  if (datum.is_tensor()) {
    if (datum.tensor().dtype() != DType::kString && is_mutable(datum.tensor().raw())) datum.tensor().mutable_raw();
    return datum;
  }
  if (datum.kind() == Datum::Kind::kOptional) return datum.has_element() ? Datum::optional(detached(datum.element())) : datum;
  if (datum.kind() != Datum::Kind::kSequence) return datum;
  auto lies_in_mutable = [&](const Datum& element) { return !element.is_tensor() || is_mutable(element.tensor().raw()); };
  if (std::ranges::none_of(datum.elements(), lies_in_mutable)) return datum;
  std::vector<Datum> elements;
  for (const Datum& element : datum.elements()) elements.push_back(detached(element));
  return Datum::sequence(std::move(elements), *datum.type().element);
}

// Whether it is memory of an input or a constant.
bool Executor::is_given(const void* pointer) const {
  const auto* at = static_cast<const std::byte*>(pointer);
  auto holds_it = [&](const std::byte* first, int64_t bytes) { return std::greater_equal<>()(at, first) && std::less<>()(at, first + bytes); };
  const auto after = std::ranges::upper_bound(constants_, at, std::less<>(), [](std::span<const std::byte> memory) { return memory.data(); });
  if (after != constants_.begin() && holds_it(std::prev(after)->data(), static_cast<int64_t>(std::prev(after)->size()))) return true;
  return std::ranges::any_of(inputs_, [&](const Datum& input) {
    return input.is_tensor() && holds_it(static_cast<const std::byte*>(input.tensor().raw()), input.tensor().bytes());
  });
}

// The bytes of a result but for what is a view of an input or a constant.
int64_t Executor::own_bytes(const Datum& datum) const {
  if (datum.is_tensor() && datum.tensor().elements() > 0 && is_given(datum.tensor().raw())) return 0;
  if (datum.kind() == Datum::Kind::kOptional && datum.has_element()) return own_bytes(datum.element());
  if (datum.kind() != Datum::Kind::kSequence) return datum.bytes();
  int64_t bytes = 0;
  for (const Datum& element : datum.elements()) bytes += own_bytes(element);
  return bytes;
}

Status Executor::keep_box(ValueId id, Datum datum) {
  const auto buffer = static_cast<size_t>(program_->values[static_cast<size_t>(id)].buffer);
  const int64_t bytes = own_bytes(datum);
  boxed_bytes_ += bytes - std::exchange(box_bytes_[buffer], bytes);
  most_boxed_bytes_ = std::max(most_boxed_bytes_, boxed_bytes_);
  if (boxed_bytes_ > options_.limits.live_bytes) {
    return invalid_input(fmt::format("{} bytes of tensors are alive, beyond the limit live-bytes={}", boxed_bytes_, options_.limits.live_bytes));
  }
  set_base(static_cast<BufferId>(buffer), datum.is_tensor() && datum.tensor().dtype() != DType::kString ? datum.tensor().raw() : nullptr);
  boxes_[buffer] = std::move(datum);
  return {};
}

Status Executor::evaluate(size_t index) {
  const Step& step = program_->steps[index];
  const auto& call = std::get<EvalCall>(step.call);
  std::vector<Datum> operands;
  for (const ValueId id : step.inputs) operands.push_back(TRY(datum_of(id)));
  current_ = index;
  std::vector<Datum> results = TRY(eval_op(*steps_[index].op, call.attrs, operands, step.outputs.size(), *this));
  operands.clear();
  for (const SymbolBinding& binding : call.bindings) {
    const auto output = static_cast<size_t>(binding.output);
    if (output >= results.size() || !results[output].is_tensor() || results[output].tensor().rank() <= binding.axis) continue;
    const int64_t extent = results[output].tensor().extent(binding.axis);
    const auto [entry, is_new] = symbols_.try_emplace(binding.symbol, extent);
    if (!is_new && entry->second == extent) continue;
    entry->second = extent;
    const auto next = std::upper_bound(stages_.begin(), stages_.end() - 1, static_cast<int32_t>(index));
    prepared_stages_ = std::min(prepared_stages_, static_cast<size_t>(next - stages_.begin()));
  }
  for (size_t i = 0; i < results.size() && i < step.outputs.size(); ++i) {
    if (step.outputs[i] != kNone) TRY(keep_box(step.outputs[i], detached(std::move(results[i]))));
  }
  return {};
}

// Bodies of the step that runs are programs; any other graph is a composition that an op has just made.
Result<std::vector<Datum>> Executor::run(const Graph& graph, std::vector<Datum> inputs) {
  const size_t step = current_;
  const auto& call = std::get<EvalCall>(program_->steps[step].call);
  for (const auto& [name, body] : call.bodies) {
    const Attr* attr = call.attrs.find(name);
    if (!attr || std::get<std::shared_ptr<Graph>>(*attr).get() != &graph) continue;
    std::unique_ptr<Executor>& child = children_[{step, body}];
    if (!child) {
      auto made = std::make_unique<Executor>(program_->bodies[static_cast<size_t>(body)], options_, this);
      TRY(made->load());
      child = std::move(made);
    }
    return child->run(inputs);
  }
  return interpret(graph, std::move(inputs));
}

Result<std::vector<Datum>> Executor::interpret(const Graph& graph, std::vector<Datum> inputs) {
  std::unordered_map<const Value*, Datum> values;
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs()[i]] = std::move(inputs[i]);
  for (const auto& node : graph.nodes()) {
    std::vector<Datum> operands;
    for (const Value* operand : node->inputs()) operands.push_back(operand ? values.at(operand) : Datum());
    Result<std::vector<Datum>> results = eval_op(node->op(), node->attrs, operands, node->outputs().size(), *this);
    if (!results.ok()) return with_prefix(describe(*node), results.error());
    for (size_t i = 0; i < results->size(); ++i) {
      if (node->output(i)) values[node->output(i)] = std::move((*results)[i]);
    }
  }
  std::vector<Datum> outputs;
  for (const GraphOutput& output : graph.outputs) outputs.push_back(values.at(output.value));
  return outputs;
}

// A Weyl sequence: distinct for each draw, a function of the seed alone, and shared by bodies.
uint64_t Executor::next_random_seed() {
  Executor* root = this;
  while (root->parent_) root = root->parent_;
  return root->options_.seed + 0x9E3779B97F4A7C15u * ++root->draws_;
}

}  // namespace gannet
