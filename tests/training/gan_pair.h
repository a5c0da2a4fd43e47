// Pairs of models for tests of adversarial steps.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "frontend/onnx_writer.h"
#include "ir/base/datum.h"
#include "ir/graph.h"
#include "passes/build_gan_step.h"
#include "runtime/training/graph_runner.h"

namespace gannet::test {

// A model with its weights as State in `dtype`, ready for build_gan_step.
std::unique_ptr<Graph> trainable(Result<OnnxWriter> writer, DType dtype, bool compiled);

// A step as something that runs, compiled on one thread or by the reference evaluator.
Result<std::unique_ptr<GraphRunner>> runner_of(std::unique_ptr<Graph> graph, bool compiled);

// Inputs for a step: `rows` rows of numbers that follow from `seed`, and `rate` for rates.
std::vector<Datum> made_up_inputs(const Graph& step, const std::vector<GanInput>& kinds, int64_t rows, double rate, uint64_t seed);

// The output of a step by its name.
double output_named(const GraphRunner& runner, const std::vector<Datum>& outputs, std::string_view name);

}  // namespace gannet::test
