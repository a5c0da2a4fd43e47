#include "backend/llvm/vector_math.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <array>
#include <limits>
#include <string>

#include "ir/base/check.h"
#include "runtime/core/code_image.h"

namespace gannet {
namespace {

using llvm::Value;

// Polynomials fitted to the functions in 40 digits with weights that level the relative error (Lawson's iteration), then
// rounded to f32.
// (e^r - 1 - r) / r^2 on |r| <= log(2) / 2, error 7e-8
constexpr double kExp[] = {0.5, 0.16666573286056519, 0.041666366159915924, 0.008363775908946991, 0.0013941809302195907};
// (log(1 + f) - f + f^2 / 2) / f^3 on [sqrt(1/2) - 1, sqrt(2) - 1], error 1.4e-7
constexpr double kLog[] = {0.33333325386047363, -0.25000283122062683, 0.20001861453056335, -0.16643421351909637,
                           0.1419076770544052,  -0.12944847345352173, 0.12795068323612213, -0.08295853435993195};
// erf(sqrt(t)) / sqrt(t) on [0, 0.86], error 2e-8
constexpr double kErf[] = {1.1283791065216064,    -0.3761249780654907,  0.11281842738389969,
                           -0.02676706574857235,  0.004993227776139975, -0.0005988533375784755};
// log(1 - erf(x)) on [0.92, 4], error of erf 2e-9
constexpr double kLogErfc[] = {-0.00019492638239171356, -1.1276788711547852,    -0.6371762752532959,   -0.10393717885017395,
                               0.02222980186343193,     -0.0030439922120422125, 0.00019602192332968116};
constexpr double kErfBorder = 0.92;
// Taylor series of sin(r) / r and cos(r) in r^2, for |r| <= pi / 4.
constexpr double kSine[] = {1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880};
constexpr double kCosine[] = {1, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800};

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLog2 = 0.6931471805599453;
// log(2) as two f32, of which the first has trailing zeros so that small multiples of it are exact.
constexpr double kLog2High = 0.693145751953125, kLog2Low = 1.428606820309417e-06;
// pi / 2 as two f64.
constexpr double kHalfPiHigh = 1.5707963267948966, kHalfPiLow = 6.123233995736766e-17;
// 1.5 * 2^23: added to an f32 of small magnitude, it leaves the nearest integer in the low bits.
constexpr double kRounder = 12582912;
constexpr int64_t kRounderBits = 0x4b400000, kSqrtHalfBits = 0x3f3504f3;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

llvm::Type* VectorMath::like(Value* x, llvm::Type* element) const {
  return llvm::VectorType::get(element, llvm::cast<llvm::VectorType>(x->getType())->getElementCount());
}
Value* VectorMath::number(Value* x, double value) { return llvm::ConstantFP::get(x->getType(), value); }
Value* VectorMath::integer(Value* x, int64_t value) {
  return llvm::ConstantInt::getSigned(like(x, b_.getInt32Ty()), value);
}
Value* VectorMath::fma(Value* x, Value* y, Value* z) {
  return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}
Value* VectorMath::absolute(Value* x) { return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }
Value* VectorMath::copy_sign(Value* magnitude, Value* sign) {
  return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, magnitude, sign);
}

Value* VectorMath::polynomial(Value* x, std::span<const double> coefficients) {
  Value* result = number(x, coefficients.back());
  for (size_t i = coefficients.size() - 1; i-- > 0;) result = fma(result, x, number(x, coefficients[i]));
  return result;
}

// NaN stays.
Value* VectorMath::clamp(Value* x, double low, double high) {
  x = b_.CreateSelect(b_.CreateFCmpOLT(x, number(x, low)), number(x, low), x);
  return b_.CreateSelect(b_.CreateFCmpOGT(x, number(x, high)), number(x, high), x);
}

Value* VectorMath::maximum(Value* x, Value* y) {
  Value* larger = b_.CreateSelect(b_.CreateFCmpOGT(x, y), x, y);
  return b_.CreateSelect(b_.CreateFCmpUNO(x, x), x, larger);
}
Value* VectorMath::minimum(Value* x, Value* y) {
  Value* smaller = b_.CreateSelect(b_.CreateFCmpOLT(x, y), x, y);
  return b_.CreateSelect(b_.CreateFCmpUNO(x, x), x, smaller);
}

Value* VectorMath::call_lanes(std::string_view name, std::span<Value* const> operands, llvm::Type* result) {
  const int index = math_function_index(name);
  CHECK(index >= 0, "the math table lacks {}", name);
  const unsigned lanes = llvm::cast<llvm::FixedVectorType>(operands[0]->getType())->getNumElements();
  llvm::Function* function = b_.GetInsertBlock()->getParent();
  llvm::IRBuilder<> entry(&function->getEntryBlock(), function->getEntryBlock().begin());
  Value* results = entry.CreateAlloca(llvm::FixedVectorType::get(result, lanes));
  std::vector<Value*> slots;
  std::vector<llvm::Type*> types;
  for (Value* operand : operands) {
    slots.push_back(entry.CreateAlloca(operand->getType()));
    types.push_back(operand->getType()->getScalarType());
    b_.CreateStore(operand, slots.back());
  }
  Value* callee = b_.CreateLoad(b_.getPtrTy(), b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), table_, static_cast<uint64_t>(index)));
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::BasicBlock* loop = llvm::BasicBlock::Create(b_.getContext(), "lanes", function);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(b_.getContext(), "after", function);
  b_.CreateBr(loop);
  b_.SetInsertPoint(loop);
  llvm::PHINode* lane = b_.CreatePHI(b_.getInt64Ty(), 2);
  lane->addIncoming(b_.getInt64(0), before);
  std::vector<Value*> arguments;
  for (size_t i = 0; i < slots.size(); ++i) {
    arguments.push_back(b_.CreateLoad(types[i], b_.CreateInBoundsGEP(types[i], slots[i], {lane})));
  }
  llvm::CallInst* value = b_.CreateCall(llvm::FunctionType::get(result, types, false), callee, arguments);
  value->setDoesNotThrow();
  b_.CreateStore(value, b_.CreateInBoundsGEP(result, results, {lane}));
  Value* next = b_.CreateAdd(lane, b_.getInt64(1));
  lane->addIncoming(next, loop);
  b_.CreateCondBr(b_.CreateICmpULT(next, b_.getInt64(lanes)), loop, after);
  b_.SetInsertPoint(after);
  return b_.CreateLoad(llvm::FixedVectorType::get(result, lanes), results);
}

