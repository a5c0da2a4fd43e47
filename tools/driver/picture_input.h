// How pictures become the one input of a model, in training and evaluation alike.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "ir/graph.h"
#include "tools/deploy/image_arguments.h"
#include "tools/deploy/model_inputs.h"
#include "tools/driver/input_normalization.h"
#include "tools/driver/label_metadata.h"

namespace gannet {

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

// find_input_normalization of a graph with one input.
std::optional<InputNormalization> normalization_of(const Graph& graph);

// Whether inputs like these take pictures: one, of rank 4, of numbers.
bool takes_pictures(std::span<const InputSpec> inputs);

}  // namespace gannet
