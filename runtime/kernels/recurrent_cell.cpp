#include "runtime/kernels/recurrent_cell.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/target.h"

namespace gannet {
namespace {

#define GANNET_VECTOR_FILE "runtime/kernels/recurrent_cell.inc"
#include "runtime/kernels/each_vector_target.inc"

}  // namespace

int64_t gates_of(CellKind kind) { return kind == CellKind::kRnn ? 1 : kind == CellKind::kLstm ? 4 : 3; }

const CellKernels& cell_kernels(int64_t hidden) {
#if defined(__x86_64__)
  constexpr int64_t kFewUnits = 8;  // fill no vector of AVX-512
  if (host_target().isa == Isa::kV4 && hidden > kFewUnits) return avx512::kCellKernels;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kCellKernels;
#endif
  return baseline::kCellKernels;
}

}  // namespace gannet
