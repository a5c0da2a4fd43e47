// Elementary functions of vectors as LLVM instructions. Those of f32 are within 4 units in the last place;
// what is not here, and everything of f64, goes lane by lane to the C library through the MathTable.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <span>
#include <string_view>

#include "ir/target.h"

namespace gannet {

class VectorMath {
 public:
  // `table` is the kernel's MathTable argument. New instructions go where `builder` stands, which may move to
  // another block.
  VectorMath(llvm::IRBuilder<>& builder, llvm::Value* table, Isa isa) : b_(builder), table_(table), isa_(isa) {}

  // Vectors of f32 or f64.
  llvm::Value* exp(llvm::Value* x);
  llvm::Value* expm1(llvm::Value* x);
  llvm::Value* log(llvm::Value* x);
  llvm::Value* log1p(llvm::Value* x);
  llvm::Value* tanh(llvm::Value* x);
  llvm::Value* erf(llvm::Value* x);
  llvm::Value* sigmoid(llvm::Value* x);
  llvm::Value* softplus(llvm::Value* x);
  llvm::Value* sin(llvm::Value* x);
  llvm::Value* cos(llvm::Value* x);
  llvm::Value* pow(llvm::Value* x, llvm::Value* y);
  // NaN where either is; y where they are equal.
  llvm::Value* maximum(llvm::Value* x, llvm::Value* y);
  llvm::Value* minimum(llvm::Value* x, llvm::Value* y);

  // The function `name` of the table ("tan"; for f32 "f" is appended) for each lane.
  llvm::Value* call(std::string_view name, std::span<llvm::Value* const> operands);
  // As call, with the exact name and the result's element type.
  llvm::Value* call_lanes(std::string_view name, std::span<llvm::Value* const> operands, llvm::Type* result);

 private:
  struct Reduced {
    llvm::Value* exponent_float;  // n
    llvm::Value* exponent;        // n as integers
    llvm::Value* expm1;           // e^r - 1 with x = n log 2 + r
  };

  bool is_f32(llvm::Value* x) const { return x->getType()->getScalarType()->isFloatTy(); }
  llvm::Type* like(llvm::Value* x, llvm::Type* element) const;
  llvm::Value* number(llvm::Value* x, double value);
  llvm::Value* integer(llvm::Value* x, int64_t value);  // a vector of i32 with the lanes of x
  llvm::Value* fma(llvm::Value* x, llvm::Value* y, llvm::Value* z);
  llvm::Value* polynomial(llvm::Value* x, std::span<const double> coefficients);
  llvm::Value* absolute(llvm::Value* x);
  llvm::Value* copy_sign(llvm::Value* magnitude, llvm::Value* sign);
  llvm::Value* clamp(llvm::Value* x, double low, double high);
  llvm::Value* power_of_two(llvm::Value* exponent);  // 2^n as f32, for -126 <= n <= 127
  Reduced reduce_exponent(llvm::Value* x);
  llvm::Value* sine(llvm::Value* x, int quarter);
  llvm::Value* power_fast(llvm::Value* x, llvm::Value* y);
  // `fast()` where all lanes of `condition` hold, else `slow()`.
  template <class Fast, class Slow>
  llvm::Value* where_all(llvm::Value* condition, Fast fast, Slow slow);
  // The biased exponent's part of x > 0 moved into `exponent`; what is left lies in [sqrt(1/2), sqrt(2)).
  llvm::Value* split_exponent(llvm::Value* x, llvm::Value*& exponent);

  llvm::IRBuilder<>& b_;
  llvm::Value* table_;
  Isa isa_;
};

}  // namespace gannet
