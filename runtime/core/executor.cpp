#include "runtime/core/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <set>
#include <utility>

#include "ir/op.h"
#include "ir/signature.h"

namespace gannet {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void collect_symbols(const Type& type, std::vector<std::string>& symbols) {
  if (type.shape) {
    for (const Dim& dim : *type.shape) dim.collect_symbols(symbols);
  }
  if (type.element) collect_symbols(*type.element, symbols);
}

// Every symbol that the program's sizes, its Eval steps and its bodies mention.
void collect_symbols(const Program& program, std::vector<std::string>& symbols) {
  for (const Dim& size : program.sizes) size.collect_symbols(symbols);
  for (const Step& step : program.steps) {
    const auto* call = std::get_if<EvalCall>(&step.call);
    if (!call) continue;
    for (const auto& [name, attr] : call->attrs.entries()) {
      if (const auto* shape = std::get_if<Shape>(&attr)) {
        for (const Dim& dim : *shape) dim.collect_symbols(symbols);
      }
    }
  }
  for (const ProgramInput& input : program.inputs) collect_symbols(input.type, symbols);
  for (const auto& body : program.bodies) collect_symbols(*body, symbols);
}

void collect_constants(const Program& program, std::vector<std::span<const std::byte>>& memory) {
  for (const Tensor& tensor : program.constants) {
    if (tensor.elements() > 0) memory.emplace_back(static_cast<const std::byte*>(tensor.raw()), static_cast<size_t>(tensor.bytes()));
  }
  for (const auto& body : program.bodies) collect_constants(*body, memory);
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

Status Executor::load() {
  if (depth_ > options_.limits.nesting) return invalid_model(fmt::format("subgraphs nest deeper than {}", options_.limits.nesting));
  for (size_t i = 0; i < program_->steps.size(); ++i) {
    const Step& step = program_->steps[i];
    if (std::holds_alternative<PrimitiveCall>(step.call) && !options_.primitives) {
      return at_step(i, invalid_input("the program needs a library of primitives, and none is given"));
    }
    if (const auto* call = std::get_if<KernelCall>(&step.call);
        call && !program_->code->function(static_cast<size_t>(call->function))) {
      return at_step(i, unsupported(fmt::format("its code is for {}, which this machine does not run",
                                                program_->code->isa())));
    }
    if (const auto* call = std::get_if<EvalCall>(&step.call); call && !find_op(call->op)) {
      return at_step(i, unsupported(fmt::format("there is no op '{}'", call->op)));
    }
  }
  bases_.resize(program_->buffers.size());
  boxes_.resize(program_->buffers.size());
  box_bytes_.resize(program_->buffers.size(), 0);
  offsets_.resize(program_->buffers.size(), -1);
  sizes_.resize(program_->sizes.size(), -1);
  size_known_.resize(program_->sizes.size(), false);
  index_steps();
  index_stages();
  for (size_t i = 0; i < program_->buffers.size(); ++i) {
    const Buffer& buffer = program_->buffers[i];
    const auto id = static_cast<BufferId>(i);
    if (buffer.kind == BufferKind::kInput) input_buffers_.push_back(id);
    if (buffer.kind == BufferKind::kOutput) output_buffers_.push_back(id);
    if (buffer.kind == BufferKind::kState) state_buffers_.push_back(id);
    if (buffer.kind == BufferKind::kConstant) bases_[i] = const_cast<void*>(program_->constants[static_cast<size_t>(buffer.index)].raw());
  }
  collect_constants(*program_, constants_);
  std::ranges::sort(constants_, std::less<>(), [](std::span<const std::byte> memory) { return memory.data(); });
  for (const ProgramState& state : program_->states) {
    states_.push_back(program_->constants[static_cast<size_t>(state.initial)]);
    state_types_.emplace_back(states_.back().dtype(), states_.back().extents());
  }
  return {};
}

void Executor::index_steps() {
  const Program& program = *program_;
  slots_.resize(program.buffers.size());
  owners_.resize(program.buffers.size(), kNone);
  strict_inputs_.resize(program.inputs.size());
  steps_.resize(program.steps.size());
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    owners_[static_cast<size_t>(program.values[static_cast<size_t>(program.inputs[i].value)].buffer)] = program.inputs[i].value;
  }
  size_t kernel_sizes = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = program.steps[i];
    PreparedStep& prepared = steps_[i];
    prepared.pointers = pointers_.size();
    prepared.sizes = kernel_sizes;
    const auto* eval = std::get_if<EvalCall>(&step.call);
    if (eval) prepared.op = find_op(eval->op);
    if (const auto* kernel = std::get_if<KernelCall>(&step.call)) {
      kernel_sizes += kernel->sizes.size();
      prepared.function = program.code->function(static_cast<size_t>(kernel->function));
    }
    auto take = [&](ValueId id, bool is_input) {
      pointers_.push_back(nullptr);
      if (id == kNone) return;
      const ProgramValue& value = program.values[static_cast<size_t>(id)];
      const auto buffer_index = static_cast<size_t>(value.buffer);
      const Buffer& buffer = program.buffers[buffer_index];
      if (eval) {
        if (!is_input) owners_[buffer_index] = id;
        return;
      }
      slots_[buffer_index].push_back({pointers_.size() - 1, value.offset});
      if (is_input && buffer.kind == BufferKind::kBoxed) prepared.boxed.push_back(id);
      if (buffer.kind == BufferKind::kInput) strict_inputs_[static_cast<size_t>(buffer.index)] = true;
    };
    for (const ValueId id : step.inputs) take(id, true);
    for (const ValueId id : step.outputs) take(id, false);
  }
  kernel_sizes_.resize(kernel_sizes);
  for (size_t i = 0; i < program.values.size(); ++i) {
    const auto buffer_index = static_cast<size_t>(program.values[i].buffer);
    const Buffer& buffer = program.buffers[buffer_index];
    if (buffer.kind == BufferKind::kConstant && owners_[buffer_index] == kNone) {
      const Tensor& tensor = program.constants[static_cast<size_t>(buffer.index)];
      if (program.values[i].type == Type::tensor(tensor.dtype(), to_shape(tensor.extents()))) owners_[buffer_index] = static_cast<ValueId>(i);
    }
    if (buffer.kind == BufferKind::kInput && owners_[buffer_index] != static_cast<ValueId>(i)) strict_inputs_[static_cast<size_t>(buffer.index)] = true;
  }
  std::set<BufferId> results;
  for (const ProgramOutput& output : program.outputs) results.insert(program.values[static_cast<size_t>(output.value)].buffer);
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer& buffer = program.buffers[i];
    if (buffer.kind != BufferKind::kBoxed || results.contains(static_cast<BufferId>(i))) continue;
    steps_[static_cast<size_t>(buffer.last_step)].released.push_back(static_cast<BufferId>(i));
  }
}

