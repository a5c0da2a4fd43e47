// The library of primitives for the sessions of one program, which is known beforehand: products whose number of rows the
// program leaves open are computed so that few primitives serve all numbers.
#pragma once

#include <memory>

#include "runtime/core/primitive.h"
#include "runtime/core/program.h"

namespace gannet {

// Whether a step of `program`, or of what runs inside it, is computed by oneDNN.
bool needs_onednn(const Program& program);

// For `program` and what runs inside it, which must outlive the library's use. oneDNN is loaded where it is
// needed; Unsupported where it is needed and not there.
Result<std::shared_ptr<PrimitiveLibrary>> make_program_library(const Program& program);

}  // namespace gannet
