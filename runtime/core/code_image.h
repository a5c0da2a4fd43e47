// Generated machine code that needs no linker: one block of position-independent code and constants, and the offset
// of each function in it. Code calls nothing outside except through the MathTable it is handed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

// Functions of the C library that generated code may call, by position (math_table.cpp lists them with their names).
using MathTable = const void* const*;

// The type of every generated kernel: `pointers` are the step's inputs and then its outputs (absent ones null),
// `sizes` as KernelCall::sizes, [begin, end) the part of the outer loop to do, `scratch` this thread's memory.
using KernelFn = void (*)(void* const* pointers, const int64_t* sizes, int64_t begin, int64_t end, void* scratch,
                          MathTable math);

struct CodeFunction {
  std::string name;
  int64_t offset = 0;  // in the block
};

class CodeImage {
 public:
  // Copies `block` into executable memory. `isa` says what the code needs ("x86-64-v3", "x86-64-v4"); where
  // this machine lacks it, the image serves for writing files only: its functions are null.
  static Result<std::shared_ptr<const CodeImage>> load(std::vector<uint8_t> block, std::vector<CodeFunction> functions,
                                                       std::string isa);
  ~CodeImage();
  CodeImage(const CodeImage&) = delete;
  CodeImage& operator=(const CodeImage&) = delete;

  KernelFn function(size_t index) const { return entries_[index]; }
  // What was loaded, for writing it to a file.
  std::span<const uint8_t> block() const { return block_; }
  const std::vector<CodeFunction>& functions() const { return functions_; }
  const std::string& isa() const { return isa_; }

 private:
  CodeImage() = default;

  std::vector<uint8_t> block_;
  std::vector<CodeFunction> functions_;
  std::string isa_;
  std::vector<KernelFn> entries_;
  void* memory_ = nullptr;
  size_t memory_bytes_ = 0;
};

// The table that this process hands to its kernels.
MathTable math_table();
// Position of `name` ("expf", "tan") in the table, or -1.
int math_function_index(std::string_view name);

}  // namespace gannet
