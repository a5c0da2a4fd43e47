// The seam between the executor and the library that runs recipes, so that a program without primitives needs no
// library: runtime/kernels implements it with oneDNN.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ir/base/error.h"
#include "runtime/core/recipe.h"

namespace gannet {

class Threads;

// A recipe at fixed sizes, ready to run. Safe to run from several threads at once on different memory.
class Primitive {
 public:
  virtual ~Primitive() = default;
  virtual int64_t scratch_bytes() const = 0;
  // `pointers` are the step's inputs and then its outputs; absent ones are null.
  virtual Status run(void* const* pointers, void* scratch, Threads& threads) const = 0;
};

class PrimitiveLibrary {
 public:
  virtual ~PrimitiveLibrary() = default;
  // The primitive for `recipe` at these sizes (the Program's evaluated table) on `threads` threads. `constants` has the
  // addresses of constant inputs and null elsewhere; what is packed from them is kept and shared for as long as the
  // primitives live, so constants must outlive the library: one library serves the sessions of one Program. Primitives
  // are kept in a bounded cache. Unsupported where the library has no such primitive.
  virtual Result<std::shared_ptr<const Primitive>> prepare(const Recipe& recipe, std::span<const int64_t> sizes, int threads,
                                                           std::span<const void* const> constants) = 0;
};

// oneDNN, loaded when it is first needed, and kernels of our own (runtime/kernels).
std::shared_ptr<PrimitiveLibrary> make_onednn_library(int64_t capacity = 1024);

}  // namespace gannet
