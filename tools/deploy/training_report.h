// What a training says about how it runs and how it ended.
#pragma once

#include <string>
#include <vector>

#include "runtime/training/trainer.h"

namespace gannet {

// "AdamW, learning rate 0.001, one-cycle over 400 updates"
std::string schedule_text(const TrainerOptions& trainer, const std::string& optimizer);
// How the run ended, in one line.
std::string outcome_text(const TrainingOutcome& outcome, const TrainerOptions& trainer);
// "accuracy on the training data 0.98"
std::string training_measures_text(const std::vector<Measure>& measures);
// What went wrong, what to try, and what was written.
std::string divergence_text(const TrainingOutcome& outcome, double rate, const std::string& output);
std::string interruption_text(const TrainingOutcome& outcome, const std::string& output,
                              const std::string& checkpoint);
// An error where a signal asks to stop, for what comes before the first update.
Status check_not_interrupted();

}  // namespace gannet
