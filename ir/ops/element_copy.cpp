#include "ir/ops/element_copy.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace gannet {
namespace {

struct Dimension {
  int64_t extent = 1;
  int64_t source_stride = 0;
  int64_t target_stride = 0;
};

// Drops extents of 1 and merges neighbours that both sides walk as one. Nothing when the box is empty.
std::vector<Dimension> simplify(const StridedWalk& walk, bool& empty) {
  std::vector<Dimension> dimensions;
  empty = false;
  for (size_t i = 0; i < walk.extents.size(); ++i) {
    const Dimension next{walk.extents[i], walk.source_strides[i], walk.target_strides[i]};
    if (next.extent == 0) empty = true;
    if (next.extent == 1) continue;
    if (!dimensions.empty()) {
      Dimension& last = dimensions.back();
      if (last.source_stride == next.source_stride * next.extent &&
          last.target_stride == next.target_stride * next.extent) {
        last = {last.extent * next.extent, next.source_stride, next.target_stride};
        continue;
      }
    }
    dimensions.push_back(next);
  }
  if (dimensions.empty()) dimensions.push_back({1, 1, 1});
  return dimensions;
}

template <int size>
void copy_run(const std::byte* source, std::byte* target, const Dimension& run) {
  if (run.source_stride == 1 && run.target_stride == 1) {
    std::memcpy(target, source, static_cast<size_t>(run.extent) * size);
    return;
  }
  for (int64_t i = 0; i < run.extent; ++i) {
    std::memcpy(target + i * run.target_stride * size, source + i * run.source_stride * size, size);
  }
}

// Calls run(source index, target index) for each innermost run.
template <class Run>
void for_each_run(const StridedWalk& walk, const std::vector<Dimension>& dimensions, Run&& run) {
  std::vector<int64_t> position(dimensions.size(), 0);
  int64_t source = walk.source_start, target = walk.target_start;
  while (true) {
    run(source, target);
    size_t axis = dimensions.size() - 1;
    while (axis > 0) {
      const Dimension& dimension = dimensions[--axis];
      source += dimension.source_stride;
      target += dimension.target_stride;
      if (++position[axis] < dimension.extent) break;
      source -= dimension.extent * dimension.source_stride;
      target -= dimension.extent * dimension.target_stride;
      position[axis] = 0;
      if (axis == 0) return;
    }
    if (dimensions.size() == 1) return;
  }
}

template <int size>
void copy_fixed(const Tensor& source, Tensor& target, const StridedWalk& walk, const std::vector<Dimension>& dimensions) {
  const auto* from = static_cast<const std::byte*>(source.raw());
  auto* to = static_cast<std::byte*>(target.mutable_raw());
  for_each_run(walk, dimensions, [&](int64_t source_index, int64_t target_index) {
    copy_run<size>(from + source_index * size, to + target_index * size, dimensions.back());
  });
}

}  // namespace

ElementMover::ElementMover(const Tensor& source, Tensor& target)
    : size_(element_size(source.dtype())), source_(source.raw()), target_(target.mutable_raw()) {
  CHECK(source.dtype() == target.dtype(), "moving {} to {}", name_of(source.dtype()), name_of(target.dtype()));
}

void ElementMover::copy(int64_t target_index, int64_t source_index, int64_t count) const {
  if (size_ == 0) {
    const auto* from = static_cast<const std::string*>(source_) + source_index;
    std::copy(from, from + count, static_cast<std::string*>(target_) + target_index);
    return;
  }
  std::memcpy(static_cast<std::byte*>(target_) + target_index * size_,
              static_cast<const std::byte*>(source_) + source_index * size_, static_cast<size_t>(count * size_));
}

void copy_strided(const Tensor& source, Tensor& target, const StridedWalk& walk) {
  CHECK(source.dtype() == target.dtype(), "copying {} to {}", name_of(source.dtype()), name_of(target.dtype()));
  bool empty = false;
  const std::vector<Dimension> dimensions = simplify(walk, empty);
  if (empty) return;
  switch (element_size(source.dtype())) {
    case 1: return copy_fixed<1>(source, target, walk, dimensions);
    case 2: return copy_fixed<2>(source, target, walk, dimensions);
    case 4: return copy_fixed<4>(source, target, walk, dimensions);
    case 8: return copy_fixed<8>(source, target, walk, dimensions);
    case 16: return copy_fixed<16>(source, target, walk, dimensions);
    default: break;
  }
  const auto from = source.data<std::string>();
  const auto to = target.mutable_data<std::string>();
  for_each_run(walk, dimensions, [&](int64_t source_index, int64_t target_index) {
    const Dimension& run = dimensions.back();
    for (int64_t i = 0; i < run.extent; ++i) {
      to[static_cast<size_t>(target_index + i * run.target_stride)] =
          from[static_cast<size_t>(source_index + i * run.source_stride)];
    }
  });
}

void copy_window(const Tensor& source, Tensor& target, const std::vector<int64_t>& offsets) {
  StridedWalk walk;
  walk.source_strides = row_major_strides(source.extents());
  walk.target_strides = row_major_strides(target.extents());
  if (source.elements() == 0 || target.elements() == 0) return;
  for (size_t axis = 0; axis < offsets.size(); ++axis) {
    const int64_t first = std::max<int64_t>(0, -offsets[axis]);
    const int64_t end = std::min(target.extents()[axis], source.extents()[axis] - offsets[axis]);
    if (end <= first) return;
    walk.extents.push_back(end - first);
    walk.target_start += first * walk.target_strides[axis];
    walk.source_start += (first + offsets[axis]) * walk.source_strides[axis];
  }
  copy_strided(source, target, walk);
}

void fill_zero(Tensor& target) {
  if (target.dtype() == DType::kString) {
    std::ranges::fill(target.mutable_data<std::string>(), std::string());
  } else if (target.elements() > 0) {
    std::memset(target.mutable_raw(), 0, static_cast<size_t>(target.bytes()));
  }
}

void fill_with(Tensor& target, const Tensor& value) {
  copy_strided(value, target, {{target.elements()}, {0}, {1}, 0, 0});
}

}  // namespace gannet
