// Plain facts about the machine a program is compiled for and about what its kernels prefer. Passes ask here instead of
// asking the backends.
#pragma once

#include <cstdint>
#include <string>

namespace gannet {

enum class Isa : uint8_t { kV3, kV4 };  // x86-64-v3 (AVX2, FMA), x86-64-v4 (AVX-512 F, BW, DQ, VL, CD)

struct Target {
  Isa isa = Isa::kV3;
  bool channels_last = true;  // convolutions and poolings run on N, spatial..., C
  bool convolution_epilogues = true;
  bool matmul_epilogues = true;
  bool fused_attention = true;
  // Sums of products of 8 bits are exact (AVX-512 VNNI); without, pairs of products saturate at 16 bits.
  bool integer_products = false;
  // Convolutions and products of bf16 with sums in f32 have kernels (AVX512_BF16).
  bool bf16_products = false;

  int vector_bytes() const { return isa == Isa::kV4 ? 64 : 32; }
};

// This machine, or less: GANNET_ISA keeps it to what a name of ir/named_target.h says, and ONEDNN_MAX_CPU_ISA to what its
// name says in products of integers and of bf16. Unsupported machines (no AVX2) give kV3; loading code then reports it.
Target host_target();
// "x86-64-v3", "x86-64-v4".
std::string name_of(Isa isa);

}  // namespace gannet
