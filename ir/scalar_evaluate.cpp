// Evaluation of scalar bodies, block by block: a body is flattened into a list of instructions over registers of
// kBlock elements, and each instruction is one loop over a block in cache.
#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "ir/elementwise.h"
#include "ir/scalar_functions.h"

namespace gannet {

std::vector<int64_t> broadcast_strides(std::span<const int64_t> extents, std::span<const int64_t> result) {
  std::vector<int64_t> strides(result.size(), 0);
  int64_t stride = 1;
  for (size_t i = 0; i < extents.size(); ++i) {
    size_t from_end = extents.size() - 1 - i;
    if (extents[from_end] != 1) strides[result.size() - 1 - i] = stride;
    stride *= extents[from_end];
  }
  return strides;
}

namespace {

constexpr int64_t kBlock = 256;
constexpr size_t kWidest = 16;  // bytes of the largest element, c128

// The type in which values of a storage type are computed.
DType compute_type(DType storage) {
  return storage == DType::kF16 || storage == DType::kBF16 ? DType::kF32 : storage;
}

template <class Visitor>
bool visit_compute(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::kF32: visitor(Tag<float>{}); return true;
    case DType::kF64: visitor(Tag<double>{}); return true;
    case DType::kI8: visitor(Tag<int8_t>{}); return true;
    case DType::kU8: visitor(Tag<uint8_t>{}); return true;
    case DType::kI16: visitor(Tag<int16_t>{}); return true;
    case DType::kU16: visitor(Tag<uint16_t>{}); return true;
    case DType::kI32: visitor(Tag<int32_t>{}); return true;
    case DType::kU32: visitor(Tag<uint32_t>{}); return true;
    case DType::kI64: visitor(Tag<int64_t>{}); return true;
    case DType::kU64: visitor(Tag<uint64_t>{}); return true;
    case DType::kBool: visitor(Tag<bool>{}); return true;
    default: return false;
  }
}

struct Instruction {
  ScalarOp op;
  DType operand_type;                // what its loop reads (the first operand; for select the chosen ones)
  DType result_type;
  DType exponent_type = DType::kUndefined;  // of kPow
  std::array<int, 3> sources{-1, -1, -1};
  int index = 0;  // operand of kArg
};

struct Program {
  std::vector<Instruction> code;      // instruction i writes register i
  std::vector<std::pair<int, ScalarExpr>> numbers;
};

class Compiler {
 public:
  Compiler(std::span<const DType> operand_types, Program& program) : operand_types_(operand_types), program_(program) {}

  // The register of `expr`; a literal takes type `wanted`.
  Result<int> compile(const ScalarExpr& expr, DType wanted) {
    if (expr->op == ScalarOp::kNumber) {
      int target = emit({expr->op, wanted, wanted, {}, {}, 0});
      program_.numbers.emplace_back(target, expr);
      return target;
    }
    auto known = done_.find(expr.node());
    if (known != done_.end()) return known->second;
    bool only_literals = TRY(type_of(expr)) == DType::kUndefined;
    int target = TRY(compile_new(expr, only_literals ? wanted : DType::kUndefined));
    if (!only_literals) done_[expr.node()] = target;
    return target;
  }

 private:
  int emit(Instruction instruction) {
    program_.code.push_back(instruction);
    return static_cast<int>(program_.code.size()) - 1;
  }

  Result<DType> type_of(const ScalarExpr& expr) {
    if (expr->op == ScalarOp::kNumber) return DType::kUndefined;
    return compute_type(TRY(result_type(expr, operand_types_)));
  }

  // `imposed` is the type of an expression that holds only literals.
  Result<int> compile_new(const ScalarExpr& expr, DType imposed) {
    if (expr->op == ScalarOp::kArg) {
      DType type = compute_type(operand_types_[static_cast<size_t>(expr->index)]);
      return emit({expr->op, type, type, {}, {}, expr->index});
    }
    size_t first_typed = expr->op == ScalarOp::kSelect ? 1 : 0;
    DType joint = DType::kUndefined;
    for (size_t i = first_typed; i < expr->args.size() && joint == DType::kUndefined; ++i) {
      joint = TRY(type_of(expr->args[i]));
    }
    if (joint == DType::kUndefined && rule_of(expr->op) == ScalarRule::kLogical) joint = DType::kBool;
    if (joint == DType::kUndefined) joint = imposed == DType::kUndefined ? DType::kF64 : imposed;
    DType result = TRY(type_of(expr));
    Instruction instruction{expr->op, joint, result == DType::kUndefined ? joint : result, {}, {}, 0};
    for (size_t i = 0; i < expr->args.size(); ++i) {
      DType wanted = joint;
      if (expr->op == ScalarOp::kSelect && i == 0) wanted = DType::kBool;
      if (expr->op == ScalarOp::kPow && i == 1) {
        DType exponent = TRY(type_of(expr->args[1]));
        bool integral = expr->args[1]->is_integer;
        wanted = exponent != DType::kUndefined ? exponent : (is_float(joint) || integral ? joint : DType::kF64);
        instruction.exponent_type = wanted;
      }
      instruction.sources[i] = TRY(compile(expr->args[i], wanted));
    }
    return emit(instruction);
  }

