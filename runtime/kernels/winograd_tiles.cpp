#include "runtime/kernels/winograd_tiles.h"

#include <algorithm>
#include <cstring>

#include "ir/target.h"

namespace gannet {
namespace {

#if defined(__x86_64__)
namespace avx512 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")))
#define GANNET_VECTOR_BYTES 64
#define GANNET_GROUP_ROWS 14
#include "runtime/kernels/winograd_tiles.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
#undef GANNET_GROUP_ROWS
}  // namespace avx512
namespace avx2 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma")))
#define GANNET_VECTOR_BYTES 32
#define GANNET_GROUP_ROWS 6
#include "runtime/kernels/winograd_tiles.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
#undef GANNET_GROUP_ROWS
}  // namespace avx2
#endif

}  // namespace

const WinogradKernels* winograd_kernels() {
#if defined(__x86_64__)
  if (host_target().isa == Isa::kV4) return &avx512::kWinogradKernels;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kWinogradKernels;
#endif
  return nullptr;
}

bool finishes_tiles(EpilogueKind kind) {
  using enum EpilogueKind;
  switch (kind) {
    case kRelu: case kLeakyRelu: case kSigmoid: case kSwish: case kHardSwish: case kHardSigmoid: case kClip: case kLinear: case kAbs:
    case kSquare: case kAdd: case kMul: case kMax: case kMin: return true;
    default: return false;
  }
}

}  // namespace gannet
