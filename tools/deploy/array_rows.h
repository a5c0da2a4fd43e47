// Rows of arrays: a .npz file with one for each input of a model, of the same name, and the target.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tools/deploy/labelled_rows.h"
#include "tools/deploy/model_inputs.h"

namespace gannet {

// The arrays of `file` that these inputs and the target (named `target`, or found by its name where
// that is empty) need. Errors name the array.
Result<std::unique_ptr<LabelledRows>> read_array_rows(const std::string& file,
                                                      std::span<const InputSpec> inputs,
                                                      const std::string& target, const Limits& limits);

}  // namespace gannet
