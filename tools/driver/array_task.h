// Tuning on arrays: a .npz file with one for each input of the model, of the same name, and the target.
#pragma once

#include <memory>

#include "tools/driver/tune_task.h"

namespace gannet {

std::unique_ptr<TuneTask> make_array_task();
// The arrays of `file` that the inputs of `model` and the target (named `target`, or found by its name where
// that is empty) need. Errors name the array.
Result<std::unique_ptr<LabelledRows>> read_array_rows(const std::string& file, const Graph& model,
                                                      const std::string& target, const Limits& limits);

}  // namespace gannet
