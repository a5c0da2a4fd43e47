#include "runtime/core/code_image.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gannet {
namespace {

bool machine_runs(std::string_view isa) {
#if defined(__x86_64__)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  return isa == "x86-64-v3" ? v3 : isa == "x86-64-v4" && v4;
#else
  return static_cast<void>(isa), false;
#endif
}

}  // namespace

Result<std::shared_ptr<const CodeImage>> CodeImage::load(std::vector<uint8_t> block, std::vector<CodeFunction> functions,
                                                         std::string isa) {
  for (const CodeFunction& function : functions) {
    if (function.offset < 0 || static_cast<uint64_t>(function.offset) >= block.size()) {
      return invalid_input(fmt::format("function '{}' is at {} of {} bytes of code", function.name, function.offset, block.size()));
    }
  }
  std::shared_ptr<CodeImage> image(new CodeImage());
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const bool runs = machine_runs(isa);
  const size_t bytes = runs ? (block.size() + page - 1) / page * page : 0;
  if (bytes > 0) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return io_error(fmt::format("no memory for {} bytes of code: {}", bytes, std::strerror(errno)));
    image->memory_ = memory;
    image->memory_bytes_ = bytes;
    std::memcpy(memory, block.data(), block.size());
    if (mprotect(memory, bytes, PROT_READ | PROT_EXEC) != 0) {
      return io_error(fmt::format("the system refuses to run generated code: {}", std::strerror(errno)));
    }
  }
  for (const CodeFunction& function : functions) {
    image->entries_.push_back(
        runs ? reinterpret_cast<KernelFn>(static_cast<uint8_t*>(image->memory_) + function.offset) : nullptr);
  }
  image->block_ = std::move(block);
  image->functions_ = std::move(functions);
  image->isa_ = std::move(isa);
  return std::shared_ptr<const CodeImage>(std::move(image));
}

CodeImage::~CodeImage() {
  if (memory_) munmap(memory_, memory_bytes_);
}

}  // namespace gannet
