#include "runtime/core/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "ir/signature.h"

namespace gannet {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

const std::vector<int64_t>& Executor::extents_of(const Datum& datum) {
  static const std::vector<int64_t> kNoTensor = {-1};
  return datum.is_tensor() ? datum.tensor().extents() : kNoTensor;
}

bool Executor::has_extents(const std::vector<std::vector<int64_t>>& extents, std::span<const Datum> inputs) {
  return std::ranges::equal(extents, inputs, [](const std::vector<int64_t>& known, const Datum& input) {
    return known == extents_of(input);
  });
}

Executor::Executor(std::shared_ptr<const Program> program, SessionOptions options, Executor* parent)
    : program_(std::move(program)), options_(std::move(options)), parent_(parent), threads_(options_.threads) {
  if (parent) depth_ = parent->depth_ + 1;
}

Result<std::vector<Datum>> Executor::run(std::span<const Datum> inputs) {
  std::vector<Datum> outputs(program_->outputs.size());
  TRY(run_into(inputs, outputs));
  return outputs;
}

Status Executor::run_into(std::span<const Datum> inputs, std::span<Datum> outputs) {
  if (outputs.size() != program_->outputs.size()) {
    return invalid_input(fmt::format("{} outputs are given, the model has {}", outputs.size(), program_->outputs.size()));
  }
  draws_ = 0;
  most_boxed_bytes_ = 0;
  inputs_ = inputs;
  outputs_ = outputs;
  times_.clear();
  Status status = take_inputs(inputs);
  if (status.ok()) status = run_stages(outputs);
  if (status.ok()) status = finish(outputs);
  release_boxes();
  inputs_ = {};
  outputs_ = {};
  if (status.ok() && profiler_) profiler_(times_);
  return status;
}

Status Executor::set_state(size_t index, Tensor value) {
  if (index >= states_.size()) return invalid_input(fmt::format("state {} is given, the model has {}", index, states_.size()));
  const auto& [dtype, extents] = state_types_[index];
  if (value.dtype() != dtype || value.extents() != extents) {
    return invalid_input(fmt::format("state '{}' is {}, the model takes {}", program_->states[index].name, type_string(value),
                                     to_string(Type::tensor(dtype, to_shape(extents)))));
  }
  states_[index] = std::move(value);
  return {};
}

Status Executor::plan_for(std::span<const Datum> inputs) {
  const Program& program = *program_;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const auto* call = std::get_if<EvalCall>(&program.steps[i].call);
    if (call && (!call->bindings.empty() || !call->bodies.empty())) {
      return at_step(i, unsupported("the memory that it takes is found out when it runs"));
    }
  }
  inputs_ = inputs;
  Status status = bind_changed_inputs(inputs);
  if (status.ok() && prepared_stages_ == 0) {
    status = prepare_stage(0);
    if (status.ok()) prepared_stages_ = 1;
  }
  if (status.ok()) most_boxed_bytes_ = planned_boxes();
  inputs_ = {};
  return status;
}

SessionMemory Executor::memory() const {
  SessionMemory memory;
  for (const ArenaSize& size : arena_sizes_) {
    memory.arena_bytes = std::max(memory.arena_bytes, size.bytes);
    memory.lower_bound_bytes = std::max(memory.lower_bound_bytes, size.lower_bound);
  }
  memory.boxed_bytes = most_boxed_bytes_;
  for (const auto& [step, child] : children_) {
    const SessionMemory inside = child->memory();
    memory.bodies_bytes += inside.arena_bytes + inside.boxed_bytes + inside.bodies_bytes;
  }
  return memory;
}

