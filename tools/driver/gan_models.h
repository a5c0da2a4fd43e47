// The two models of `gannet gan`, ready to train, and how they fit together: which inputs are latents, classes and
// pictures, what shape pictures have between the models, and what their range is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/build_gan_step.h"
#include "runtime/data/image.h"
#include "tools/driver/gan_arguments.h"
#include "tools/driver/value_range.h"
#include "tools/driver/tune_model.h"

namespace gannet {

struct GanModels {
  TuneModel generator, discriminator;
  GanPair pair;  // points into both
  // How pictures between the models look; nothing where rows are no pictures (flat, and of no size that is a picture's).
  std::optional<ImageOptions> picture;
  FoundRange range;  // of what is generated
  std::vector<std::string> notes;  // sentences for the user
};

// Imports both models and checks that they fit. One error for each thing that does not, with the file's name.
Result<GanModels> load_gan_models(const GanArguments& arguments);

}  // namespace gannet
