// The counter-based generator of ir/base/random.h as LLVM instructions over a vector.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <cstdint>

namespace gannet {

// u32 words number `places` (i64 each) of the generator of `seed` (i64, the same in all lanes) and `stream`: what
// Random(seed, stream) gives in its call number place of next_u32.
llvm::Value* random_words(llvm::IRBuilder<>& builder, llvm::Value* places, llvm::Value* seed, uint64_t stream);

}  // namespace gannet
