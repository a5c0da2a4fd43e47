// Graphs in their textual form, lowered and run, for the tests of this folder.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "ir/base/datum.h"
#include "runtime/core/session.h"

namespace gannet::test {

// Multiplies f32 tensors: takes nodes `Mul(x, constant scalar)` as primitives that may run in place, and Concat along
// the first axis as a placement of its operands. Its primitives are those of scaling_library().
std::unique_ptr<Backend> make_scaling_backend();
std::shared_ptr<PrimitiveLibrary> scaling_library();

std::unique_ptr<Graph> graph_of(std::string_view text);
CompiledProgram lowered(const Graph& graph, bool with_backend);
std::unique_ptr<Session> session_of(const CompiledProgram& compiled, uint64_t seed = 0);

// Runs the graph lowered with and without the scaling backend, twice each, and compares bits with the reference.
void expect_same_as_reference(std::string_view text, const std::vector<Datum>& inputs);
// The error of such a run; the two forms must agree that there is one.
std::string error_of_run(std::string_view text, const std::vector<Datum>& inputs);

Datum floats(std::vector<int64_t> extents);  // 1, 2, 3, ...

}  // namespace gannet::test
