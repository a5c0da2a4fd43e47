// A kernel together with what its step passes to it: the values behind its pointers and the dimensions behind its
// run-time sizes.
#pragma once

#include <utility>
#include <vector>

#include "backend/llvm/kernel.h"
#include "ir/base/dim.h"
#include "ir/base/tensor.h"
#include "ir/graph.h"
#include "ir/target.h"

namespace gannet {

// What an input pointer is: a value of the graph around, or a constant of a Fused node's body.
struct KernelSource {
  const Value* value = nullptr;
  Tensor constant;
};

// Two extents that must agree when the kernel runs or, with `broadcast`, one of them be 1.
struct KernelCondition {
  Dim a, b;
  bool broadcast = true;
};

struct KernelPlan {
  Kernel kernel;
  std::vector<KernelSource> inputs;  // pointers 0, 1, ...; the outputs follow
  std::vector<const Value*> outputs;
  std::vector<Dim> sizes;
  Dim iterations, scratch_bytes, cost;
  std::vector<KernelCondition> conditions;
  std::vector<std::pair<size_t, size_t>> in_place;  // input, output
};

}  // namespace gannet
