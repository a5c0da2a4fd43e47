// The flags of `gannet compile --train`: those that decide the training step, and how gannet-run uses it where it is not
// told otherwise. They are kept in the compiled file, so that `gannet refit` builds the step anew.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tools/driver/tune_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

struct TrainingFlags {
  bool wanted = false;      // --train
  TuneArguments arguments;  // the model's are the command's own
  std::string model_file;   // where the ONNX file with a new head goes; empty: nowhere
  std::set<std::string> step_names;
};

// Adds --train, and all others to the group of --help-all; they need it.
void add_training_flags(CLI::App& command, TrainingFlags& flags);
// Those that the command line gave and that decide the step or its use: "--loss=mse".
std::vector<std::string> given_step_flags(const CLI::App& command, const TrainingFlags& flags);
// The same without what makes a new head, for the file that has it, but with the dropout in front of it, whose `features` are the
// name of a value.
std::vector<std::string> flags_behind_head(const std::vector<std::string>& given, const std::string& features);
// What given_step_flags gave.
Result<TuneArguments> parse_step_flags(const std::vector<std::string>& given);

}  // namespace gannet
