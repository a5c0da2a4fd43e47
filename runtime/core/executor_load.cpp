#include <algorithm>
#include <functional>
#include <set>

#include "ir/op.h"
#include "ir/signature.h"
#include "runtime/core/executor.h"

namespace gannet {
namespace {

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

}  // namespace gannet
