// --co-teaching: the second of the two models that choose each other's rows.
#pragma once

#include <optional>

#include "passes/co_teaching.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/tune_model.h"

namespace gannet {

// What the flags ask for, with what the second model's weights begin with; nothing without --co-teaching. They are
// those of --second-model, a file of the same form, else those of the first model with random parts (a new head,
// low ranks) drawn from another seed. An error where both would begin alike. The ramp is set later (epochs are known
// once batches are).
Result<std::optional<CoTeachingOptions>> co_teaching_of(const TuneModel& first, const Metadata& metadata,
                                                        const TuneArguments& arguments);

}  // namespace gannet
