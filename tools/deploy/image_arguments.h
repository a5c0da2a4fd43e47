// The flags that say how a picture becomes the input of a model.
#pragma once

#include <string>

#include "ir/base/error.h"
#include "runtime/data/image.h"
#include "tools/deploy/image_metadata.h"

namespace CLI {
class App;
}

namespace gannet {

struct ImageArguments {
  ImageOptions options;  // what has a form of its own below is filled in by image_options_of
  std::string resize, size, layout;  // empty: by the model
  bool bgr = false;
};

// Adds --resize, --image-size, --shortest-edge, --layout, --bgr, --scale, --mean and --std, in a group of the
// help text.
void add_image_arguments(CLI::App& command, ImageArguments& arguments, const std::string& group);
// Whether one of these flags was given.
bool any_given(const ImageArguments& arguments);
// All flags as options, and what they leave open as the metadata of a model say; an error names a size that is none.
Result<ImageOptions> image_options_of(const ImageArguments& arguments, const Metadata& metadata = {});

}  // namespace gannet
