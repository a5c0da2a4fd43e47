#include "backend/llvm/random_code.h"

#include <array>
#include <utility>
#include <vector>

namespace gannet {
namespace {

using llvm::Value;

class PhiloxCode {
 public:
  PhiloxCode(llvm::IRBuilder<>& builder, unsigned lanes)
      : b_(builder),
        lanes_(lanes),
        words_(llvm::FixedVectorType::get(b_.getInt32Ty(), lanes)),
        pairs_(llvm::FixedVectorType::get(b_.getInt64Ty(), lanes / 2)) {}

  Value* number(uint64_t n) { return llvm::ConstantInt::get(words_, n & 0xffffffff); }
  Value* low(Value* x) { return b_.CreateTrunc(x, words_); }
  Value* high(Value* x) { return b_.CreateTrunc(b_.CreateLShr(x, uint64_t{32}), words_); }

  // Philox4x32-10, lane by lane.
  std::array<Value*, 4> block(std::array<Value*, 4> counter, std::array<Value*, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const auto [high0, low0] = product(0xD2511F53, counter[0]);
      const auto [high1, low1] = product(0xCD9E8D57, counter[2]);
      counter = {b_.CreateXor(b_.CreateXor(high1, counter[1]), key[0]), low1,
                 b_.CreateXor(b_.CreateXor(high0, counter[3]), key[1]), low0};
      key = {b_.CreateAdd(key[0], number(0x9E3779B9)), b_.CreateAdd(key[1], number(0xBB67AE85))};
    }
    return counter;
  }

 private:
  // High and low words of the products: of the even lanes, then of the odd ones, as processors multiply.
  std::pair<Value*, Value*> product(uint64_t factor, Value* x) {
    Value* lanes = b_.CreateBitCast(x, pairs_);
    Value* factors = llvm::ConstantInt::get(pairs_, factor);
    Value* even = b_.CreateMul(b_.CreateAnd(lanes, llvm::ConstantInt::get(pairs_, 0xffffffff)), factors);
    Value* odd = b_.CreateMul(b_.CreateLShr(lanes, uint64_t{32}), factors);
    std::vector<int> high, low;
    for (int i = 0; i < static_cast<int>(lanes_); ++i) {
      const int from = (i & ~1) + (i & 1) * static_cast<int>(lanes_);
      low.push_back(from);
      high.push_back(from + 1);
    }
    even = b_.CreateBitCast(even, words_);
    odd = b_.CreateBitCast(odd, words_);
    return {b_.CreateShuffleVector(even, odd, high), b_.CreateShuffleVector(even, odd, low)};
  }

  llvm::IRBuilder<>& b_;
  const unsigned lanes_;
  llvm::FixedVectorType *words_, *pairs_;
};

}  // namespace

Value* random_words(llvm::IRBuilder<>& builder, Value* places, Value* seed, uint64_t stream) {
  PhiloxCode code(builder, llvm::cast<llvm::FixedVectorType>(places->getType())->getNumElements());
  Value* number = builder.CreateLShr(places, uint64_t{2});
  const std::array<Value*, 4> words =
      code.block({code.low(number), code.high(number), code.number(stream), code.number(stream >> 32)},
                 {code.low(seed), code.high(seed)});
  Value* word = code.low(places);
  Value* odd = builder.CreateICmpNE(builder.CreateAnd(word, code.number(1)), code.number(0));
  Value* late = builder.CreateICmpNE(builder.CreateAnd(word, code.number(2)), code.number(0));
  return builder.CreateSelect(late, builder.CreateSelect(odd, words[3], words[2]),
                              builder.CreateSelect(odd, words[1], words[0]));
}

}  // namespace gannet
