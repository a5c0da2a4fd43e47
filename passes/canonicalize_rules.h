// The rules of the pass canonicalize, by family.
#pragma once

#include "passes/rewrite.h"

namespace gannet {

std::span<const RewriteRow> arithmetic_rules();  // elementwise ops and their constants
std::span<const RewriteRow> movement_rules();    // ops that move data or change how it is seen
std::span<const RewriteRow> layer_rules();       // layers that are shorthand for others

}  // namespace gannet
