#include <algorithm>

#include "ir/base/checked.h"
#include "ir/base/round_up.h"
#include "ir/ops/window.h"
#include "runtime/core/executor.h"

namespace gannet {

Error Executor::at_step(size_t index, Error error) const {
  const Step& step = program_->steps[index];
  return with_prefix(step.name.empty() ? step.op + ": " : fmt::format("node '{}' ({}): ", step.name, step.op), std::move(error));
}

Result<int64_t> Executor::size_at(SizeId id) const {
  const auto index = static_cast<size_t>(id);
  if (size_known_[index]) return sizes_[index];
  return program_->sizes[index].evaluate(symbols_);
}

void Executor::prepare_known() {
  std::vector<Datum> inputs;
  for (const ProgramInput& input : program_->inputs) {
    if (!input.type.is_tensor() || !input.type.is_static()) return;
    Result<Tensor> tensor = Tensor::allocate(input.type.dtype, static_extents(*input.type.shape), options_.limits);
    if (!tensor.ok()) return;
    inputs.push_back(*std::move(tensor));
  }
  static_cast<void>(plan_for(inputs).ok());
}

Status Executor::prepare_stage(size_t stage) {
  evaluate_sizes(stage);
  TRY(check_sizes(stage));
  for (auto i = static_cast<size_t>(stages_[stage]); i < static_cast<size_t>(stages_[stage + 1]); ++i) {
    if (Status status = prepare_step(i); !status.ok()) return at_step(i, status.error());
  }
  TRY(plan_arena(stage));
  place_stage(stage);
  return {};
}

// Buffers of the arena are where the plan says, and pointers into all buffers follow their sizes.
void Executor::place_stage(size_t stage) {
  for (size_t i = 0; i < bases_.size(); ++i) {
    const Buffer& buffer = program_->buffers[i];
    const bool placed = buffer.kind == BufferKind::kArena && buffer.first_step < stages_[stage + 1];
    if (placed) set_base(static_cast<BufferId>(i), arena_.data() + offsets_[i]);
    else if (buffer.kind != BufferKind::kArena && bases_[i]) set_base(static_cast<BufferId>(i), bases_[i]);
  }
}

// Texts of every length come again and again, and a plan takes about as long as a step of a small model.
void Executor::remember_plan() {
  constexpr size_t kMostPlans = 128;
  const bool one_stage = stages_.size() == 2 && !parent_;
  if (!one_stage || prepared_stages_ == 0) return;
  ExtentPlan plan{std::move(input_extents_),
                  std::move(symbols_),
                  sizes_,
                  size_known_,
                  kernel_sizes_,
                  offsets_,
                  arena_sizes_,
                  {}};
  for (PreparedStep& step : steps_) {
    step.primitive_before = step.primitive;
    plan.steps.push_back(step);
    step.primitive.reset();
  }
  plans_.push_front(std::move(plan));
  if (plans_.size() > kMostPlans) plans_.pop_back();
  input_extents_.clear();
  prepared_stages_ = 0;
}

// False where there is no plan for these extents.
Result<bool> Executor::recall_plan(std::span<const Datum> inputs) {
  const auto found = std::ranges::find_if(
      plans_, [&](const ExtentPlan& plan) { return has_extents(plan.input_extents, inputs); });
  if (found == plans_.end()) return false;
  input_extents_ = std::move(found->input_extents);
  symbols_ = std::move(found->symbols);
  sizes_ = std::move(found->sizes);
  size_known_ = std::move(found->size_known);
  kernel_sizes_ = std::move(found->kernel_sizes);
  offsets_ = std::move(found->offsets);
  arena_sizes_ = std::move(found->arena_sizes);
  for (size_t i = 0; i < steps_.size(); ++i) static_cast<SizedStep&>(steps_[i]) = found->steps[i];
  plans_.erase(found);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!std::holds_alternative<PrimitiveCall>(program_->steps[i].call)) continue;
    steps_[i].primitive = steps_[i].primitive_before.lock();
    if (steps_[i].primitive) continue;
    Result<std::shared_ptr<const Primitive>> primitive = primitive_of(i);
    if (!primitive.ok()) return input_extents_.clear(), at_step(i, primitive.error());
    steps_[i].primitive = *std::move(primitive);
  }
  place_stage(0);
  prepared_stages_ = 1;
  return true;
}

