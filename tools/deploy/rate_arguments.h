// The flags that say how fast a training goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ir/base/error.h"
#include "runtime/training/schedule.h"

namespace CLI {
class App;
}

namespace gannet {

struct RateArguments {
  std::optional<double> rate = {};  // none: the optimizer's usual one
  std::string schedule = "constant";
  std::string warmup = "0";  // updates, or a share "5%"
  double final_share = 0;
  int64_t step_every = 0;
  double step_factor = 0.1;
};

// Adds --lr and --schedule; the texts say what there is without them: "[0.001]".
void add_rate_arguments(CLI::App& command, RateArguments& arguments, const std::string& rate, const std::string& schedule);
// Adds --warmup.
void add_warmup_argument(CLI::App& command, RateArguments& arguments, const std::string& warmup);
// The schedule over `total_steps` updates with `rate` as its highest.
Result<RateSchedule> schedule_of(const RateArguments& arguments, double rate, int64_t total_steps);

}  // namespace gannet
