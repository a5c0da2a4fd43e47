// What a compiled file says of itself: its signature, and for each machine that it has a program for, how many steps of
// which kind that takes and whether oneDNN is needed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/core/artifact.h"

namespace gannet {

// "input x  f32[batch, 3]", one line each.
std::string signature_text(const Program& program);
// "for x86-64-v4: 6 steps: 4 generated kernels, 2 library primitives; needs oneDNN", one line each.
std::string programs_text(const Artifact& artifact);
// What training needs and changes, where the file can be fine-tuned; else nothing.
std::string training_text(const Artifact& artifact);
nlohmann::json artifact_json(const Artifact& artifact);

}  // namespace gannet
