#include "runtime/kernels/attention_rows.h"

#include <limits>

#include "ir/target.h"

namespace gannet {
namespace {

#if defined(__x86_64__)
namespace avx512 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")))
#define GANNET_VECTOR_BYTES 64
#include "runtime/kernels/attention_rows.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
}  // namespace avx512
namespace avx2 {
#define GANNET_VECTOR_TARGET __attribute__((target("avx2,fma")))
#define GANNET_VECTOR_BYTES 32
#include "runtime/kernels/attention_rows.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
}  // namespace avx2
#endif
namespace baseline {
#define GANNET_VECTOR_TARGET
#define GANNET_VECTOR_BYTES 16
#include "runtime/kernels/attention_rows.inc"
#undef GANNET_VECTOR_TARGET
#undef GANNET_VECTOR_BYTES
}  // namespace baseline

}  // namespace

const AttentionRows& attention_rows() {
#if defined(__x86_64__)
  if (host_target().isa == Isa::kV4) return avx512::kAttentionRows;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kAttentionRows;
#endif
  return baseline::kAttentionRows;
}

}  // namespace gannet
