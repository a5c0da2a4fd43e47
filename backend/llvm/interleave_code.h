// Elements that lie in turn, such as the channels of a picture's pixels, as a vector for each, and back.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <vector>

namespace gannet {

// Of n vectors: element i of vector j becomes element i * n + j of the results, one behind the other.
std::vector<llvm::Value*> interleave_vectors(llvm::IRBuilder<>& builder, const std::vector<llvm::Value*>& parts);

// Where vector `k` of the `stride` vectors starts that hold `lanes` groups of elements, `stride` apart, of which the first
// `count` are wanted. The last one ends with the last element that is wanted, so that nothing behind is read.
int64_t group_vector_start(int64_t k, int64_t lanes, int64_t stride, int64_t count);
// Element i of result j is element j of group i.
std::vector<llvm::Value*> deinterleave_vectors(llvm::IRBuilder<>& builder, const std::vector<llvm::Value*>& whole, int64_t count);

}  // namespace gannet
