// One instruction of a kernel as LLVM instructions over a vector: what ir/scalar_functions.h and the op Cast say for
// one element, for as many as a vector has. Values of type bool are vectors of i1.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <span>

#include "backend/llvm/kernel.h"
#include "backend/llvm/vector_math.h"

namespace gannet {

class ScalarCode {
 public:
  ScalarCode(llvm::IRBuilder<>& builder, VectorMath& math, unsigned lanes) : b_(builder), math_(math), lanes_(lanes) {}

  llvm::Type* element_type(DType dtype) const;          // of computation
  llvm::VectorType* vector_type(DType dtype) const;
  llvm::Value* literal(const Instruction& number);
  // kScalar, kConvert and kRound; `types` are those of the operands.
  llvm::Value* emit(const Instruction& instruction, std::span<llvm::Value* const> args, std::span<const DType> types);
  llvm::Value* reduce_pair(ReductionKind kind, DType type, llvm::Value* x, llvm::Value* y);

  // Between memory and computation: bool is a byte, 16-bit floats are the bits of f32.
  llvm::Type* storage_type(DType dtype) const;
  llvm::Value* from_storage(llvm::Value* bits, DType dtype);
  llvm::Value* to_storage(llvm::Value* value, DType dtype);

 private:
  llvm::Value* splat(llvm::Type* vector, int64_t value) { return llvm::ConstantInt::getSigned(vector, value); }
  llvm::Value* arithmetic(ScalarOp op, DType type, llvm::Value* x, llvm::Value* y);
  llvm::Value* float_function(ScalarOp op, llvm::Value* x, llvm::Value* y);
  llvm::Value* compare(ScalarOp op, DType type, llvm::Value* x, llvm::Value* y);
  llvm::Value* bits_or_logic(ScalarOp op, DType type, llvm::Value* x, llvm::Value* y);
  llvm::Value* shift(ScalarOp op, DType type, llvm::Value* x, llvm::Value* y);
  llvm::Value* divide_integers(DType type, llvm::Value* x, llvm::Value* y, bool remainder);
  llvm::Value* modulus(ScalarOp op, DType type, llvm::Value* x, llvm::Value* y);
  llvm::Value* sign(DType type, llvm::Value* x);
  llvm::Value* power(DType base, DType exponent, llvm::Value* x, llvm::Value* y);
  llvm::Value* float_power(llvm::Value* x, llvm::Value* y);
  llvm::Value* integer_power(DType base, DType exponent, llvm::Value* x, llvm::Value* y);
  llvm::Value* cast(llvm::Value* x, DType from, DType to);
  llvm::Value* convert(llvm::Value* x, DType from, const Instruction& to);
  llvm::Value* truncate_to_bits(llvm::Value* x);
  llvm::Value* round_through(llvm::Value* x, DType storage);

  llvm::IRBuilder<>& b_;
  VectorMath& math_;
  unsigned lanes_;
};

}  // namespace gannet
