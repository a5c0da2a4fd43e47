#include "backend/llvm/kernel.h"

#include <fmt/format.h>

#include "ir/base/fnv1a.h"

namespace gannet {
namespace {

std::string text(const Extent& extent) {
  return extent.is_static() ? fmt::format("{}", extent.value) : fmt::format("s{}", extent.argument);
}

std::string text(const std::vector<Extent>& extents) {
  std::string result = "[";
  for (const Extent& extent : extents) {
    if (result.size() > 1) result += ' ';
    result += text(extent);
  }
  result += ']';
  return result;
}

std::string text(const Instruction& i) {
  std::string args;
  for (int32_t arg : i.args) args += arg < 0 ? "" : fmt::format(" %{}", arg);
  switch (i.kind) {
    case InstructionKind::kLoad: return fmt::format("load o{}{}", i.operand, args);
    case InstructionKind::kNumber: return i.is_integer ? fmt::format("{}", i.integer) : fmt::format("{:a}", i.number);
    case InstructionKind::kSize: return fmt::format("size {}", text(i.size));
    case InstructionKind::kScalar: return fmt::format("{}{}", name_of(i.op), args);
    case InstructionKind::kConvert: return fmt::format("convert {}{}", name_of(i.storage), args);
    case InstructionKind::kRound: return fmt::format("round {}{}", name_of(i.storage), args);
    case InstructionKind::kReduced: return fmt::format("reduced r{}", i.operand);
    case InstructionKind::kRandom: return fmt::format("random o{}{} stream {}", i.operand, args, i.integer);
  }
  __builtin_unreachable();
}

}  // namespace

std::string to_string(const Kernel& kernel) {
  std::string result = fmt::format("outer {} inner {} row {}{} block {} tile {}\n", text(kernel.outer), text(kernel.inner),
                                   text(kernel.row), kernel.row_reduced ? " reduced" : "", kernel.block, kernel.tile);
  if (kernel.interleaved >= 0) result += fmt::format("interleaved {}\n", kernel.interleaved);
  for (const KernelOperand& o : kernel.operands) {
    result += fmt::format("operand p{} {} {} + {} @ {} of {}\n", o.pointer, name_of(o.dtype), text(o.strides), text(o.offset),
                          text(o.position_stride), text(o.position_extent));
  }
  for (const Instruction& i : kernel.instructions) result += fmt::format("{} {}\n", name_of(i.type), text(i));
  for (const KernelReduction& r : kernel.reductions) result += fmt::format("reduce {} %{}\n", static_cast<int>(r.kind), r.value);
  for (const KernelStore& s : kernel.stores) result += fmt::format("store o{} %{}\n", s.operand, s.value);
  return result;
}

std::string kernel_name(const Kernel& kernel) { return "kernel_" + digest_of(to_string(kernel)); }

}  // namespace gannet
