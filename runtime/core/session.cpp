#include "runtime/core/session.h"

#include "runtime/core/executor.h"

namespace gannet {

// The finalizer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
uint64_t step_seed(uint64_t seed, int64_t step) {
  uint64_t z = seed + 0x9E3779B97F4A7C15u * (static_cast<uint64_t>(step) + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Program> program, SessionOptions options) {
  auto executor = std::make_unique<Executor>(std::move(program), std::move(options), nullptr);
  TRY(executor->load());
  executor->prepare_known();
  return std::unique_ptr<Session>(std::move(executor));
}

}  // namespace gannet
