// From a Kernel to a function of type KernelFn in LLVM's intermediate form.
#pragma once

#include <llvm/IR/Module.h>

#include <string>

#include "backend/llvm/kernel.h"
#include "backend/llvm/schedule.h"
#include "ir/target.h"

namespace gannet {

// Vectors that a kernel works on at once.
int64_t vectors_at_once(const Kernel& kernel, Isa isa);

// Adds the function `name` to `module`.
void emit_kernel(llvm::Module& module, const std::string& name, const Kernel& kernel, Isa isa);

}  // namespace gannet
