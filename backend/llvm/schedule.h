// In which order a kernel computes: what is done once for a position of the outer loops, what in each sweep over
// the reduced ones, and what is kept from one sweep to the next.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/llvm/kernel.h"

namespace gannet {

struct Sweep {
  std::vector<int32_t> reductions;  // that it accumulates
  std::vector<int32_t> stores;      // positions in Kernel::stores, of values that vary within the sweep
  std::vector<int32_t> values;      // instructions that it computes, in order
};

struct Schedule {
  // Of each instruction: whether it varies along a reduced loop or within the row of a kernel that reduces nothing;
  // else it is computed once for the position.
  std::vector<bool> varies;
  // Whether it has one value for all lanes of a vector.
  std::vector<bool> uniform;
  std::vector<Sweep> sweeps;
  // Instructions whose values the first sweep that has them keeps for the later ones.
  std::vector<int32_t> kept;
  std::vector<int32_t> once_stores;  // stores of values that do not vary

  bool keeps(int32_t instruction) const;
  bool stores_last() const;  // whether nothing is read in a sweep after one that stores
};

Schedule schedule_of(const Kernel& kernel);
// Bytes of one kept element of each kept value together.
int64_t kept_bytes(const Kernel& kernel, const Schedule& schedule);

}  // namespace gannet