// A size that cannot be evaluated stays unknown: what needs it reports why.
void Executor::evaluate_sizes(size_t stage) {
  for (size_t i = 0; i < sizes_.size(); ++i) {
    if (size_stages_[i] < static_cast<int32_t>(stage)) continue;
    size_known_[i] = false;
    sizes_[i] = -1;
    if (size_stages_[i] > static_cast<int32_t>(stage)) continue;
    const Result<int64_t> value = program_->sizes[i].evaluate(symbols_);
    if (!value.ok()) continue;
    size_known_[i] = true;
    sizes_[i] = *value;
  }
}

Status Executor::check_sizes(size_t stage) {
  for (const size_t i : checks_[stage]) {
    const SizeCheck& check = program_->checks[i];
    const Result<int64_t> a = size_at(check.a), b = size_at(check.b);
    if (!a.ok()) return with_prefix(check.what + ": ", a.error());
    if (!b.ok()) return with_prefix(check.what + ": ", b.error());
    if (*a == *b || (check.broadcast && (*a == 1 || *b == 1))) continue;
    return invalid_input(fmt::format("{}: {} and {} {}", check.what, *a, *b, check.broadcast ? "do not broadcast" : "must be equal"));
  }
  return {};
}

// The bytes of a buffer that has its memory or a known size; -1 where that is found out later.
int64_t Executor::buffer_bytes(const Buffer& buffer) const {
  const auto index = static_cast<size_t>(buffer.index);
  switch (buffer.kind) {
    case BufferKind::kArena:
    case BufferKind::kOutput: return sizes_[static_cast<size_t>(buffer.bytes)];
    case BufferKind::kInput: return inputs_[index].is_tensor() ? inputs_[index].tensor().bytes() : -1;
    case BufferKind::kConstant: return program_->constants[index].bytes();
    case BufferKind::kState: return *checked_product(state_types_[index].second) * element_size(state_types_[index].first);
    case BufferKind::kBoxed: return -1;
  }
  return -1;
}

// A step reads and writes plain memory, so extents must make sense and stay within the buffer.
Status Executor::check_value(ValueId id) const {
  const ProgramValue& value = program_->values[static_cast<size_t>(id)];
  std::optional<int64_t> bytes = element_size(value.type.dtype);
  bool empty = false;
  for (size_t axis = 0; axis < value.extents.size(); ++axis) {
    const Result<int64_t> extent = size_at(value.extents[axis]);
    if (!extent.ok()) return with_prefix(fmt::format("'{}' dimension {}: ", value.name, axis), extent.error());
    if (*extent < 0) return invalid_model(fmt::format("'{}' dimension {} is negative: {}", value.name, axis, *extent));
    empty |= *extent == 0;
    if (bytes) bytes = checked_mul(*bytes, std::max<int64_t>(*extent, 1));
  }
  if (!bytes || *bytes > options_.limits.tensor_bytes) {
    return unsupported(fmt::format("tensor '{}' takes {} bytes, beyond the limit tensor-bytes={}", value.name,
                                   bytes ? std::to_string(*bytes) : "too many", options_.limits.tensor_bytes));
  }
  const Buffer& buffer = program_->buffers[static_cast<size_t>(value.buffer)];
  const int64_t offset = value.offset == kNone ? 0 : TRY(size_at(value.offset)), available = buffer_bytes(buffer);
  if (empty || buffer.kind == BufferKind::kBoxed) return {};
  if (offset < 0 || available < 0 || offset > available || *bytes > available - offset) {
    return invalid_model(fmt::format("'{}' takes bytes {} to {} of a buffer of {}", value.name, offset, offset + *bytes, available));
  }
  return {};
}

Status Executor::check_operands(size_t index) {
  const Step& step = program_->steps[index];
  for (const ValueId id : step.inputs) {
    if (id != kNone) TRY(check_value(id));
  }
  for (const ValueId id : step.outputs) {
    if (id != kNone) TRY(check_value(id));
  }
  return {};
}

