// Real pictures for `gannet gan`: folders, tables of paths and archives as batches in the range of what is generated.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/training/batch_source.h"
#include "tools/driver/gan_arguments.h"
#include "tools/driver/gan_models.h"
#include "tools/driver/tune_task.h"

namespace gannet {

struct GanPictures {
  std::unique_ptr<LabelledRows> rows;  // what batches are made of; null: they hold it
  std::unique_ptr<BatchSource> batches;  // columns: rows of pictures in the form of the pair, then i64 classes
  int64_t classes = 0;                   // 0: the models take none
  std::vector<std::string> class_names;  // of the data, where they have names and the models take classes
  std::string identity;                  // equal for equal data
  std::vector<std::string> notes;        // what was done to them
  ImageOptions options;                  // how pixels become numbers, for the way back
};

// An error where the data hold no pictures, where conditional models find no classes or more than they know, or where
// numbers are in no range that is understood.
Result<GanPictures> open_gan_pictures(const GanModels& models, const GanArguments& arguments);

}  // namespace gannet
