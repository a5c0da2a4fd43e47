// --max-memory in a run of `gannet tune`.
#pragma once

#include <map>
#include <string>

#include "runtime/training/checkpoint.h"
#include "tools/driver/tuning.h"

namespace gannet {

// Chooses how a batch is computed so that --max-memory is kept, as before where a run is resumed (`checkpoint`, else null), and
// makes the engine.
Status set_up_memory(Tuning& tuning, const TuneArguments& arguments, const Checkpoint* checkpoint);
// What of that decides the bits of the result, for checkpoints.
std::map<std::string, std::string> deciding_memory_flags(const Tuning& tuning);

}  // namespace gannet
