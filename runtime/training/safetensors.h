// safetensors files: eight bytes of header length, a JSON header that names each tensor with dtype, shape and
// place, and the tensors' bytes without gaps. https://huggingface.co/docs/safetensors
//
// Types: f64 f32 f16 bf16, f8 (E4M3, E5M2), integers of 8 to 64 bits, bool.
#pragma once

#include <map>
#include <string>

#include "ir/base/limits.h"
#include "runtime/data/npy.h"

namespace gannet {

struct Safetensors {
  NamedTensors tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};

// Reads a whole file. Whatever the file holds, the answer is its tensors or one error that names the path:
// lengths, JSON, types, shapes, gaps, overlaps and what `limits` forbids are checked before memory is taken.
Result<Safetensors> read_safetensors(const std::string& path, const Limits& limits = {});
// Replaces `path` as a whole or leaves it alone. Larger elements come first, so that each tensor is aligned;
// equal tensors give equal bytes. Names must differ and be UTF-8; an error names a tensor whose type the
// format lacks. `checksum`: CRC-32C of the file, for a caller who stores it elsewhere.
Status write_safetensors(const std::string& path, const NamedTensors& tensors,
                         const std::map<std::string, std::string>& metadata = {},
                         uint32_t* checksum = nullptr);

}  // namespace gannet
