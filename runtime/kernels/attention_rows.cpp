#include "runtime/kernels/attention_rows.h"

#include <limits>

#include "ir/target.h"

namespace gannet {
namespace {

#define GANNET_VECTOR_FILE "runtime/kernels/attention_rows.inc"
#include "runtime/kernels/each_vector_target.inc"

}  // namespace

const AttentionRows& attention_rows() {
#if defined(__x86_64__)
  if (host_target().isa == Isa::kV4) return avx512::kAttentionRows;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kAttentionRows;
#endif
  return baseline::kAttentionRows;
}

}  // namespace gannet
