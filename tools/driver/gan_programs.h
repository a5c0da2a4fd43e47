// The compiled steps of `gannet gan`, and what they leave as ONNX files.
#pragma once

#include <string>

#include "runtime/training/gan_engine.h"
#include "tools/driver/gan_models.h"

namespace gannet {

// The steps that a run with these options needs.
Result<GanEngine> make_gan_engine(const GanModels& models, const GanStepOptions& options, const GanArguments& arguments);

// Writes FOLDER/generator.onnx and FOLDER/discriminator.onnx, the user's files with what `states` (GanEngine::states) hold:
// the generator's moving average where there is one, running statistics, and the discriminator's weights divided by their
// singular values where they were so trained.
Status export_gan(const GanModels& models, const GanStepOptions& options, const NamedTensors& states, const std::string& folder,
                  const Limits& limits);

}  // namespace gannet
