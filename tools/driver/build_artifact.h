// From an imported model to a compiled file for one or several targets.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "frontend/import.h"
#include "ir/target.h"
#include "runtime/core/artifact.h"
#include "tools/driver/compile.h"
#include "tools/driver/tune_arguments.h"

namespace gannet {

// The targets of --target: "native" or names of ir/named_target.h, separated by commas; each once, the one
// that asks for most first.
Result<std::vector<Target>> parse_targets(const std::string& text);

// Compiles `model`, which stays as it is, for each of `targets`; Artifact::compilation is left empty. Of
// programs that need the same machines the first is kept. With `training` (else null) each gets a training part, of the model that
// these flags name.
Result<Artifact> build_artifact(const ImportedModel& model, std::span<const Target> targets,
                                const CompileOptions& options, const TuneArguments* training = nullptr);
// The same from `graph`, which stands for the model's, with options `like` those of then, and with all machine code taken
// from the programs of `made`, target by target; without training parts.
Result<Artifact> rebuild_artifact(const Graph& graph, const ImportedModel& model, const Artifact& made,
                                  const CompileOptions& like);
// Puts the training parts of `made`, whose machine code they take, for the model that `training` names into `artifact`, which
// rebuild_artifact gave.
Status rebuild_training(Artifact& artifact, const Artifact& made, const TuneArguments& training, const CompileOptions& like);

}  // namespace gannet
