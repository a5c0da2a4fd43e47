// Transposing a square of vectors in registers.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <vector>

namespace gannet {

// Of n vectors with n lanes each, n a power of two: lane i of result j is lane j of argument i.
std::vector<llvm::Value*> transpose_vectors(llvm::IRBuilder<>& builder, std::vector<llvm::Value*> rows);

}  // namespace gannet
