// Tuning on arrays: a .npz file with one for each input of the model, of the same name, and the target.
#pragma once

#include <memory>

#include "tools/driver/tune_task.h"

namespace gannet {

std::unique_ptr<TuneTask> make_array_task();

}  // namespace gannet
