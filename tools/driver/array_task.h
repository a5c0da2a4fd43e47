// Tuning on arrays: a .npz file with one for each input of the model, of the same name, and the target.
#pragma once

#include <memory>
#include <span>

#include "tools/deploy/model_inputs.h"
#include "tools/driver/tune_task.h"

namespace gannet {

std::unique_ptr<TuneTask> make_array_task();
// The arrays of `file` that these inputs and the target (named `target`, or found by its name where
// that is empty) need. Errors name the array.
Result<std::unique_ptr<LabelledRows>> read_array_rows(const std::string& file,
                                                      std::span<const InputSpec> inputs,
                                                      const std::string& target, const Limits& limits);

}  // namespace gannet