// What moves along a spatial axis of x; the extent of the result alone would not say what is wrong.
Status Executor::check_window(const TensorLayout& x, const TensorLayout& y, size_t axis, int64_t span, int64_t padding) const {
  const int64_t input = TRY(size_at(x.extents[axis + 2])), output = TRY(size_at(y.extents[axis + 2]));
  return input > 0 && output <= 0 ? Status(no_window(span, axis, input, padding)) : Status();
}

Status Executor::check_windows(const Recipe& recipe) const {
  const auto check = [&](const auto& r, size_t axis, int64_t kernel) -> Status {
    const std::optional<int64_t> padding = checked_add(TRY(size_at(r.pads_begin[axis])), TRY(size_at(r.pads_end[axis])));
    const std::optional<int64_t> reach = checked_mul(kernel - 1, r.dilations[axis]);
    const std::optional<int64_t> span = reach ? checked_add(*reach, 1) : std::nullopt;
    if (!padding || !span) return invalid_model("a window reaches beyond 64 bits");
    return check_window(r.x, r.y, axis, *span, *padding);
  };
  if (const auto* pooling = std::get_if<PoolingRecipe>(&recipe)) {
    for (size_t axis = 0; axis < pooling->kernel.size(); ++axis) TRY(check(*pooling, axis, pooling->kernel[axis]));
  }
  const auto* convolution = std::get_if<ConvolutionRecipe>(&recipe);
  for (size_t axis = 0; convolution && !convolution->transposed && axis < convolution->strides.size(); ++axis)
    TRY(check(*convolution, axis, TRY(size_at(convolution->w.extents[axis + 2]))));
  return {};
}

Status Executor::prepare_step(size_t index) {
  const Step& step = program_->steps[index];
  PreparedStep& prepared = steps_[index];
  prepared.scratch_bytes = 0;
  prepared.scratch_offset = -1;
  if (std::holds_alternative<EvalCall>(step.call)) return {};
  if (const auto* call = std::get_if<PrimitiveCall>(&step.call)) TRY(check_windows(call->recipe));
  TRY(check_operands(index));
  if (const auto* kernel = std::get_if<KernelCall>(&step.call)) {
    for (size_t i = 0; i < kernel->sizes.size(); ++i) kernel_sizes_[prepared.sizes + i] = TRY(size_at(kernel->sizes[i]));
    prepared.iterations = kernel->iterations == kNone ? 1 : TRY(size_at(kernel->iterations));
    prepared.workers = kernel->cost == kNone ? threads_.count() : threads_.workers_for(TRY(size_at(kernel->cost)));
    prepared.workers = static_cast<int>(std::clamp<int64_t>(prepared.iterations, 1, prepared.workers));
    if (kernel->scratch_bytes != kNone) prepared.scratch_bytes = TRY(size_at(kernel->scratch_bytes));
  } else if (std::holds_alternative<PrimitiveCall>(step.call)) {
    prepared.primitive = TRY(primitive_of(index));
    prepared.scratch_bytes = prepared.primitive->scratch_bytes();
    prepared.workers = threads_.count();
  } else {
    const ProgramValue& value = program_->values[static_cast<size_t>(step.inputs[0])];
    prepared.iterations = element_size(value.type.dtype);
    for (const SizeId extent : value.extents) prepared.iterations *= TRY(size_at(extent));
  }
  constexpr int64_t kPage = 64;
  prepared.scratch_bytes = rounded_up(prepared.scratch_bytes, kPage);
  return {};
}

// That of a step with a recipe, for the present sizes.
Result<std::shared_ptr<const Primitive>> Executor::primitive_of(size_t index) const {
  const Step& step = program_->steps[index];
  std::vector<const void*> constants;
  for (const ValueId id : step.inputs) {
    const auto* value = id == kNone ? nullptr : &program_->values[static_cast<size_t>(id)];
    const bool constant =
        value && program_->buffers[static_cast<size_t>(value->buffer)].kind == BufferKind::kConstant;
    const auto* base =
        constant ? static_cast<const std::byte*>(bases_[static_cast<size_t>(value->buffer)]) : nullptr;
    constants.push_back(base && value->offset != kNone ? base + TRY(size_at(value->offset)) : base);
  }
  return options_.primitives->prepare(std::get<PrimitiveCall>(step.call).recipe, sizes_, threads_.count(),
                                      constants);
}

