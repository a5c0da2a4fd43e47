// The batches of record_runs.py, from the same integer formulas: the same bits in f32 and f64.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/tensor.h"

namespace gannet::test {

// Inputs of the model, then the target.
using Batch = std::vector<Datum>;

// Well mixed bits of a number below 2^32, and number `index` of a kind in a step.
int64_t mixed_number(int64_t number);
int64_t recorded_number(int64_t kind, int64_t step, int64_t index);

Batch bert_batch(int64_t step, int64_t rows, int64_t length, int64_t vocabulary);
Batch image_batch(int64_t step, int64_t rows, int64_t size);  // f32 [rows, 3, size, size]

}  // namespace gannet::test