  std::span<const DType> operand_types_;
  Program& program_;
  std::unordered_map<const ScalarNode*, int> done_;
};

struct alignas(64) Block {
  std::array<std::byte, kBlock * kWidest> bytes;
};

struct Registers {
  std::vector<Block> blocks;
  std::vector<const void*> values;  // where register i is: its block, or straight in an operand

  template <class T> const T* in(int i) const { return static_cast<const T*>(values[static_cast<size_t>(i)]); }
  template <class T> T* out(size_t i) { return reinterpret_cast<T*>(blocks[i].bytes.data()); }
};

using namespace scalar_functions;  // NOLINT(google-build-using-namespace): the vocabulary of scalar.def

template <ScalarRule rule, class T>
constexpr bool takes() {
  if constexpr (rule == ScalarRule::kFloat) return std::is_floating_point_v<T>;
  else if constexpr (rule == ScalarRule::kInteger) return kIsInteger<T>;
  else if constexpr (rule == ScalarRule::kLogical) return std::is_same_v<T, bool>;
  else if constexpr (rule == ScalarRule::kCompare) return true;
  else return !std::is_same_v<T, bool>;
}

// One loop over a block for each row of scalar.def.
#define SCALAR1(Name, function, rule, value, dx)                                  \
  template <class T, class R>                                                     \
  void loop_##Name(int64_t n, const T* xs, const T*, R* out) {                    \
    for (int64_t i = 0; i < n; ++i) {                                             \
      T x = xs[i];                                                                \
      out[i] = static_cast<R>(value);                                             \
    }                                                                             \
  }
#define SCALAR2(Name, function, rule, value, dx, dy)                              \
  template <class T, class R>                                                     \
  void loop_##Name(int64_t n, const T* xs, const T* ys, R* out) {                 \
    for (int64_t i = 0; i < n; ++i) {                                             \
      T x = xs[i], y = ys[i];                                                     \
      out[i] = static_cast<R>(value);                                             \
    }                                                                             \
  }
#include "ir/scalar.def"

template <class T, ScalarRule rule>
using ResultOf = std::conditional_t<rule == ScalarRule::kCompare || rule == ScalarRule::kLogical, bool, T>;

void run_power(const Instruction& code, int64_t n, Registers& registers, size_t target) {
  visit_compute(code.operand_type, [&]<class T>(Tag<T>) {
    visit_compute(code.exponent_type, [&]<class U>(Tag<U>) {
      if constexpr (!std::is_same_v<T, bool> && !std::is_same_v<U, bool>) {
        const T* x = registers.in<T>(code.sources[0]);
        const U* y = registers.in<U>(code.sources[1]);
        T* out = registers.out<T>(target);
        for (int64_t i = 0; i < n; ++i) out[i] = power(x[i], y[i]);
      }
    });
  });
}

void run_select(const Instruction& code, int64_t n, Registers& registers, size_t target) {
  size_t size = static_cast<size_t>(element_size(code.result_type));
  const bool* condition = registers.in<bool>(code.sources[0]);
  const std::byte* x = registers.in<std::byte>(code.sources[1]);
  const std::byte* y = registers.in<std::byte>(code.sources[2]);
  auto choose = [&]<class W>(Tag<W>) {
    for (int64_t i = 0; i < n; ++i) {
      registers.out<W>(target)[i] = condition[i] ? reinterpret_cast<const W*>(x)[i] : reinterpret_cast<const W*>(y)[i];
    }
  };
  if (size == 4) return choose(Tag<uint32_t>{});
  if (size == 8) return choose(Tag<uint64_t>{});
  std::byte* out = registers.out<std::byte>(target);
  for (int64_t i = 0; i < n; ++i) {
    size_t at = static_cast<size_t>(i) * size;
    std::memcpy(out + at, (condition[i] ? x : y) + at, size);
  }
}

template <class From, class To>
To convert_element(From value) {
  if constexpr (std::is_same_v<To, bool>) return value != From(0);
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range is undefined in C++; saturate through the widest integer instead.
    if (value != value) return To(0);
    if (value >= static_cast<From>(9223372036854775808.0)) return static_cast<To>(INT64_MAX);
    if (value <= static_cast<From>(-9223372036854775808.0)) return static_cast<To>(INT64_MIN);
    return static_cast<To>(static_cast<int64_t>(value));
  } else {
    return static_cast<To>(value);
  }
}

