// `gannet-run FILE --weights WEIGHTS`: the model of a compiled file with a training part, with the weights that --tune has written.
#pragma once

#include <string>

#include "tools/deploy/run_model.h"

namespace gannet {

// Runs the output that is trained, and reports it. Errors name a weight that is missing, unknown or of another type.
Status run_tuned(const std::string& path, const std::string& weights, const RunArguments& arguments);

}  // namespace gannet
