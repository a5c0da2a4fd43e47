// What a training step is built with, from the flags and the model.
#pragma once

#include <cstdint>

#include "passes/build_train_step.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_model.h"

namespace gannet {

// The options that are known before the model and the data are.
Result<TrainStepOptions> step_options_of(const TuneArguments& arguments);

// What there is where flags do not say otherwise.
struct DropoutDefaults {
  double head = 0;         // in front of a new head
  double transformer = 0;  // inside a transformer that gets a new head
};
// Dropout as the flags ask for it, else as the defaults say.
Status set_dropout(TrainStepOptions& options, const TuneModel& model, const DropoutDefaults& defaults, TuneArguments& arguments);

// Rates by layer, and layers that wait for the head, where flags ask for them.
Status set_rates(TrainStepOptions& options, const TuneModel& model, int64_t updates_per_epoch, const TuneArguments& arguments);

}  // namespace gannet