void run_cast(const Instruction& code, int64_t n, Registers& registers, size_t target) {
  visit_compute(code.operand_type, [&]<class From>(Tag<From>) {
    visit_compute(code.result_type, [&]<class To>(Tag<To>) {
      const From* x = registers.in<From>(code.sources[0]);
      for (int64_t i = 0; i < n; ++i) registers.out<To>(target)[i] = convert_element<From, To>(x[i]);
    });
  });
}

void run_instruction(const Instruction& code, int64_t n, Registers& registers, size_t target) {
  switch (code.op) {
    case ScalarOp::kArg:
    case ScalarOp::kNumber: return;
    case ScalarOp::kCast: return run_cast(code, n, registers, target);
    case ScalarOp::kSelect: return run_select(code, n, registers, target);
    case ScalarOp::kPow: return run_power(code, n, registers, target);
#define SCALAR_CASE(Name, rule)                                                                              \
  case ScalarOp::k##Name:                                                                                    \
    visit_compute(code.operand_type, [&]<class T>(Tag<T>) {                                                  \
      if constexpr (takes<ScalarRule::k##rule, T>()) {                                                       \
        using R = ResultOf<T, ScalarRule::k##rule>;                                                          \
        loop_##Name<T, R>(n, registers.in<T>(code.sources[0]),                                               \
                          code.sources[1] < 0 ? nullptr : registers.in<T>(code.sources[1]), registers.out<R>(target)); \
      }                                                                                                      \
    });                                                                                                      \
    return;
#define SCALAR1(Name, function, rule, value, dx) SCALAR_CASE(Name, rule)
#define SCALAR2(Name, function, rule, value, dx, dy) SCALAR_CASE2_##rule(Name)
#define SCALAR_CASE2_Numeric(Name) SCALAR_CASE(Name, Numeric)
#define SCALAR_CASE2_Float(Name) SCALAR_CASE(Name, Float)
#define SCALAR_CASE2_Integer(Name) SCALAR_CASE(Name, Integer)
#define SCALAR_CASE2_Compare(Name) SCALAR_CASE(Name, Compare)
#define SCALAR_CASE2_Logical(Name) SCALAR_CASE(Name, Logical)
#define SCALAR_CASE2_Power(Name)
#include "ir/scalar.def"
  }
}

// Whether there is a loop for the types of this instruction.
bool can_run(const Instruction& code) {
  if (code.op == ScalarOp::kArg || code.op == ScalarOp::kSelect) return code.operand_type != DType::kString;
  auto has_loop = [](DType dtype) { return visit_compute(dtype, [](auto) {}); };
  if (!has_loop(code.operand_type) || !has_loop(code.result_type)) return false;
  switch (rule_of(code.op)) {
    case ScalarRule::kFloat: return is_float(code.operand_type);
    case ScalarRule::kInteger: return is_int(code.operand_type);
    case ScalarRule::kLogical: return code.operand_type == DType::kBool;
    default: return true;
  }
}

// Reads blocks of an operand as if it had the result's shape.
class Reader {
 public:
  Reader(const Tensor& tensor, std::span<const int64_t> result_extents)
      : tensor_(tensor), extents_(result_extents.begin(), result_extents.end()),
        strides_(broadcast_strides(tensor.extents(), result_extents)), index_(extents_.size(), 0),
        size_(static_cast<size_t>(element_size(tensor.dtype()))) {
    whole_ = tensor.elements() == *checked_product(extents_);
    collapse();
  }

  // The next n elements: in place where possible, else gathered into `block`.
  const void* next(int64_t n, Block& block) {
    const std::byte* base = static_cast<const std::byte*>(tensor_.raw());
    bool widen = compute_type(tensor_.dtype()) != tensor_.dtype();
    if (whole_) {
      const void* source = base + static_cast<size_t>(at_) * size_;
      at_ += n;
      return widen ? widened(source, n, block) : source;
    }
    Block& target = widen ? scratch_ : block;
    for (int64_t done = 0; done < n;) done += copy_run(base, target, done, n);
    return widen ? widened(target.bytes.data(), n, block) : target.bytes.data();
  }

 private:
  // Merges neighbouring axes that are read as one, so that runs are long.
  void collapse() {
    std::vector<int64_t> extents, strides;
    for (size_t i = 0; i < extents_.size(); ++i) {
      if (extents_[i] == 1) continue;
      bool joins = !extents.empty() && (strides.back() == strides_[i] * extents_[i]) && (strides.back() != 0 || strides_[i] == 0);
      if (joins) extents.back() *= extents_[i], strides.back() = strides_[i];
      else extents.push_back(extents_[i]), strides.push_back(strides_[i]);
    }
    if (extents.empty()) extents.push_back(1), strides.push_back(0);
    extents_ = std::move(extents);
    strides_ = std::move(strides);
    index_.assign(extents_.size(), 0);
  }