// The scratch memory of all workers of a step.
int64_t Executor::scratch_of(size_t step) const {
  const bool kernel = std::holds_alternative<KernelCall>(program_->steps[step].call);
  return steps_[step].scratch_bytes * (kernel ? steps_[step].workers : 1);
}

Status Executor::plan_arena(size_t stage) {
  const int32_t begin = stages_[stage], end = stages_[stage + 1];
  std::vector<ArenaItem> items;
  std::vector<size_t> buffers;
  for (size_t i = 0; i < program_->buffers.size(); ++i) {
    const Buffer& buffer = program_->buffers[i];
    if (buffer.kind != BufferKind::kArena || buffer.first_step >= end || buffer.last_step < begin) continue;
    const int64_t bytes = TRY(size_at(buffer.bytes));
    if (bytes < 0 || bytes > options_.limits.tensor_bytes) {
      return unsupported(fmt::format("a buffer takes {} bytes, beyond the limit tensor-bytes={}", bytes, options_.limits.tensor_bytes));
    }
    items.push_back({bytes, buffer.first_step, buffer.last_step, buffer.first_step < begin ? offsets_[i] : -1});
    buffers.push_back(i);
  }
  std::vector<size_t> scratches;
  for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
    if (steps_[i].scratch_bytes == 0) continue;
    items.push_back({scratch_of(i), static_cast<int32_t>(i), static_cast<int32_t>(i), -1});
    scratches.push_back(i);
  }
  arena_sizes_[stage] = place_buffers(items);
  const int64_t bytes = arena_sizes_[stage].bytes;
  if (bytes > options_.limits.live_bytes) {
    return unsupported(fmt::format("{} bytes of tensors are alive, beyond the limit live-bytes={}", bytes, options_.limits.live_bytes));
  }
  if (!arena_.reserve(bytes)) return io_error(fmt::format("no memory for {} bytes of tensors", bytes));
  for (size_t i = 0; i < buffers.size(); ++i) offsets_[buffers[i]] = items[i].offset;
  for (size_t i = 0; i < scratches.size(); ++i) steps_[scratches[i]].scratch_offset = items[buffers.size() + i].offset;
  return {};
}

// The most bytes of boxes at once, as far as extents are known.
int64_t Executor::planned_boxes() const {
  std::vector<int64_t> change(steps_.size() + 2, 0);
  for (size_t i = 0; i < program_->buffers.size(); ++i) {
    const Buffer& buffer = program_->buffers[i];
    if (buffer.kind != BufferKind::kBoxed || owners_[i] == kNone) continue;
    const ProgramValue& value = program_->values[static_cast<size_t>(owners_[i])];
    if (!value.type.is_tensor() || value.type.dtype == DType::kString) continue;
    int64_t bytes = element_size(value.type.dtype);
    for (const SizeId extent : value.extents) bytes *= std::max<int64_t>(sizes_[static_cast<size_t>(extent)], 0);
    change[static_cast<size_t>(buffer.first_step)] += bytes;
    change[static_cast<size_t>(buffer.last_step) + 1] -= bytes;
  }
  int64_t alive = 0, most = 0;
  for (const int64_t delta : change) most = std::max(most, alive += delta);
  return most;
}

std::vector<PlannedMemory> Executor::plan() const {
  std::vector<PlannedMemory> plan;
  for (size_t i = 0; i < program_->buffers.size(); ++i) {
    const Buffer& buffer = program_->buffers[i];
    if (buffer.kind != BufferKind::kArena || offsets_[i] < 0) continue;
    plan.push_back({static_cast<BufferId>(i), buffer.first_step, buffer.last_step, buffer_bytes(buffer), offsets_[i]});
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto step = static_cast<int32_t>(i);
    if (steps_[i].scratch_offset >= 0) plan.push_back({kNone, step, step, scratch_of(i), steps_[i].scratch_offset});
  }
  return plan;
}

}  // namespace gannet