Status Executor::bind_changed_inputs(std::span<const Datum> inputs) {
  const Program& program = *program_;
  if (inputs.size() != program.inputs.size()) {
    return invalid_input(fmt::format("{} inputs are given, the model takes {}", inputs.size(), program.inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!parent_ || strict_inputs_[i]) TRY(check_input({program.inputs[i].name, program.inputs[i].type}, inputs[i]));
  }
  bool same = has_extents(input_extents_, inputs);
  if (parent_) same &= bind_outside_symbols();
  if (same) return {};
  remember_plan();
  return TRY(recall_plan(inputs)) ? Status() : bind_inputs(inputs);
}

Status Executor::take_inputs(std::span<const Datum> inputs) {
  const Program& program = *program_;
  TRY(bind_changed_inputs(inputs));
  for (size_t i = 0; i < states_.size(); ++i) {
    if (!states_[i].defined()) return invalid_input(fmt::format("state '{}' was taken away", program.states[i].name));
  }
  for (const BufferId id : input_buffers_) {
    const Datum& input = inputs[static_cast<size_t>(program.buffers[static_cast<size_t>(id)].index)];
    set_base(id, input.is_tensor() ? input.tensor().raw() : nullptr);
  }
  for (const BufferId id : state_buffers_) {
    const auto index = static_cast<size_t>(program.buffers[static_cast<size_t>(id)].index);
    const bool changes = program.states[index].out != kNone;
    set_base(id, changes ? states_[index].mutable_raw() : states_[index].raw());
  }
  return {};
}

// Takes the parent's values; false when one has changed.
bool Executor::bind_outside_symbols() {
  bool same = true;
  for (const std::string& symbol : outside_) {
    const auto found = parent_->symbols_.find(symbol);
    if (found == parent_->symbols_.end()) continue;
    const auto [entry, is_new] = symbols_.try_emplace(symbol, found->second);
    same &= !is_new && entry->second == found->second;
    entry->second = found->second;
  }
  return same;
}

Status Executor::bind_inputs(std::span<const Datum> inputs) {
  const Program& program = *program_;
  input_extents_.clear();
  prepared_stages_ = 0;
  symbols_.clear();
  if (parent_) bind_outside_symbols();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NamedType input{program.inputs[i].name, program.inputs[i].type};
    if (!parent_) {
      TRY(bind_input(input, inputs[i], symbols_));
      continue;
    }
    if (!inputs[i].is_tensor() || !input.type.shape) continue;
    SymbolValues own;
    Status bound = bind_input(input, inputs[i], own);
    if (!bound.ok() && strict_inputs_[i]) return bound;
    for (const auto& [symbol, value] : own) symbols_.insert_or_assign(symbol, value);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!parent_ || strict_inputs_[i]) TRY(check_extents({program.inputs[i].name, program.inputs[i].type}, inputs[i], symbols_));
  }
  for (const Datum& input : inputs) input_extents_.push_back(extents_of(input));
  return {};
}

void Executor::set_base(BufferId buffer, const void* base) {
  const auto index = static_cast<size_t>(buffer);
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(base));
  bases_[index] = bytes;
  for (const Slot& slot : slots_[index]) {
    pointers_[slot.position] = bytes ? bytes + (slot.offset == kNone ? 0 : sizes_[static_cast<size_t>(slot.offset)]) : nullptr;
  }
}

// Whether `given` is a tensor of the value's type and of its extents in this run.
bool Executor::holds(const Datum& given, const ProgramValue& value) const {
  if (!given.is_tensor() || given.tensor().dtype() != value.type.dtype) return false;
  const std::vector<int64_t>& extents = given.tensor().extents();
  return std::ranges::equal(extents, value.extents, [&](int64_t extent, SizeId id) {
    return size_known_[static_cast<size_t>(id)] && extent == sizes_[static_cast<size_t>(id)];
  });
}

Error Executor::misfit(size_t output, const Datum& given) const {
  return invalid_input(fmt::format("the memory given for output '{}' is {}, the result is {}", program_->outputs[output].name,
                                   to_string(given.type()), to_string(program_->outputs[output].type)));
}

// Memory for the results that are first written in this stage.
Status Executor::bind_outputs(size_t stage, std::span<Datum> outputs) {
  const Program& program = *program_;
  for (const BufferId id : output_buffers_) {
    const Buffer& buffer = program.buffers[static_cast<size_t>(id)];
    if (buffer.first_step < stages_[stage] || buffer.first_step >= stages_[stage + 1]) continue;
    const auto index = static_cast<size_t>(buffer.index);
    const ProgramValue& value = program.values[static_cast<size_t>(program.outputs[index].value)];
    Datum& output = outputs[index];
    if (!output.present()) {
      std::vector<int64_t> extents;
      for (const SizeId size : value.extents) extents.push_back(sizes_[static_cast<size_t>(size)]);
      Result<Tensor> tensor = Tensor::allocate(value.type.dtype, std::move(extents), options_.limits);
      if (!tensor.ok()) return with_prefix(fmt::format("output '{}': ", program.outputs[index].name), tensor.error());
      output = Datum(*std::move(tensor));
    }
    if (!holds(output, value)) return misfit(index, output);
    set_base(id, output.tensor().mutable_raw());
  }
  return {};
}

Status Executor::run_stages(std::span<Datum> outputs) {
  for (size_t stage = 0; stage + 1 < stages_.size(); ++stage) {
    if (stage >= prepared_stages_) {
      TRY(prepare_stage(stage));
      prepared_stages_ = stage + 1;
    }
    TRY(bind_outputs(stage, outputs));
    for (auto i = static_cast<size_t>(stages_[stage]); i < static_cast<size_t>(stages_[stage + 1]); ++i) {
      const int64_t start = profiler_ ? now_ns() : 0;
      if (Status status = run_step(i); !status.ok()) return at_step(i, status.error());
      if (profiler_) times_.push_back({static_cast<int32_t>(i), start, now_ns() - start, steps_[i].workers});
      for (const BufferId box : steps_[i].released) {
        boxed_bytes_ -= std::exchange(box_bytes_[static_cast<size_t>(box)], 0);
        boxes_[static_cast<size_t>(box)] = Datum();
      }
    }
  }
  return {};
}

