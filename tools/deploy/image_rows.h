// Labelled pictures as rows to train on.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/data/image_list.h"
#include "runtime/training/image_batches.h"
#include "tools/deploy/labelled_rows.h"

namespace gannet {

// How pictures of a training become its input.
struct ImageReading {
  ImageOptions options;  // of the model's input, all filled in
  Augmentation augmentation;
  bool balanced = false;
  bool strict = false;      // a picture that cannot be read is an error
  int64_t cache_bytes = 0;  // for pictures that are kept
  int threads = 0;
};

class PictureRows final : public LabelledRows {
 public:
  // The class of each row, for balancing, and before targets become shares; empty with several labels each.
  std::vector<int64_t> class_of_row;
  std::vector<std::string> names;  // of the rows' pictures
  std::vector<std::string> left_out;  // what is wrong with pictures that cannot be read
  ImageRows images;                   // but for the target and what is synthetic
  ImageReading reading;
  // Rows that a generator makes beside so many of these; empty: none.
  std::function<SyntheticRows(int64_t files)> synthetic_beside;

  Result<std::unique_ptr<BatchSource>> batches(std::optional<std::span<const int64_t>> chosen,
                                               const BatchRequest& request) const override;
};

// Opens every picture of `list` once; those that cannot be read are left out, or with `strict` an error. One
// label each becomes shares of `classes` classes where the augmentation mixes.
Result<std::unique_ptr<PictureRows>> open_pictures(const ImageList& list, const ImageReading& reading);
// The pictures of a .npz archive: the u8 array [rows, height, width], [rows, height, width, channels] or
// [rows, channels, height, width] named `input`, images, image or x (else the only such), with `target`
// (empty: labels, label, targets, target or y).
struct PictureArrays {
  Tensor pixels, target;
  std::string target_name;
};
Result<PictureArrays> read_picture_arrays(const std::string& path, const std::string& input,
                                          const std::string& target, const Limits& limits);
// The same where labels may be missing; the target is i64 [rows], -1 where there is none below `classes`.
Result<PictureArrays> read_unlabelled_arrays(const std::string& path, const std::string& input,
                                             const std::string& target, int64_t classes,
                                             const Limits& limits);
Result<std::unique_ptr<PictureRows>> open_arrays(const PictureArrays& arrays, const std::string& path,
                                                 int64_t classes, const ImageReading& reading);

// Lets rows be made of every class of so many, as labelled data, beside those of `rows`.
void add_synthetic(PictureRows& rows, int64_t classes, std::function<SyntheticRows(int64_t files)> beside);

// "flowers: 2 of 98 pictures cannot be read and are left out" and a line for some of them; empty where all can be.
std::string left_out_text(const PictureRows& rows);

}  // namespace gannet
