// Labelled rows and those of --unlabeled as the batches of one run.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tools/driver/tune_task.h"

namespace gannet {

struct WeakTuning {
  std::unique_ptr<BatchSource> batches;
  RampUp ramp;
  std::string summary;  // one line for the user
};

// Of the labelled rows with the numbers `chosen`, whose target fits the step already.
Result<WeakTuning> make_weak_tuning(TuneTask& task, const LabelledRows& labelled,
                                    std::span<const int64_t> chosen, DType weight_dtype,
                                    const TuneArguments& arguments);

}  // namespace gannet
