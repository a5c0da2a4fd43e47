// The compiled steps of an adversarial training and the State that they share by name. One step holds it at a time: it
// moves to the one that runs next, without a copy.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/data/npy.h"
#include "runtime/training/gan_inputs.h"
#include "runtime/training/graph_runner.h"

namespace gannet {

struct GanProgram {
  std::unique_ptr<GraphRunner> runner;  // null: there is no such step
  std::vector<GanInputSpec> inputs;     // of the runner, in its order
};

struct GanPrograms {
  GanProgram discriminator, generator, both;  // what each updates
  // Latents (and classes) to "pictures"; changes no State, its own are among those of the steps.
  GanProgram generation;
};

// What a step says of itself, by the names of its outputs.
using GanMeasures = std::map<std::string, double>;

class GanEngine {
 public:
  explicit GanEngine(GanPrograms programs);

  const GanPrograms& programs() const { return programs_; }
  // Runs one of the steps. Random ops of the models draw from `seed` too.
  Result<GanMeasures> update(const GanProgram& step, const BatchColumns& batch, int64_t rows, const GanScalars& scalars,
                             uint64_t seed);
  // Pictures from these inputs of the generation, with moving averages of the weights where the steps keep them.
  Result<Tensor> generate(const std::vector<Datum>& inputs);

  // Every State by name: what a run continues from. They share memory with the engine's until the next update.
  NamedTensors states() const;
  // Takes States back; an error names one that is missing, unknown or of another type.
  Status restore(const NamedTensors& states);
  // Bytes between inputs and outputs of the step that takes most.
  int64_t arena_bytes() const;

 private:
  Status activate(GraphRunner& runner);
  const Tensor& state(const std::string& name) const;

  GanPrograms programs_;
  std::vector<std::string> names_;       // of all States, in the order in which the steps have them
  std::map<std::string, Tensor> kept_;   // those that the active step does not hold
  GraphRunner* active_ = nullptr;
};

}  // namespace gannet
