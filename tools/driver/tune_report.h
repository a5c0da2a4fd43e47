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

// "cross entropy of 'y', on the logits before its Softmax"; `ending` is TrainStep::skipped_ending.
std::string loss_text(Loss loss, const std::string& output, const std::string& ending);
void print_summary(const TuneSummary& summary);
// For the page of curves.
std::vector<std::pair<std::string, std::string>> facts_of(const TuneSummary& summary,
                                                          const TrainerOptions& trainer,
                                                          const TrainingOutcome& outcome);

}  // namespace gannet