void Executor::index_stages() {
  const Program& program = *program_;
  std::map<std::string, int32_t> stage_of_symbol;
  stages_ = {0};
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const auto* call = std::get_if<EvalCall>(&program.steps[i].call);
    if (!call || call->bindings.empty()) continue;
    for (const SymbolBinding& binding : call->bindings) stage_of_symbol.emplace(binding.symbol, static_cast<int32_t>(stages_.size()));
    stages_.push_back(static_cast<int32_t>(i) + 1);
  }
  const size_t stages = stages_.size();
  stages_.push_back(static_cast<int32_t>(program.steps.size()));
  arena_sizes_.resize(stages);
  for (const Dim& size : program.sizes) {
    std::vector<std::string> symbols;
    size.collect_symbols(symbols);
    int32_t stage = 0;
    for (const std::string& symbol : symbols) {
      if (const auto found = stage_of_symbol.find(symbol); found != stage_of_symbol.end()) stage = std::max(stage, found->second);
    }
    size_stages_.push_back(stage);
  }
  checks_.resize(stages);
  for (size_t i = 0; i < program.checks.size(); ++i) {
    const auto after = std::upper_bound(stages_.begin(), stages_.end() - 1, program.checks[i].step);
    checks_[static_cast<size_t>(after - stages_.begin()) - 1].push_back(i);
  }
  collect_symbols(program, outside_);
  std::erase_if(outside_, [&](const std::string& symbol) { return stage_of_symbol.contains(symbol); });
  for (const ProgramInput& input : program.inputs) {
    if (!input.type.shape) continue;
    for (const Dim& dim : *input.type.shape) {
      if (const std::optional<std::string> symbol = dim.symbol_name()) std::erase(outside_, *symbol);
    }
  }
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
