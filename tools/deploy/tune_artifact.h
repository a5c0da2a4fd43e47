// `gannet-run FILE --tune DATA -o WEIGHTS`: fine-tunes a compiled model that has a training part, without the compiler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "tools/deploy/image_arguments.h"
#include "tools/deploy/rate_arguments.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gannet {

struct TuneArtifactArguments {
  std::string path;  // the file
  std::string data, eval, target;
  std::optional<double> eval_fraction;
  std::optional<int64_t> epochs, steps, batch_size, accumulate;  // none: the file's
  RateArguments learning{.schedule = "", .warmup = ""};          // empty: the file's
  int64_t patience = 0;
  std::string best_by;
  std::string output;
  uint64_t seed = 0;
  int threads = 0;
  Limits limits;
  ImageArguments image;
};

// Adds --tune, which it gives back, and the flags that need it.
CLI::Option* add_tune_artifact_arguments(CLI::App& command, TuneArtifactArguments& arguments);
// Trains on the data and writes the best weights as safetensors, by the names of the States. A run that is interrupted or
// diverges writes what it has, and is an error.
Status tune_artifact(const TuneArtifactArguments& arguments);

}  // namespace gannet