Value* VectorMath::call(std::string_view name, std::span<Value* const> operands) {
  const std::string full = std::string(name) + (is_f32(operands[0]) ? "f" : "");
  return call_lanes(full, operands, operands[0]->getType()->getScalarType());
}

template <class Fast, class Slow>
Value* VectorMath::where_all(Value* condition, Fast fast, Slow slow) {
  llvm::Function* function = b_.GetInsertBlock()->getParent();
  const unsigned lanes = llvm::cast<llvm::FixedVectorType>(condition->getType())->getNumElements();
  Value* bits = b_.CreateBitCast(condition, b_.getIntNTy(lanes));
  llvm::BasicBlock* fast_block = llvm::BasicBlock::Create(b_.getContext(), "fast", function);
  llvm::BasicBlock* slow_block = llvm::BasicBlock::Create(b_.getContext(), "slow", function);
  llvm::BasicBlock* joined = llvm::BasicBlock::Create(b_.getContext(), "joined", function);
  b_.CreateCondBr(b_.CreateICmpEQ(bits, llvm::Constant::getAllOnesValue(bits->getType())), fast_block, slow_block);
  b_.SetInsertPoint(fast_block);
  Value* from_fast = fast();
  fast_block = b_.GetInsertBlock();
  b_.CreateBr(joined);
  b_.SetInsertPoint(slow_block);
  Value* from_slow = slow();
  slow_block = b_.GetInsertBlock();
  b_.CreateBr(joined);
  b_.SetInsertPoint(joined);
  llvm::PHINode* result = b_.CreatePHI(from_fast->getType(), 2);
  result->addIncoming(from_fast, fast_block);
  result->addIncoming(from_slow, slow_block);
  return result;
}

