// oneDNN for the sessions of one program, which is known beforehand: products whose number of rows the
// program leaves open are computed so that few primitives serve all numbers.
#pragma once

#include <memory>

#include "runtime/core/primitive.h"
#include "runtime/core/program.h"

namespace gannet {

// For `program` and what runs inside it, which must outlive the library's use.
std::shared_ptr<PrimitiveLibrary> make_program_library(const Program& program);

}  // namespace gannet
