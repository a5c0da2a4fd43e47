// `gannet evaluate` on labelled pictures: a folder with a folder for each class, a table of paths and labels, or
// an archive of u8 arrays.
#pragma once

#include <string>

#include "tools/driver/image_tune_arguments.h"
#include "tools/driver/measure_rows.h"

namespace gannet {

struct PictureEvaluation {
  std::string data, target;
  std::string names;            // a file of class names, one a line; empty: the model's metadata
  std::vector<double> thresholds;  // of several labels, one for all or one for each; empty: the model's metadata
  PictureMeasureArguments pictures;
  MeasureOptions measure;
  Limits limits;
  int threads = 0;
};

// Classes of the data are matched by name with those that the file of names or the metadata know; without either
// the sorted names of the data are the classes. Pictures that cannot be read are left out and named in
// `evaluation.notes`. Writes the report where one is asked for.
Status evaluate_pictures(const RunnableModel& model, const PictureEvaluation& arguments, Evaluation& evaluation);

}  // namespace gannet