Value* VectorMath::power_of_two(Value* exponent) {
  Value* biased = b_.CreateShl(b_.CreateAdd(exponent, integer(exponent, 127)), integer(exponent, 23));
  return b_.CreateBitCast(biased, like(exponent, b_.getFloatTy()));
}

VectorMath::Reduced VectorMath::reduce_exponent(Value* x) {
  Value* shifted = fma(x, number(x, kLog2E), number(x, kRounder));
  Reduced result;
  result.exponent_float = b_.CreateFSub(shifted, number(x, kRounder));
  result.exponent = b_.CreateSub(b_.CreateBitCast(shifted, like(x, b_.getInt32Ty())), integer(x, kRounderBits));
  Value* r = fma(result.exponent_float, number(x, -kLog2High), x);
  r = fma(result.exponent_float, number(x, -kLog2Low), r);
  result.expm1 = fma(b_.CreateFMul(r, r), polynomial(r, kExp), r);
  return result;
}

Value* VectorMath::exp(Value* x) {
  if (!is_f32(x)) return call("exp", {{x}});
  Reduced reduced = reduce_exponent(clamp(x, -104.5, 89));
  Value* mantissa = b_.CreateFAdd(reduced.expm1, number(x, 1));
  const unsigned lanes = llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements();
  if (isa_ == Isa::kV4 && lanes == 16) {
    return b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_ps_512, {},
                              {mantissa, reduced.exponent_float, llvm::Constant::getNullValue(x->getType()), b_.getInt16(-1), b_.getInt32(4)});
  }
  // In two steps, so that results below the normal numbers are rounded once.
  Value* half = b_.CreateAShr(reduced.exponent, integer(x, 1));
  Value* rest = b_.CreateSub(reduced.exponent, half);
  return b_.CreateFMul(b_.CreateFMul(mantissa, power_of_two(half)), power_of_two(rest));
}

Value* VectorMath::expm1(Value* x) {
  if (!is_f32(x)) return call("expm1", {{x}});
  Reduced reduced = reduce_exponent(clamp(x, -30, 89));
  // Half of the result first: 2^128 is no f32.
  Value* scale = power_of_two(b_.CreateSub(reduced.exponent, integer(x, 1)));
  Value* half = fma(scale, reduced.expm1, b_.CreateFSub(scale, number(x, 0.5)));
  Value* tiny = b_.CreateFCmpOLT(absolute(x), number(x, 1e-30));
  return b_.CreateSelect(tiny, x, b_.CreateFAdd(half, half));
}

Value* VectorMath::split_exponent(Value* x, Value*& exponent) {
  Value* bits = b_.CreateBitCast(x, like(x, b_.getInt32Ty()));
  exponent = b_.CreateAShr(b_.CreateSub(bits, integer(x, kSqrtHalfBits)), integer(x, 23));
  return b_.CreateBitCast(b_.CreateSub(bits, b_.CreateShl(exponent, integer(x, 23))), x->getType());
}

