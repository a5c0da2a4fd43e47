// Moving elements without knowing their type: ops that only rearrange copy bytes of the element's size, or strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/base/tensor.h"

namespace gannet {

// Copies runs of elements between two tensors of one dtype. Indices are flat and in elements; the caller keeps them
// inside both tensors. The target must not be copied or moved while the mover is used.
class ElementMover {
 public:
  ElementMover(const Tensor& source, Tensor& target);
  void copy(int64_t target_index, int64_t source_index, int64_t count = 1) const;

 private:
  int64_t size_ = 0;  // of one element; 0 for strings
  const void* source_ = nullptr;
  void* target_ = nullptr;
};

// A box of elements, walked on both sides by strides in elements.
struct StridedWalk {
  std::vector<int64_t> extents;
  std::vector<int64_t> source_strides;
  std::vector<int64_t> target_strides;
  int64_t source_start = 0;
  int64_t target_start = 0;
};
// Copies the box; both tensors have one dtype. Strides may be 0 (repeated source) or negative.
void copy_strided(const Tensor& source, Tensor& target, const StridedWalk& walk);

// target[i] = source[i + offset[i]] along each axis wherever that lies inside of the source; the rest of the target
// keeps what it has. Both have the same rank.
void copy_window(const Tensor& source, Tensor& target, const std::vector<int64_t>& offsets);

// Every element becomes zero, false or the empty string.
void fill_zero(Tensor& target);
// Every element becomes element 0 of `value`, which has the same dtype.
void fill_with(Tensor& target, const Tensor& value);

}  // namespace gannet
