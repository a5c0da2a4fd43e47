// Tuning on labelled pictures: a folder with a folder for each class, a table of paths and labels, or an
// archive of u8 arrays.
#pragma once

#include <memory>

#include "tools/driver/tune_task.h"

namespace gannet {

std::unique_ptr<TuneTask> make_image_task();

}  // namespace gannet
