// The flags of `gannet tune` for rows without labels.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "passes/weak_loss.h"
#include "runtime/training/ramp_up.h"
#include "runtime/training/weak_batches.h"

namespace CLI {
class App;
}

namespace gannet {

struct WeakTuneArguments {
  std::string unlabelled;  // a folder or file; empty: all rows have labels
  std::string method = "fixmatch";
  int64_t ratio = 3;
  std::optional<double> threshold, weight;  // none: the method's
  std::string ramp_up;  // "END" or "START:END", updates or shares of the run; empty: the method's
  std::string weak_changes, strong_changes;  // lines of augmentations; empty: the task's
  std::string export_weights = "teacher";    // or "student"
  bool synthetic = false;                    // a generator makes rows without labels too

  bool used() const { return !unlabelled.empty() || synthetic; }
};

// Adds --unlabeled, --method, --ratio, --threshold, --unlabeled-weight, --ramp-up, --weak-augment,
// --strong-augment and
// --export-weights.
void add_weak_tune_arguments(CLI::App& command, WeakTuneArguments& arguments);
// Of the names of flags that were given, `own` being those above: an error for one that means nothing without
// --unlabeled, or not with it.
Status check_weak_flags(const WeakTuneArguments& arguments, const std::set<std::string>& own,
                        const std::set<std::string>& given);

WeakMethod method_of(const WeakTuneArguments& arguments);
// Threshold and weight by method where flags do not say them: 0.95 and 1 for fixmatch, 0 and 1 for
// pseudo-label, 0 and 50 for mean-teacher.
WeakLossOptions weak_loss_of(const WeakTuneArguments& arguments);
double unlabelled_weight_of(const WeakTuneArguments& arguments);
UnlabelledViews views_of(const WeakTuneArguments& arguments);
// The decay of a mean teacher's averages where --ema does not say it.
inline constexpr double kTeacherDecay = 0.999;
// --ramp-up over a run of so many updates; by method where it is empty: none, 10%:60% linear, 25% along a
// Gaussian.
Result<RampUp> ramp_of(const WeakTuneArguments& arguments, int64_t total_steps);

// Flags that decide the result, with their values.
std::map<std::string, std::string> deciding_weak_flags(const WeakTuneArguments& arguments,
                                                       const RampUp& ramp);

}  // namespace gannet
