// The inputs of adversarial steps: pictures and classes from the data, rates, and random numbers, each a pure function of
// the run's seed, the step and what the numbers are for, so that a resumed run draws what the first one would have drawn.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/error.h"
#include "ir/base/type.h"
#include "runtime/training/batch_source.h"

namespace gannet {

enum class GanSource {
  kPictures,  // column 0 of a batch
  kClasses,   // column 1
  kNormal,    // random: standard normal
  kUniform,   // random: [0, 1)
  kSymmetric,  // random: [-1, 1)
  kDiscriminatorRate,
  kGeneratorRate,
  kNoiseScale,
};

struct GanInputSpec {
  std::string name;  // of random numbers: says with the seed which ones
  Type type;         // a tensor; axis 0 of what is no scalar is the batch, other extents are known
  GanSource source = GanSource::kUniform;
};

struct GanScalars {
  double discriminator_rate = 0, generator_rate = 0, noise_scale = 0;
};

// Random numbers for `rows` rows: the first n rows are the same for any number of rows. `seed` is that of a step.
Result<Tensor> draw(const GanInputSpec& spec, int64_t rows, uint64_t seed);

// All inputs of a step, in order; the rows are those of `batch`.
Result<std::vector<Datum>> gan_inputs(const std::vector<GanInputSpec>& specs, const BatchColumns& batch, int64_t rows,
                                      const GanScalars& scalars, uint64_t seed);

}  // namespace gannet
