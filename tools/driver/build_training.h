// The training part of a compiled file: the step that `gannet tune` would train with, and its evaluation, as programs.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "frontend/import.h"
#include "runtime/core/training_part.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_model.h"

namespace gannet {

// The model that is trained, from `arguments` with the model of its own.
Result<TuneModel> model_to_train(const TuneArguments& arguments, const CompileOptions& options);
Result<std::shared_ptr<const TrainingPart>> build_training(TuneArguments arguments, const CompileOptions& options);

}  // namespace gannet
