// The flags of `gannet tune`.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "passes/build_train_step.h"
#include "passes/low_rank.h"
#include "tools/deploy/rate_arguments.h"
#include "tools/driver/command.h"
#include "tools/driver/image_tune_arguments.h"
#include "tools/driver/row_flags.h"
#include "tools/driver/synthetic_arguments.h"
#include "tools/driver/text_arguments.h"
#include "tools/driver/weak_tune_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

struct TuneArguments {
  std::set<std::string>
      given;  // flags of the command line ("--lr"); the others have defaults that a task may change
  std::set<std::string> for_texts, for_pictures;  // flags that mean nothing for other rows
  std::set<std::string> for_unlabelled;           // flags that mean nothing without rows without labels
  std::set<std::string> for_synthetic;            // flags that mean nothing without a generator
  ModelArguments model;
  std::string task;  // empty: by the data
  std::string train, eval, output;
  std::optional<double> eval_fraction;
  std::string target, loss, trained_output;
  TextArguments text;
  std::string padding = "bucket";  // of texts; or "batch", "fixed"
  int64_t pad_multiple = 1;
  std::vector<std::string> freeze;

  ImageTuneArguments pictures;
  WeakTuneArguments weak;
  SyntheticArguments synthetic;

  int64_t epochs = 10;
  int64_t steps = 0;  // 0: as many as the epochs have
  int64_t batch_size = 32;
  int64_t accumulate = 1;
  std::string optimizer = "adamw";
  RateArguments learning;
  OptimizerOptions update;                 // without what has a flag of its own here
  std::vector<std::string> rates_by_name;  // PATTERN=MULTIPLIER
  std::string batch_norm = "train";        // or "frozen"
  double batch_norm_momentum = 0.9;
  int64_t unfreeze_after = 0;  // epochs of the head alone
  double depth_decay = 1;      // of the rate, for each layer further from the output
  int64_t top = 5;             // the K of top-K accuracy
  std::vector<std::string> dropout;      // PATTERN=RATIO
  int64_t new_head = 0, added_head = 0;  // classes; 0: none
  std::string head_layer, features, pooling = "first";
  std::string pooling_mask = "attention_mask";  // input that says which tokens a mean takes; has no flag
  std::optional<double> head_dropout;           // between features and a new head; none: the task's
  std::string lora;                 // "r=8,alpha=16,targets=PATTERN|PATTERN"; empty: all weights are trained
  std::vector<std::string> search;  // NAME=VALUE,VALUE
  LossOptions loss_options;
  std::string class_weights;  // "1,2,0.5" or "balanced"
  double co_teaching = 0;     // share of wrong labels; 0: one model
  int64_t forget_epochs = 10;
  std::string second_model;  // a file; empty: the same one

  int64_t evaluate_every = 0, checkpoint_every = 0, patience = 0;
  std::string best_by;
  std::string log, checkpoint;
  bool resume = false;

  uint64_t seed = 0;
  int threads = 0;
  std::string backend = "compiled";
  std::string max_memory;
  CompileOptions compile;
};

// Adds all flags to the command.
void add_tune_arguments(CLI::App& command, TuneArguments& arguments);
// An error names a given flag that is for rows of another kind.
Status check_flags(const TuneArguments& arguments, RowKind rows);

// What a task would have where flags do not say otherwise.
struct TuneDefaults {
  int64_t epochs = 10, batch_size = 32;
  std::string schedule = "constant", warmup = "0";
  std::optional<double> rate = {};  // none: the optimizer's usual one
  double weight_decay = 0, clip_norm = 0;
  bool decay_vectors = true;
  double depth_decay = 1, label_smoothing = 0;
};
void fill_in(TuneArguments& arguments, const TuneDefaults& defaults);

}  // namespace gannet
