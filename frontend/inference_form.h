// Models that were exported in training mode.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frontend/import.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

struct InferenceForm {
  std::shared_ptr<const ModelFile> file;  // null where nothing changed
  std::vector<std::string> nodes;         // names (else results) of those that changed
};

// The model with the batch normalizations of its main graph in the form for inference, by the running
// statistics that they have: of those in training mode (`training_mode`, or before opset 14 more than one
// output), all whose statistics nothing reads.
Result<InferenceForm> to_inference_form(const ModelFile& model, const Limits& limits = {});

}  // namespace gannet
