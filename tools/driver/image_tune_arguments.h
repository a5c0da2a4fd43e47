// The flags of `gannet tune --task image-classification` beside those of every task.
#pragma once

#include <string>

#include "tools/deploy/image_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

struct ImageTuneArguments {
  ImageArguments image;
  std::string augment = "none";
  std::string cache = "2G";
  bool several_labels = false, balanced = false, strict = false, flip_views = false;
  std::string report;  // an HTML page
};

// Adds --augment, --image-cache, --multi-label, --balanced-sampling, --strict, --tta, --report and the flags
// of pictures.
void add_image_tune_arguments(CLI::App& command, ImageTuneArguments& arguments);

}  // namespace gannet
