// The flags of `gannet gan`.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "passes/build_gan_step.h"
#include "runtime/training/schedule.h"
#include "tools/deploy/image_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

// What each side has of its own; where a flag of one side is not given, that of both counts.
struct GanSideArguments {
  std::string path;
  std::vector<std::string> shapes;  // NAME=SHAPE
  std::string optimizer;            // empty: that of both
  std::optional<double> rate, beta1, beta2;
  std::optional<double> weight_decay;
  std::optional<int64_t> steps;
  std::string class_input;
};

struct GanArguments {
  std::set<std::string> given;  // flags of the command line
  GanSideArguments generator, discriminator;
  std::string images, output;
  std::string loss = "non-saturating";
  std::optional<double> gradient_penalty, clip_weights;
  double r1 = 0;
  bool spectral_norm = false, simultaneous = false;
  int64_t steps = 5000, batch_size = 64;
  std::string optimizer = "adam", schedule = "constant";
  std::optional<double> rate, beta1, beta2;
  double label_smoothing = 0, flip_labels = 0, instance_noise = 0, ema = 0;
  std::string diff_augment, augment = "none", cache = "2G";
  std::string batch_norm = "train";
  double batch_norm_momentum = 0.9;
  std::string latent = "normal";  // or "uniform"
  std::string target;             // labels of an archive
  ImageArguments image;
  int64_t sample_every = 500, checkpoint_every = 500, samples = 64;
  bool resume = false, strict = false;
  uint64_t seed = 0;
  int threads = 0;
  std::string backend = "compiled";
  std::vector<std::string> limits;
  CompileOptions compile;
};

void add_gan_arguments(CLI::App& command, GanArguments& arguments);

// The flags as options of the step, defaults of the loss filled in; errors name flags that do not go together.
Result<GanStepOptions> gan_step_options(const GanArguments& arguments);
// Of one side: its rate over the run.
RateSchedule gan_schedule(const GanArguments& arguments, const GanSideArguments& side);
double gan_rate(const GanArguments& arguments, const GanSideArguments& side);
// Updates of one side in a round.
int64_t discriminator_steps(const GanArguments& arguments);
int64_t generator_steps(const GanArguments& arguments);
// Flags that decide the result, with their values: what a checkpoint must agree with.
std::map<std::string, std::string> deciding_flags(const GanArguments& arguments);

}  // namespace gannet
