#include "runtime/kernels/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>

#include "ir/base/check.h"
#include "ir/base/large_pages.h"
#include "ir/base/round_up.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

constexpr size_t kAlignment = 64;

// Of one core, rough and on the low side, so that waking a thread pays.
constexpr double kFlopsPerNanosecond = 60;
constexpr double kBytesPerNanosecond = 16;

std::shared_ptr<void> aligned_memory(int64_t bytes) {
  void* memory = ::operator new(static_cast<size_t>(std::max<int64_t>(bytes, 1)), std::align_val_t(kAlignment), std::nothrow);
  if (memory) prefer_large_pages(memory, static_cast<size_t>(bytes));
  return {memory, [](void* p) { ::operator delete(p, std::align_val_t(kAlignment)); }};
}

class Nothing final : public Primitive {
 public:
  int64_t scratch_bytes() const override { return 0; }
  Status run(void* const*, void*, Threads&) const override { return {}; }
};

}  // namespace

int64_t Layout::elements() const {
  int64_t count = 1;
  for (int64_t extent : extents) count *= extent;
  return count;
}

Layout layout_at(const TensorLayout& layout, std::span<const int64_t> sizes) {
  return {layout.dtype, values_at(layout.extents, sizes), values_at(layout.strides, sizes)};
}

std::vector<int64_t> values_at(std::span<const SizeId> ids, std::span<const int64_t> sizes) {
  std::vector<int64_t> values;
  for (SizeId id : ids) values.push_back(sizes[static_cast<size_t>(id)]);
  return values;
}

double speed_of(const TensorLayout& x) {
  switch (x.dtype) {
    case DType::kI8:
    case DType::kU8: return 3;
    case DType::kBF16: return 2;
    default: return 1;
  }
}

Result<onednn::MemoryDesc> memory_of(const Layout& layout) {
  return onednn::dense_layout(layout.dtype, layout.extents, layout.strides);
}

Result<std::shared_ptr<const void>> PackedConstants::pack(const void* constant, const onednn::MemoryDesc& from,
                                                          const onednn::MemoryDesc& to) {
  const std::string key = fmt::format("{} {} {}", fmt::ptr(constant), onednn::identity_of(from), onednn::identity_of(to));
  return keep(key, onednn::bytes_of(to), [&](void* memory) -> Status {
    const onednn::Made made = TRY(onednn::make_reorder(from, to));
    const std::shared_ptr<void> scratch = aligned_memory(onednn::bytes_of(made.scratch));
    if (!scratch) return invalid_input("no memory to pack weights");
    using onednn::Argument;
    const onednn::Call call(made.primitive, {{onednn::argument_id(Argument::kFrom), from},
                                             {onednn::argument_id(Argument::kTo), to},
                                             {onednn::argument_id(Argument::kScratch), made.scratch}});
    void* const addresses[] = {const_cast<void*>(constant), memory, scratch.get()};
    return call.run(addresses);
  });
}

Result<std::shared_ptr<const void>> PackedConstants::keep(const std::string& key, int64_t bytes,
                                                          const std::function<Status(void*)>& fill) {
  const std::scoped_lock lock(mutex_);
  std::weak_ptr<const void>& entry = packed_[key];
  if (std::shared_ptr<const void> packed = entry.lock()) return packed;
  std::shared_ptr<void> memory = aligned_memory(bytes);
  if (!memory) return invalid_input(fmt::format("no memory for {} bytes of packed weights", bytes));
  TRY(fill(memory.get()));
  entry = memory;
  std::erase_if(packed_, [](const auto& known) { return known.second.expired(); });
  return std::shared_ptr<const void>(memory);
}

Result<SharedCall> SharedCalls::find_or_make(const std::string& key, const std::function<Result<SharedCall>()>& make) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = calls_.find(key); found != calls_.end()) return found->second;
  SharedCall made = TRY(make());
  return calls_.emplace(key, std::move(made)).first->second;
}

int Preparation::threads_for(double flops, double bytes, double speed) const {
  const double nanoseconds = std::max(flops / (kFlopsPerNanosecond * speed), bytes / kBytesPerNanosecond);
  return Threads(threads).workers_for(static_cast<int64_t>(std::min(nanoseconds, 1e15)));
}

Place CallSequence::reserve(int64_t bytes) {
  const Place place{Place::kScratch, scratch_bytes_};
  scratch_bytes_ += rounded_up(bytes, kAlignment);
  return place;
}

Place CallSequence::keep(std::shared_ptr<const void> memory) {
  kept_.push_back(std::move(memory));
  return {Place::kKept, static_cast<int64_t>(kept_.size()) - 1};
}

void CallSequence::add(dnnl::primitive primitive, std::vector<Operand> operands) {
  CHECK(operands.size() <= kMostOperands, "{} operands of one call", operands.size());
  Stage stage;
  std::vector<std::pair<int, onednn::MemoryDesc>> arguments;
  for (const Operand& operand : operands) {
    arguments.emplace_back(operand.id, operand.desc);
    stage.places.push_back(operand.place);
  }
  stage.call = onednn::Call(std::move(primitive), std::move(arguments));
  stages_.push_back(std::move(stage));
}

Status CallSequence::copy(Place from, const onednn::MemoryDesc& from_layout, Place to, const onednn::MemoryDesc& to_layout) {
  using onednn::Argument;
  onednn::Made made = TRY(onednn::make_reorder(from_layout, to_layout));
  const Place scratch = reserve(made.scratch);
  add(made.primitive, {{onednn::argument_id(Argument::kFrom), from_layout, from},
                       {onednn::argument_id(Argument::kTo), to_layout, to},
                       {onednn::argument_id(Argument::kScratch), made.scratch, scratch}});
  return {};
}

Result<Place> CallSequence::converted(Place from, const onednn::MemoryDesc& layout, const onednn::MemoryDesc& wanted) {
  if (layout == wanted) return from;
  const Place to = reserve(wanted);
  TRY(copy(from, layout, to, wanted));
  return to;
}

Status CallSequence::run(void* const* pointers, void* scratch, Threads&) const {
  const LibraryThreads library_threads(threads_);
  std::array<void*, kMostOperands> addresses;
  for (const Stage& stage : stages_) {
    for (size_t i = 0; i < stage.places.size(); ++i) {
      const Place& place = stage.places[i];
      const auto index = static_cast<size_t>(place.index);
      switch (place.kind) {
        case Place::kPointer: addresses[i] = pointers[index]; break;
        case Place::kScratch: addresses[i] = static_cast<char*>(scratch) + index; break;
        case Place::kKept: addresses[i] = const_cast<void*>(kept_[index].get()); break;
      }
    }
    TRY(stage.call.run({addresses.data(), stage.places.size()}));
  }
  return {};
}

std::shared_ptr<const Primitive> make_nothing() { return std::make_shared<Nothing>(); }

size_t input_count(const ConvolutionRecipe& recipe) {
  size_t count = recipe.has_bias ? 3 : 2;
  for (const EpilogueStep& step : recipe.epilogue) count = std::max(count, static_cast<size_t>(step.operand + 1));
  count = std::max(count, static_cast<size_t>(recipe.x_zero_input + 1));
  return count;
}

size_t input_count(const MatmulRecipe& recipe) {
  size_t count = recipe.has_bias ? 3 : 2;
  for (const EpilogueStep& step : recipe.epilogue) count = std::max(count, static_cast<size_t>(step.operand + 1));
  count = std::max(count, static_cast<size_t>(recipe.x_zero_input + 1));
  return count;
}

}  // namespace gannet