  // Copies what is left of the innermost axis, up to n - done elements; returns how many.
  int64_t copy_run(const std::byte* base, Block& target, int64_t done, int64_t n) {
    size_t inner = extents_.size() - 1;
    int64_t count = std::min(extents_[inner] - index_[inner], n - done);
    std::byte* out = target.bytes.data() + static_cast<size_t>(done) * size_;
    const std::byte* source = base + static_cast<size_t>(at_) * size_;
    if (strides_[inner] != 0) std::memcpy(out, source, static_cast<size_t>(count) * size_);
    else for (int64_t i = 0; i < count; ++i) std::memcpy(out + static_cast<size_t>(i) * size_, source, size_);
    index_[inner] += count;
    at_ += strides_[inner] * count;
    for (size_t axis = inner; index_[axis] == extents_[axis] && axis > 0; --axis) {
      at_ += strides_[axis - 1] - strides_[axis] * extents_[axis];
      index_[axis] = 0;
      ++index_[axis - 1];
    }
    return count;
  }

  const void* widened(const void* source, int64_t n, Block& block) const {
    float* out = reinterpret_cast<float*>(block.bytes.data());
    const uint16_t* bits = static_cast<const uint16_t*>(source);
    bool half = tensor_.dtype() == DType::kF16;
    for (int64_t i = 0; i < n; ++i) out[i] = half ? half_to_float(bits[i]) : bfloat16_to_float(bits[i]);
    return out;
  }

  const Tensor& tensor_;
  std::vector<int64_t> extents_;
  std::vector<int64_t> strides_;
  std::vector<int64_t> index_;
  size_t size_;
  int64_t at_ = 0;
  bool whole_ = false;
  Block scratch_;
};

void fill_numbers(const Program& program, Registers& registers) {
  for (const auto& entry : program.numbers) {
    const int target = entry.first;
    const ScalarExpr& number = entry.second;
    visit_compute(program.code[static_cast<size_t>(target)].result_type, [&]<class T>(Tag<T>) {
      T value = number->is_integer ? static_cast<T>(number->integer) : convert_element<double, T>(number->number);
      std::fill_n(registers.out<T>(static_cast<size_t>(target)), kBlock, value);
    });
  }
}

void store(const void* block, DType computed, Tensor& result, int64_t at, int64_t n) {
  size_t size = static_cast<size_t>(element_size(result.dtype()));
  std::byte* out = static_cast<std::byte*>(result.mutable_raw()) + static_cast<size_t>(at) * size;
  if (computed == result.dtype()) {
    std::memcpy(out, block, static_cast<size_t>(n) * size);
    return;
  }
  const float* values = static_cast<const float*>(block);
  uint16_t* bits = reinterpret_cast<uint16_t*>(out);
  bool half = result.dtype() == DType::kF16;
  for (int64_t i = 0; i < n; ++i) bits[i] = half ? float_to_half(values[i]) : float_to_bfloat16(values[i]);
}

}  // namespace

Status evaluate_scalar(const ScalarExpr& body, std::span<const Tensor> operands, Tensor& result) {
  std::vector<DType> types;
  for (const Tensor& operand : operands) types.push_back(operand.dtype());
  Program program;
  int last = TRY(Compiler(types, program).compile(body, compute_type(result.dtype())));
  for (const Instruction& code : program.code) {
    if (!can_run(code)) return unsupported(fmt::format("{} of {}", name_of(code.op), name_of(code.operand_type)));
  }
  Registers registers;
  registers.blocks.resize(program.code.size());
  registers.values.resize(program.code.size());
  for (size_t i = 0; i < program.code.size(); ++i) registers.values[i] = registers.blocks[i].bytes.data();
  fill_numbers(program, registers);
  std::vector<std::unique_ptr<Reader>> readers(program.code.size());
  for (size_t i = 0; i < program.code.size(); ++i) {
    if (program.code[i].op != ScalarOp::kArg) continue;
    readers[i] = std::make_unique<Reader>(operands[static_cast<size_t>(program.code[i].index)], result.extents());
  }
  for (int64_t at = 0; at < result.elements(); at += kBlock) {
    int64_t n = std::min(kBlock, result.elements() - at);
    for (size_t i = 0; i < program.code.size(); ++i) {
      if (readers[i]) registers.values[i] = readers[i]->next(n, registers.blocks[i]);
      else run_instruction(program.code[i], n, registers, i);
    }
    store(registers.values[static_cast<size_t>(last)], program.code[static_cast<size_t>(last)].result_type, result, at, n);
  }
  return {};
}

}  // namespace gannet
