#include "tools/deploy/rate_arguments.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/deploy/arguments.h"

namespace gannet {

void add_rate_arguments(CLI::App& command, RateArguments& arguments, const std::string& rate, const std::string& schedule) {
  command.add_option("--lr", arguments.rate, "learning rate " + rate)->type_name("RATE")->check(finite_number(true));
  command.add_option("--schedule", arguments.schedule, "the learning rate over the run " + schedule)
      ->check(CLI::IsMember({"constant", "linear", "cosine", "step", "one-cycle"}));
}

void add_warmup_argument(CLI::App& command, RateArguments& arguments, const std::string& warmup) {
  command
      .add_option("--warmup", arguments.warmup,
                  "updates of rising rate before the schedule: N, or a share such as 5% " + warmup)
      ->type_name("N|P%");
}

Result<RateSchedule> schedule_of(const RateArguments& arguments, double rate, int64_t total_steps) {
  RateSchedule schedule;
  const auto names = schedule_names();
  const auto named = std::ranges::find(names, arguments.schedule);
  if (named == names.end()) return invalid_input(fmt::format("there is no schedule '{}'", arguments.schedule));
  schedule.kind = static_cast<ScheduleKind>(named - names.begin());
  schedule.rate = rate;
  schedule.total_steps = total_steps;
  schedule.final_share = arguments.final_share;
  schedule.step_every = arguments.step_every;
  schedule.step_factor = arguments.step_factor;
  const bool percent = arguments.warmup.ends_with('%');
  const double amount = TRY(parse_number(std::string_view(arguments.warmup).substr(0, arguments.warmup.size() - percent),
                                         "--warmup", arguments.warmup));
  schedule.warmup_steps =
      std::llround(std::min(percent ? amount / 100 * static_cast<double>(total_steps) : amount, 1e15));
  if (schedule.warmup_steps > 0 && schedule.warmup_steps >= total_steps) {
    return invalid_input(
        fmt::format("--warmup {}: the run has {} updates in all", arguments.warmup, total_steps));
  }
  return schedule;
}

}  // namespace gannet
