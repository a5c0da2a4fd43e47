// Running one op in a test: its inference, its evaluation, and its gradient rule against finite differences.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/datum.h"
#include "ir/base/type.h"

namespace gannet::test {

// Infers and evaluates; an undefined Tensor among the operands is an absent one.
Result<std::vector<Datum>> run_op(std::string_view name, const std::vector<Tensor>& operands,
                                  const Attributes& attrs = {}, size_t output_count = 1, uint64_t seed = 1);
// The first result; a failed expectation and an undefined Tensor on an error.
Tensor result_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs = {});
// All results, each as f64 numbers.
std::vector<std::vector<double>> numbers_of(std::string_view name, const std::vector<Tensor>& operands,
                                            const Attributes& attrs, size_t output_count);
std::vector<double> numbers_of(const Tensor& tensor);
// The message of the error that running ends in, "" when there is none.
std::string error_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs = {},
                     size_t output_count = 1);

// "f32[batch, 3]" of each result for operands of the given types, or "error: ..."; "" is an absent operand.
std::vector<std::string> inferred(std::string_view name, const std::vector<std::string>& operand_types,
                                  const Attributes& attrs = {}, size_t output_count = 1);

// An f64 tensor of numbers in (-1, 1), the same for the same seed.
Tensor random_tensor(std::vector<int64_t> extents, uint64_t seed);
// Compares the op's gradient rule for the operands `checked` (f64) with central differences of a weighted sum
// of output 0.
void expect_gradient(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs,
                     const std::vector<size_t>& checked, size_t output_count = 1);

}  // namespace gannet::test
