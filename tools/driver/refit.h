// New weights for a compiled model. The model is imported and rewritten by the same passes as when it was
// compiled, which is what folds, transposes and joins weights; machine code is taken from the file, where
// each kernel is known by what it does. So the result computes what compiling anew gives, bit for bit, or there
// is none; code that the new weights need no more stays in the file.
#pragma once

#include <string>

#include "frontend/import.h"
#include "runtime/core/artifact.h"
#include "tools/driver/compilation.h"

namespace gannet {

// How the model at `path` is to be read, as `compilation` says.
ModelArguments model_arguments_like(const Compilation& compilation, const std::string& path,
                                    const std::vector<std::string>& limits);

// `model`, read as `arguments` say, in the form of `made`, which was compiled from `before`; training parts are built anew
// with the flags that they were built with. Errors: another architecture, or numbers
// that decided how the model was compiled and are others now; they name the weight.
Result<Artifact> refit(const Artifact& made, const Compilation& before, const ImportedModel& model, const ModelArguments& arguments);

}  // namespace gannet
