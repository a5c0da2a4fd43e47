// Runs the kernel of a graph's node directly, with guards around what it writes, and compares with the reference evaluator.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/llvm/kernel.h"
#include "ir/base/tensor.h"
#include "ir/graph.h"
#include "ir/target.h"

namespace gannet::test {

// Random tensors for the inputs of a graph: symbols take the values given.
std::vector<Tensor> random_inputs(const Graph& graph, const SymbolValues& symbols, uint64_t seed);

// Compiles the last node of `graph` (alone) for `isa` and runs it over `inputs`, which are the graph's. Fails the test where
// the node is refused or the results differ by more than `tolerance` relative to the largest of |expected| and 1.
void expect_kernel(const Graph& graph, const std::vector<Tensor>& inputs, Isa isa, double tolerance = 1e-5);
// The graph is text; symbols as given; both kinds of machine code.
void expect_kernels(std::string_view text, const SymbolValues& symbols = {}, double tolerance = 1e-5);
// A graph whose nodes become one Fused node of kind "region" first.
void expect_region(std::string_view text, const SymbolValues& symbols = {}, double tolerance = 1e-5);
// What the last node becomes; `is_region` as in expect_region.
Kernel kernel_of(std::string_view text, Isa isa, bool is_region = false);
// Why the last node is refused; "" where it is not.
std::string refusal_of(std::string_view text);

// Results by nearness, for float types; bits for others.
void expect_near(const Tensor& actual, const Tensor& expected, double tolerance, const std::string& what);

}  // namespace gannet::test
