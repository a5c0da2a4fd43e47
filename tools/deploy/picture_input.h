// How pictures become the one input of a model, in training and evaluation alike.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "tools/deploy/image_arguments.h"
#include "tools/deploy/model_inputs.h"

namespace gannet {

// What a model does to the pixels before its first layer.
struct InputNormalization {
  double scale = 1;         // of pixels 0 to 255, that its nodes want: 1, or 1/255
  std::string description;  // "Sub and Div by constants"
};

struct PictureInput {
  ImageOptions options;  // all filled in
  std::string note;      // for people, where the model normalizes its input itself and no flag says otherwise
};

// Of a model with these inputs. What flags leave open follows from the metadata, then from the first nodes
// (`normalization`), then from the shape. Errors begin with `path`.
Result<PictureInput> picture_input(const std::string& path, std::span<const InputSpec> inputs,
                                   const Metadata& metadata,
                                   const std::optional<InputNormalization>& normalization,
                                   const ImageArguments& flags);

}  // namespace gannet
