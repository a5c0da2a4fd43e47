#include "tools/driver/image_tune_arguments.h"

#include <CLI/CLI.hpp>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

constexpr const char* kGroup = "Pictures";

}  // namespace

void add_picture_measure_arguments(CLI::App& command, PictureMeasureArguments& a) {
  command
      .add_flag("--multi-label", a.several_labels,
                "any number of labels a picture: 'cat|dog' in a table's label column")
      ->group(kGroup);
  command.add_option("--report", a.report, "confusions and the worst mistakes on the held-out pictures")
      ->type_name("FILE.html")
      ->group(kGroup);
  command
      .add_flag("--strict", a.strict, "stop at a picture that cannot be read; else it is named and left out")
      ->group(kMoreFlags);
  command.add_flag("--tta", a.flip_views, "evaluate on each picture and its mirror image together")
      ->group(kMoreFlags);
}

void add_image_tune_arguments(CLI::App& command, ImageTuneArguments& a) {
  command
      .add_option("--augment", a.augment,
                  "random changes, such as flip,crop=4,color=0.2,mixup=0.2; gannet augment --list has all")
      ->capture_default_str()
      ->type_name("LINE")
      ->group(kGroup);
  command.add_option("--image-cache", a.cache, "memory for decoded pictures, at most a quarter of --max-memory unless it is given")
      ->capture_default_str()
      ->type_name("SIZE")
      ->group(kMoreFlags);
  command.add_flag("--balanced-sampling", a.balanced, "every class equally often in an epoch")->group(kMoreFlags);
  add_picture_measure_arguments(command, a);
  add_image_arguments(command, a.image, kMoreFlags);
}

}  // namespace gannet
