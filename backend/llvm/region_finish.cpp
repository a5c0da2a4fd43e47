// From combined axes to loops: their order, which of them run as one, which is cut into vectors, and what every operand
// moves by.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "backend/llvm/region_builder.h"
#include "backend/llvm/schedule.h"
#include "ir/base/check.h"

namespace gannet {
namespace {

// Elements of a row that one iteration of a kernel without reductions does.
constexpr int64_t kRowBlock = 4096;
constexpr int64_t kColumnVectors = 4;
constexpr int64_t kWidestTileElement = 8;
// Elements that lie in turn, and instructions for all of them.
constexpr int64_t kMostInterleaved = 8;
constexpr int64_t kMostInterleavedCode = 128;

// Picoseconds for one element on one thread.
int64_t time_of(const Instruction& i) {
  if (i.kind == InstructionKind::kLoad) return i.args[0] >= 0 ? 400 : 60;
  if (i.kind == InstructionKind::kRandom) return 1500;
  if (i.kind != InstructionKind::kScalar) return 10;
  if (i.op == ScalarOp::kPow) return 3000;
  if (i.op == ScalarOp::kSelect || i.op == ScalarOp::kCast || rule_of(i.op) != ScalarRule::kFloat) return 20;
  return i.type == DType::kF64 ? 8000 : 600;
}

}  // namespace

Extent RegionBuilder::argument(const Dim& dim) {
  const auto known = std::ranges::find(plan_.sizes, dim);
  if (known != plan_.sizes.end()) return {static_cast<int32_t>(known - plan_.sizes.begin()), 0};
  plan_.sizes.push_back(dim);
  return {static_cast<int32_t>(plan_.sizes.size() - 1), 0};
}

// The axes of a value that has all loops: a result if there is one, else what a reduction reads or an elementwise node gives.
std::vector<int32_t> RegionBuilder::spanning_axes() const {
  std::set<int32_t> wanted;
  auto collect = [&](const std::vector<int32_t>& axes) {
    for (int32_t axis : axes) {
      if (!axis_extents_[static_cast<size_t>(find(axis))].is_constant(1)) wanted.insert(find(axis));
    }
  };
  for (const Access& access : accesses_) collect(access.axes);
  for (const auto& span : spans_) collect(span);
  auto spans_all = [&](const std::vector<int32_t>& axes) {
    std::set<int32_t> has;
    for (int32_t axis : axes) has.insert(find(axis));
    return std::ranges::includes(has, wanted);
  };
  for (const auto& span : output_spans_) {
    if (spans_all(span)) return span;
  }
  for (const auto& span : spans_) {
    if (spans_all(span)) return span;
  }
  for (const Access& access : accesses_) {
    if (spans_all(access.axes)) return access.axes;
  }
  return {-1};
}

Dim RegionBuilder::stride_along(const Access& access, int32_t axis, const Dim& extent) const {
  Dim stride = 0;
  for (size_t i = 0; i < access.axes.size(); ++i) {
    if (find(access.axes[i]) != axis || access.extents[i].is_constant(1)) continue;
    // An extent that may be 1 at run time is repeated then: factor 0, else 1.
    const Dim& own = access.extents[i];
    const Dim factor = own == extent ? Dim(1) : min(max(own - 1, Dim(0)), Dim(1));
    stride = stride + access.strides[i] * factor;
  }
  return stride;
}

Result<std::vector<RegionBuilder::Loop>> RegionBuilder::make_loops() {
  if (ambiguous_) return unsupported("extents of which it is not known which is the widest");
  const std::vector<int32_t> axes = spanning_axes();
  if (axes.size() == 1 && axes[0] == -1) return unsupported("no value has all the dimensions of the region");
  std::set<int32_t> reduced;
  for (size_t r = 0; r < reduced_.size(); ++r) {
    std::set<int32_t> own;
    for (const auto& [axis, extent] : reduced_[r]) {
      own.insert(find(axis));
      if (extent != axis_extents_[static_cast<size_t>(find(axis))]) return unsupported("a reduction of a value that is repeated elsewhere");
    }
    if (r > 0 && own != reduced) return unsupported("reductions over different axes");
    reduced = std::move(own);
  }
  std::vector<Loop> loops;
  std::set<int32_t> seen;
  for (int32_t axis : axes) {
    const int32_t root = find(axis);
    const Dim& extent = axis_extents_[static_cast<size_t>(root)];
    if (extent.is_constant(1)) continue;
    if (!seen.insert(root).second) return unsupported("a value with one axis twice");
    Loop loop{root, extent, reduced.contains(root), {}};
    for (const Access& access : accesses_) loop.strides.push_back(stride_along(access, root, extent));
    loops.push_back(std::move(loop));
  }
  return loops;
}

void RegionBuilder::collapse(std::vector<Loop>& loops) {
  std::vector<Loop> result;
  for (Loop& loop : loops) {
    bool joins = !result.empty() && result.back().reduced == loop.reduced;
    for (size_t a = 0; joins && a < loop.strides.size(); ++a) joins = result.back().strides[a] == loop.strides[a] * loop.extent;
    if (joins) {
      result.back().extent = result.back().extent * loop.extent;
      result.back().strides = loop.strides;
    } else {
      result.push_back(std::move(loop));
    }
  }
  loops = std::move(result);
}

void RegionBuilder::place_operands(const std::vector<const Loop*>& order) {
  for (size_t a = 0; a < accesses_.size(); ++a) {
    const Access& access = accesses_[a];
    KernelOperand operand;
    operand.pointer = access.pointer + (access.is_output ? static_cast<int32_t>(plan_.inputs.size()) : 0);
    operand.dtype = access.dtype;
    for (size_t l = 0; l < order.size(); ++l) {
      const Dim& stride = order[l]->strides[a];
      const bool literal = stride.is_constant() && (l + 1 == order.size() || stride.is_constant(0));
      operand.strides.push_back(literal ? Extent{-1, stride.constant()} : argument(stride));
    }
    operand.offset = access.offset.is_constant(0) ? Extent{} : argument(access.offset);
    if (access.by_position) {
      const bool literal = access.position_stride.is_constant(1);
      operand.position_stride = literal ? Extent{-1, 1} : argument(access.position_stride);
      operand.position_extent = access.position_extent.is_constant(0) ? Extent{} : argument(access.position_extent);
    }
    plan_.kernel.operands.push_back(std::move(operand));
  }
}

// What the code of an interleaved loop has to know: its extent, and which operands have stride 1 along it.
void RegionBuilder::place_interleaved(const Dim& extent) {
  Kernel& kernel = plan_.kernel;
  const auto loop = static_cast<size_t>(kernel.interleaved);
  (kernel.reductions.empty() ? kernel.outer : kernel.inner).back() = {-1, extent.constant()};
  for (KernelOperand& operand : kernel.operands) {
    Extent& stride = operand.strides[loop];
    const bool along = !stride.is_static() && plan_.sizes[static_cast<size_t>(stride.argument)].is_constant(1);
    if (along && !operand.strides.back().is_static(1)) stride = {-1, 1};
  }
}

void RegionBuilder::choose_block(const std::vector<Loop>& loops) {
  Kernel& kernel = plan_.kernel;
  const Dim row = loops.empty() ? Dim(1) : loops.back().extent;
  const int64_t lanes = vector_lanes(isa_);
  if (kernel.interleaved >= 0) {
    const int64_t count = kernel.extent_of(static_cast<size_t>(kernel.interleaved)).value;
    kernel.block = kernel.reductions.empty() ? kRowBlock / count / lanes * lanes : lanes;
    kernel.row = argument(row);
    return;
  }
  if (kernel.reductions.empty()) {
    const bool bounded = row.is_constant() && row.constant() <= 2 * kRowBlock && !kernel.outer.empty();
    kernel.block = bounded ? 0 : kRowBlock;
    kernel.row = argument(row);
    return;
  }
  kernel.row = row.is_constant() ? Extent{-1, row.constant()} : argument(row);
  if (kernel.row_reduced) return;
  int64_t vectors = kColumnVectors;
  while (vectors > 1 && row.is_constant() && row.constant() <= (vectors / 2) * lanes) vectors /= 2;
  kernel.block = vectors * lanes;
}

// Where an operand runs along another loop than the row, both are cut into tiles, which are read along that loop and
// transposed in registers.
void RegionBuilder::choose_tile() {
  Kernel& kernel = plan_.kernel;
  if (!kernel.reductions.empty() || kernel.outer.empty() || kernel.interleaved >= 0 || kernel.instructions.size() > 24) return;
  for (const KernelStore& store : kernel.stores) {
    if (!kernel.operands[static_cast<size_t>(store.operand)].strides.back().is_static(1)) return;
  }
  std::set<size_t> candidates;
  for (size_t a = 0; a < accesses_.size(); ++a) {
    KernelOperand& operand = kernel.operands[a];
    if (operand.strides.back().is_static(0) || operand.strides.back().is_static(1) || accesses_[a].by_position || !operand.has_memory()) continue;
    if (element_size(operand.dtype) > kWidestTileElement) return;
    for (size_t l = 0; l < kernel.outer.size(); ++l) {
      const Extent& stride = operand.strides[l];
      if (!stride.is_static() && plan_.sizes[static_cast<size_t>(stride.argument)].is_constant(1)) candidates.insert(l);
    }
  }
  if (candidates.size() != 1) return;
  kernel.tile = static_cast<int32_t>(*candidates.begin());
  kernel.block = vector_lanes(isa_);
  for (KernelOperand& operand : kernel.operands) {
    Extent& stride = operand.strides[static_cast<size_t>(kernel.tile)];
    const bool along = !stride.is_static() && plan_.sizes[static_cast<size_t>(stride.argument)].is_constant(1);
    if (along && !operand.strides.back().is_static(1)) stride = {-1, 1};
  }
}

void RegionBuilder::measure(const std::vector<Loop>& loops) {
  const Kernel& kernel = plan_.kernel;
  Dim iterations = 1, inner = 1, elements = 1;
  for (const Loop& loop : loops) elements = elements * loop.extent;
  for (size_t l = 0; l < kernel.outer.size(); ++l) {
    if (static_cast<int32_t>(l) == kernel.interleaved) continue;
    const Dim extent = plan_.sizes[static_cast<size_t>(kernel.outer[l].argument)];
    iterations = iterations * (static_cast<int32_t>(l) == kernel.tile ? ceildiv(extent, Dim(vector_lanes(isa_))) : extent);
  }
  const Dim row = loops.empty() ? Dim(1) : loops.back().extent;
  if (kernel.block > 0) iterations = iterations * ceildiv(row, Dim(kernel.block));
  for (const Extent& extent : kernel.inner) inner = inner * (extent.is_static() ? Dim(extent.value) : plan_.sizes[static_cast<size_t>(extent.argument)]);
  plan_.iterations = iterations;
  const int64_t kept = kept_bytes(kernel, schedule_of(kernel));
  const Dim lanes = vector_lanes(isa_);
  const Dim kept_row = kernel.row_reduced ? ceildiv(row, lanes) * lanes : Dim(kernel.block);
  plan_.scratch_bytes = kept > 0 ? inner * kept_row * kept : Dim(0);
  int64_t picoseconds = 60 * static_cast<int64_t>(kernel.stores.size());
  for (const Instruction& i : kernel.instructions) picoseconds += time_of(i);
  // Rows that fill no vector leave most of a tile empty.
  const bool narrow = row.is_constant() && row.constant() < vector_lanes(isa_);
  if (kernel.tile >= 0) picoseconds += narrow ? 220 : 60;
  if (kernel.interleaved >= 0) picoseconds += 40;
  plan_.cost = ceildiv(elements * picoseconds, Dim(1000));
}

// An output may lie over an input that is read at the very element that is written.
void RegionBuilder::find_in_place() {
  const Kernel& kernel = plan_.kernel;
  for (const KernelStore& store : kernel.stores) {
    const KernelOperand& out = kernel.operands[static_cast<size_t>(store.operand)];
    for (size_t a = 0; a < accesses_.size(); ++a) {
      const KernelOperand& in = kernel.operands[a];
      if (accesses_[a].is_output || accesses_[a].by_position || !in.has_memory() || element_size(in.dtype) != element_size(out.dtype)) continue;
      const auto readers = std::ranges::count_if(kernel.operands, [&](const KernelOperand& o) { return o.pointer == in.pointer; });
      if (readers == 1 && in.strides == out.strides && in.offset == out.offset) {
        plan_.in_place.emplace_back(in.pointer, out.pointer - static_cast<int32_t>(plan_.inputs.size()));
      }
    }
  }
}

// Where a loop of few positions runs over elements that lie side by side, in groups along another loop (the channels of
// pixels), that one becomes the row, and the few come before it: each operand then has vectors along the row, or vectors of
// whole groups. So a reduction of few elements side by side does as many at once as a vector has lanes.
void RegionBuilder::choose_interleaved(std::vector<Loop>& loops) {
  Kernel& kernel = plan_.kernel;
  const auto reduced = std::ranges::count_if(loops, &Loop::reduced);
  if (reduced > 1 || (reduced > 0) == kernel.reductions.empty()) return;
  for (size_t few = loops.size(); few-- > 0;) {
    if (!loops[few].extent.is_constant() || loops[few].reduced != (reduced > 0)) continue;
    const int64_t count = loops[few].extent.constant();
    if (count < 2 || count > kMostInterleaved || count >= vector_lanes(isa_) || static_cast<int64_t>(kernel.instructions.size()) * count > kMostInterleavedCode) continue;
    for (size_t row = loops.size(); row-- > 0;) {
      if (row == few || !suits_interleaving(loops[few], loops[row])) continue;
      Loop last = std::move(loops[row]), before = std::move(loops[few]);
      loops.erase(loops.begin() + static_cast<std::ptrdiff_t>(std::max(row, few)));
      loops.erase(loops.begin() + static_cast<std::ptrdiff_t>(std::min(row, few)));
      kernel.interleaved = static_cast<int32_t>(loops.size());
      loops.push_back(std::move(before));
      loops.push_back(std::move(last));
      return;
    }
  }
}

// Whether there are instructions for it.
bool RegionBuilder::stores_masked(DType dtype) const { return isa_ == Isa::kV4 || element_size(dtype) >= 4; }

bool RegionBuilder::suits_interleaving(const Loop& few, const Loop& row) const {
  const int64_t count = few.extent.constant();
  if (row.extent.is_constant() && row.extent.constant() < vector_lanes(isa_)) return false;
  bool any = false;
  for (size_t a = 0; a < accesses_.size(); ++a) {
    const Access& access = accesses_[a];
    const Dim &step = row.strides[a], &along = few.strides[a];
    const bool grouped = along.is_constant(1) && step.is_constant() && step.constant() >= count && step.constant() <= kMostInterleaved && !access.by_position;
    if (grouped && (!access.is_output || step.is_constant(count) || stores_masked(access.dtype))) any = true;
    else if (!step.is_constant(1) && (access.is_output || (!step.is_constant(0) && !access.by_position && access.pointer != kOwnPosition))) return false;
  }
  return any;
}

Result<KernelPlan> RegionBuilder::finish() {
  std::vector<Loop> loops = TRY(make_loops());
  collapse(loops);
  choose_interleaved(loops);
  Kernel& kernel = plan_.kernel;
  kernel.row_reduced = !loops.empty() && loops.back().reduced;
  std::vector<const Loop*> order;
  for (bool reduced : {false, true}) {
    for (size_t l = 0; l + 1 < loops.size(); ++l) {
      if (loops[l].reduced != reduced) continue;
      order.push_back(&loops[l]);
      (reduced ? kernel.inner : kernel.outer).push_back(argument(loops[l].extent));
    }
  }
  Loop single{-1, 1, false, std::vector<Dim>(accesses_.size(), Dim(0))};
  order.push_back(loops.empty() ? &single : &loops.back());
  place_operands(order);
  if (kernel.interleaved >= 0) place_interleaved(order[static_cast<size_t>(kernel.interleaved)]->extent);
  choose_block(loops);
  choose_tile();
  measure(loops);
  find_in_place();
  return std::move(plan_);
}

}  // namespace gannet
