// Labelled pictures: which files, which classes, which labels. No picture is opened.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"

namespace gannet {

enum class ImageLabels {
  kOne,      // a class each: i64 [pictures]
  kSeveral,  // any number of classes each: f32 [pictures, classes], 0 or 1
  kShares,   // a probability of each class: f32 [pictures, classes]
};

struct ImageList {
  std::string path;  // the folder or table, for messages
  std::vector<std::string> files;
  std::vector<std::string> classes;
  ImageLabels labels = ImageLabels::kOne;
  Tensor target;
};

struct ImageListOptions {
  // Known classes, in the order of their numbers; others are an error. Empty: those that there are, sorted.
  std::vector<std::string> classes;
  bool several = false;      // a table's labels are lists, separated by '|', ';' or blanks
  std::string label_column;  // of a table; empty: label, labels, class, tags, or the second
};

// A folder with a folder for each class, with pictures in it and below; or a table (.csv, .tsv, .jsonl) with
// a header, whose column path, file, filename or image (else the first) names pictures, relative to the
// table's folder. A table with columns "p:CLASS" holds probabilities of the classes, as `gannet label` writes
// them; its rows without any are left out. Files that are no pictures by their name are passed over in
// folders; hidden ones too.
Result<ImageList> list_images(const std::string& path, const ImageListOptions& options = {});
// The same of a folder.
Result<ImageList> list_image_folder(const std::string& path, const ImageListOptions& options = {});

// Pictures without labels: all in a folder and below, or those that a table names. The target is i64
// [pictures]: the place among `classes` of the folder in `path` that a picture is in, or of what column
// `label_column` (empty: label, labels, class, tags) of its row says; -1 where there is no such column, or it
// says none of them.
Result<ImageList> list_unlabelled_images(const std::string& path, const std::vector<std::string>& classes = {},
                                         const std::string& label_column = "");

}  // namespace gannet
