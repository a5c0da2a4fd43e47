// What rows are trained towards: labels or numbers in the form that a training step takes, and the measures that belong
// to them.
#pragma once

#include <memory>
#include <string>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "runtime/core/training_part.h"
#include "runtime/training/metrics.h"

namespace gannet {

// A value, or several, for each row of a file.
struct TargetColumn {
  std::string file, name;  // for messages
  Tensor values;
};

// Whether the numbers along `class_axis` are probabilities that add up to 1; an error names the row.
Status check_shares(const TargetColumn& column, int64_t class_axis);
// The target as a step takes it; every label must be a class that the trained output has, and shares of classes what check_shares wants.
Status fit_target(const TargetForm& form, TargetColumn& target);
// What to measure, and which measure says what is best.
std::unique_ptr<Metrics> metrics_of(const TargetForm& form);
std::string best_measure(const TargetForm& form);
// An error where there is no measure of this name; it lists those that there are.
Status check_measure(const Metrics& metrics, const std::string& name, const TargetForm& form);

}  // namespace gannet
