// The flags of pictures in `gannet tune` and `gannet evaluate` beside those of every task.
#pragma once

#include <string>

#include "tools/deploy/image_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

// How pictures are read and measured.
struct PictureMeasureArguments {
  ImageArguments image;
  bool several_labels = false, strict = false, flip_views = false;
  std::string report;  // an HTML page
};

struct ImageTuneArguments : PictureMeasureArguments {
  std::string augment = "none";
  std::string cache = "2G";
  bool balanced = false;
};

// Adds --multi-label, --strict, --tta and --report.
void add_picture_measure_arguments(CLI::App& command, PictureMeasureArguments& arguments);
// The same, the flags of pictures, --augment, --image-cache and --balanced-sampling.
void add_image_tune_arguments(CLI::App& command, ImageTuneArguments& arguments);

}  // namespace gannet
