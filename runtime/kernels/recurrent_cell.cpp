#include "runtime/kernels/recurrent_cell.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/target.h"

namespace gannet {
namespace {

#if defined(__x86_64__)
namespace avx512 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")))
#define GANNET_VECTOR_BYTES 64
#define GANNET_VECTOR_REGISTERS 32
#include "runtime/kernels/recurrent_cell.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
#undef GANNET_VECTOR_REGISTERS
}  // namespace avx512
namespace avx2 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma")))
#define GANNET_VECTOR_BYTES 32
#define GANNET_VECTOR_REGISTERS 16
#include "runtime/kernels/recurrent_cell.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
#undef GANNET_VECTOR_REGISTERS
}  // namespace avx2
#endif
namespace baseline {
#define GANNET_VECTOR_TARGET
#define GANNET_VECTOR_BYTES 16
#define GANNET_VECTOR_REGISTERS 16
#include "runtime/kernels/recurrent_cell.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
#undef GANNET_VECTOR_REGISTERS
}  // namespace baseline

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
