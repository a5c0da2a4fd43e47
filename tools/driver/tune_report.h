// What `gannet tune` says about a training before and after it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/head.h"
#include "passes/build_train_step.h"
#include "passes/weights_to_state.h"
#include "runtime/training/trainer.h"

namespace gannet {

struct TuneSummary {
  std::string model;
  int64_t parameters = 0;
  WeightReport weights;
  int64_t rows = 0, held_out_rows = 0;
  TrainStepOptions options;
  std::string trained_output, skipped_ending;
  std::optional<HeadReport> head = {};
  bool widened = false;
  size_t low_rank = 0;  // weights beside which thin matrices are trained
};

void print_summary(const TuneSummary& summary);
// "AdamW, learning rate 0.001, one-cycle over 400 updates"
std::string schedule_text(const TrainerOptions& trainer, const OptimizerOptions& optimizer);
// How the run ended, in one line.
std::string outcome_text(const TrainingOutcome& outcome, const TrainerOptions& trainer);
// "accuracy on the training data 0.98"
std::string training_measures_text(const std::vector<Measure>& measures);
// What went wrong, what to try, and what was written.
std::string divergence_text(const TrainingOutcome& outcome, double rate, const std::string& output);
std::string interruption_text(const TrainingOutcome& outcome, const std::string& output,
                              const std::string& checkpoint);
// For the page of curves.
std::vector<std::pair<std::string, std::string>> facts_of(const TuneSummary& summary,
                                                          const TrainerOptions& trainer,
                                                          const TrainingOutcome& outcome);

}  // namespace gannet