Status Executor::run_step(size_t index) {
  const PreparedStep& prepared = steps_[index];
  const Step& step = program_->steps[index];
  if (std::holds_alternative<EvalCall>(step.call)) return evaluate(index);
  if (!prepared.boxed.empty()) TRY(check_boxes(index));
  if (std::holds_alternative<KernelCall>(step.call)) return run_kernel(index), Status();
  if (std::holds_alternative<CopyCall>(step.call)) return copy(index);
  void* scratch = prepared.scratch_offset < 0 ? nullptr : arena_.data() + prepared.scratch_offset;
  return prepared.primitive->run(pointers_.data() + prepared.pointers, scratch, threads_);
}

void Executor::run_kernel(size_t index) {
  const PreparedStep& prepared = steps_[index];
  void* const* pointers = pointers_.data() + prepared.pointers;
  const int64_t* sizes = kernel_sizes_.data() + prepared.sizes;
  std::byte* scratch = prepared.scratch_offset < 0 ? nullptr : arena_.data() + prepared.scratch_offset;
  const MathTable math = math_table();
  threads_.parallel_for(prepared.iterations, prepared.workers, [&](int64_t begin, int64_t end, int thread) {
    prepared.function(pointers, sizes, begin, end, scratch ? scratch + thread * prepared.scratch_bytes : nullptr, math);
  });
}

// What boxes hold must be what the step was made for: it reads plain memory.
Status Executor::check_boxes(size_t index) {
  for (const ValueId id : steps_[index].boxed) {
    const ProgramValue& value = program_->values[static_cast<size_t>(id)];
    const Datum datum = TRY(datum_of(id));
    const bool fits = holds(datum, value);
    if (!fits) {
      return invalid_model(fmt::format("'{}' is {}, expected {}", value.name, datum.present() ? to_string(datum.type()) : "absent", to_string(value.type)));
    }
  }
  return {};
}

Status Executor::copy(size_t index) {
  constexpr int64_t kBytesPerNanosecond = 8;
  const int64_t bytes = steps_[index].iterations;
  const auto* from = static_cast<const std::byte*>(pointers_[steps_[index].pointers]);
  auto* to = static_cast<std::byte*>(pointers_[steps_[index].pointers + 1]);
  threads_.parallel_for(bytes, threads_.workers_for(bytes / kBytesPerNanosecond), [&](int64_t begin, int64_t end, int) {
    std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
  });
  return {};
}

// Results that no step has written to their place: those that share memory with something else.
Status Executor::finish(std::span<Datum> outputs) {
  const Program& program = *program_;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ValueId id = program.outputs[i].value;
    const Buffer& buffer = program.buffers[static_cast<size_t>(program.values[static_cast<size_t>(id)].buffer)];
    if (buffer.kind == BufferKind::kOutput && static_cast<size_t>(buffer.index) == i) continue;
    const bool plain = buffer.kind != BufferKind::kBoxed && buffer.kind != BufferKind::kInput && buffer.kind != BufferKind::kConstant;
    if (plain && outputs[i].present()) {
      const ProgramValue& value = program.values[static_cast<size_t>(id)];
      if (!holds(outputs[i], value)) return misfit(i, outputs[i]);
      TRY(check_value(id));
      const auto* base = static_cast<const std::byte*>(bases_[static_cast<size_t>(value.buffer)]);
      const int64_t offset = value.offset == kNone ? 0 : sizes_[static_cast<size_t>(value.offset)];
      std::memcpy(outputs[i].tensor().mutable_raw(), base + offset, static_cast<size_t>(outputs[i].tensor().bytes()));
      continue;
    }
    Result<Datum> found = datum_of(id);
    if (!found.ok()) return with_prefix(fmt::format("output '{}': ", program.outputs[i].name), found.error());
    if (!outputs[i].present()) {
      outputs[i] = detached(*std::move(found));
      continue;
    }
    const bool fits = found->is_tensor() && outputs[i].is_tensor() && found->tensor().dtype() == outputs[i].tensor().dtype() &&
                      found->tensor().extents() == outputs[i].tensor().extents() && found->tensor().dtype() != DType::kString;
    if (!fits) return misfit(i, outputs[i]);
    std::memcpy(outputs[i].tensor().mutable_raw(), found->tensor().raw(), static_cast<size_t>(found->tensor().bytes()));
  }
  return {};
}

void Executor::release_boxes() {
  for (size_t i = 0; i < boxes_.size(); ++i) {
    if (program_->buffers[i].kind == BufferKind::kBoxed) boxes_[i] = Datum();
  }
  std::ranges::fill(box_bytes_, 0);
  boxed_bytes_ = 0;
}

}  // namespace gannet