Value* VectorMath::log(Value* x) {
  if (!is_f32(x)) return call("log", {{x}});
  Value* subnormal = b_.CreateFCmpOLT(x, number(x, 1.1754943508222875e-38));
  Value* scaled = b_.CreateSelect(subnormal, b_.CreateFMul(x, number(x, 8388608)), x);
  Value* exponent = nullptr;
  Value* f = b_.CreateFSub(split_exponent(scaled, exponent), number(x, 1));
  exponent = b_.CreateSub(exponent, b_.CreateSelect(subnormal, integer(x, 23), integer(x, 0)));
  Value* n = b_.CreateSIToFP(exponent, x->getType());
  Value* tail = b_.CreateFMul(b_.CreateFMul(f, f), fma(f, polynomial(f, kLog), number(x, -0.5)));
  Value* result = b_.CreateFAdd(fma(n, number(x, kLog2Low), tail), f);
  result = fma(n, number(x, kLog2High), result);
  Value* regular = b_.CreateAnd(b_.CreateFCmpOGT(x, number(x, 0)), b_.CreateFCmpOLT(x, number(x, kInfinity)));
  Value* special = b_.CreateSelect(b_.CreateFCmpOEQ(x, number(x, kInfinity)), x, number(x, std::numeric_limits<double>::quiet_NaN()));
  special = b_.CreateSelect(b_.CreateFCmpOEQ(x, number(x, 0)), number(x, -kInfinity), special);
  return b_.CreateSelect(regular, result, special);
}

// log(u) for the rounded u = 1 + x, plus what the rounding lost.
Value* VectorMath::log1p(Value* x) {
  if (!is_f32(x)) return call("log1p", {{x}});
  Value* u = b_.CreateFAdd(x, number(x, 1));
  Value* lost = b_.CreateFDiv(b_.CreateFSub(x, b_.CreateFSub(u, number(x, 1))), u);
  Value* regular = b_.CreateAnd(b_.CreateFCmpOGT(u, number(x, 0)), b_.CreateFCmpOLT(u, number(x, kInfinity)));
  Value* result = b_.CreateFAdd(log(u), b_.CreateSelect(regular, lost, number(x, 0)));
  return b_.CreateSelect(b_.CreateFCmpOEQ(x, number(x, 0)), x, result);
}

// With e = exp(-2|x|) - 1 it is -e / (e + 2).
Value* VectorMath::tanh(Value* x) {
  if (!is_f32(x)) return call("tanh", {{x}});
  Value* e = expm1(b_.CreateFMul(absolute(x), number(x, -2)));
  Value* magnitude = b_.CreateFDiv(b_.CreateFNeg(e), b_.CreateFAdd(e, number(x, 2)));
  return copy_sign(magnitude, x);
}

Value* VectorMath::erf(Value* x) {
  if (!is_f32(x)) return call("erf", {{x}});
  Value* magnitude = absolute(x);
  Value* small = b_.CreateFMul(x, polynomial(b_.CreateFMul(x, x), kErf));
  Value* bounded = b_.CreateSelect(b_.CreateFCmpOGT(magnitude, number(x, 4)), number(x, 4), magnitude);
  Value* large = b_.CreateFSub(number(x, 1), exp(polynomial(bounded, kLogErfc)));
  Value* is_small = b_.CreateFCmpOLT(magnitude, number(x, kErfBorder));
  return b_.CreateSelect(is_small, small, copy_sign(large, x));
}

Value* VectorMath::sigmoid(Value* x) {
  Value* e = exp(b_.CreateFNeg(absolute(x)));
  Value* above = b_.CreateSelect(b_.CreateFCmpOGE(x, number(x, 0)), number(x, 1), e);
  return b_.CreateFDiv(above, b_.CreateFAdd(e, number(x, 1)));
}

Value* VectorMath::softplus(Value* x) {
  return b_.CreateFAdd(maximum(x, number(x, 0)), log1p(exp(b_.CreateFNeg(absolute(x)))));
}

