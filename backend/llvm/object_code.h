// Kernels as machine code: LLVM makes an object file of each, and a small linker turns it into one block of
// position-independent bytes that calls nothing outside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/llvm/kernel.h"
#include "ir/target.h"

namespace gannet {

struct KernelCode {
  std::vector<uint8_t> bytes;  // wants an alignment of 64
  int64_t entry = 0;           // of the function, in bytes
};

// Everything but the kernel that its code depends on: changes with LLVM and with this generator.
std::string code_generator_version();

// Safe to call from several threads at once.
KernelCode compile_kernel(const Kernel& kernel, Isa isa);

// The one function of an ELF object file for x86-64, its sections laid out one after the other. CHECKs that it refers
// to nothing but itself.
KernelCode link_object(const std::vector<uint8_t>& object);

}  // namespace gannet
