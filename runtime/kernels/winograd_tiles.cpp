#include "runtime/kernels/winograd_tiles.h"

#include <algorithm>
#include <cstring>

#include "ir/target.h"

namespace gannet {
namespace {

#define GANNET_NO_BASELINE
#define GANNET_VECTOR_FILE "runtime/kernels/winograd_tiles.inc"
#include "runtime/kernels/each_vector_target.inc"

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