// sin(x + quarter * pi / 2). The multiple of pi / 2 is taken off in f64, which is exact enough below 1e8.
Value* VectorMath::sine(Value* x, int quarter) {
  Value* wide = b_.CreateFPExt(x, like(x, b_.getDoubleTy()));
  Value* n = b_.CreateUnaryIntrinsic(llvm::Intrinsic::rint, b_.CreateFMul(wide, number(wide, 2 / 3.141592653589793)));
  Value* r = fma(n, number(wide, -kHalfPiHigh), wide);
  r = b_.CreateFPTrunc(fma(n, number(wide, -kHalfPiLow), r), x->getType());
  Value* quadrant = b_.CreateAdd(b_.CreateFPToSI(n, like(x, b_.getInt32Ty())), integer(x, quarter));
  Value* square = b_.CreateFMul(r, r);
  Value* odd = b_.CreateICmpNE(b_.CreateAnd(quadrant, integer(x, 1)), integer(x, 0));
  Value* value = b_.CreateSelect(odd, polynomial(square, kCosine), b_.CreateFMul(r, polynomial(square, kSine)));
  Value* negative = b_.CreateICmpNE(b_.CreateAnd(quadrant, integer(x, 2)), integer(x, 0));
  return b_.CreateSelect(negative, b_.CreateFNeg(value), value);
}

Value* VectorMath::sin(Value* x) {
  if (!is_f32(x)) return call("sin", {{x}});
  Value* near = b_.CreateFCmpOLT(absolute(x), number(x, 1e8));
  // Zero keeps its sign.
  return where_all(near, [&] { return b_.CreateSelect(b_.CreateFCmpOEQ(x, number(x, 0)), x, sine(x, 0)); }, [&] { return call("sin", {{x}}); });
}

Value* VectorMath::cos(Value* x) {
  if (!is_f32(x)) return call("cos", {{x}});
  Value* near = b_.CreateFCmpOLT(absolute(x), number(x, 1e8));
  return where_all(near, [&] { return sine(x, 1); }, [&] { return call("cos", {{x}}); });
}

// 2^(y log2(x)) in f64. log(m) is twice the series of artanh((m - 1) / (m + 1)).
Value* VectorMath::power_fast(Value* x, Value* y) {
  Value* exponent = nullptr;
  Value* mantissa = split_exponent(x, exponent);
  llvm::Type* wide = like(x, b_.getDoubleTy());
  Value* m = b_.CreateFPExt(mantissa, wide);
  Value* s = b_.CreateFDiv(b_.CreateFSub(m, number(m, 1)), b_.CreateFAdd(m, number(m, 1)));
  constexpr double kArtanh[] = {1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13};
  Value* series = b_.CreateFMul(s, polynomial(b_.CreateFMul(s, s), kArtanh));
  Value* log2x = fma(series, number(s, 2 * kLog2E), b_.CreateSIToFP(exponent, wide));
  Value* z = clamp(b_.CreateFMul(b_.CreateFPExt(y, wide), log2x), -200, 200);
  Value* n = b_.CreateUnaryIntrinsic(llvm::Intrinsic::rint, z);
  Value* r = b_.CreateFMul(b_.CreateFSub(z, n), number(z, kLog2));
  constexpr double kTaylor[] = {1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880};
  Value* biased = b_.CreateAdd(b_.CreateFPToSI(n, like(x, b_.getInt32Ty())), integer(x, 1023));
  Value* bits = b_.CreateSExt(biased, like(x, b_.getInt64Ty()));
  Value* scale = b_.CreateBitCast(b_.CreateShl(bits, llvm::ConstantInt::get(bits->getType(), 52)), wide);
  return b_.CreateFPTrunc(b_.CreateFMul(polynomial(r, kTaylor), scale), x->getType());
}

Value* VectorMath::pow(Value* x, Value* y) {
  if (!is_f32(x)) return call("pow", {{x, y}});
  Value* regular = b_.CreateAnd(b_.CreateFCmpOGE(x, number(x, 1.1754943508222875e-38)), b_.CreateFCmpOLT(x, number(x, kInfinity)));
  regular = b_.CreateAnd(regular, b_.CreateFCmpOLT(absolute(y), number(x, kInfinity)));
  return where_all(regular, [&] { return power_fast(x, y); }, [&] { return call("pow", {{x, y}}); });
}

}  // namespace gannet
