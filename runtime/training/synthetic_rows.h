// Pictures that a generator makes while a classifier learns, as rows behind those of files: of so many rows
// of files, row files + place is the picture of that place. Every pass over the rows has places of its own,
// so that none comes twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "runtime/data/image.h"

namespace gannet {

class SyntheticPictures {
 public:
  virtual ~SyntheticPictures() = default;
  // The class that the picture of a place is of.
  virtual int64_t class_of(int64_t place) const = 0;
  // The pictures of these places, of any size, with the channels of the model's input. What a place gives
  // depends on nothing else. One call at a time.
  virtual Result<std::vector<Image>> make(std::span<const int64_t> places) = 0;
};

struct SyntheticRows {
  std::shared_ptr<SyntheticPictures> pictures;  // null: there are none
  int64_t per_pass = 0;  // beside all rows of files; pass p has the places from p * per_pass on
};

// The pictures of those of `rows` that are synthetic, by row; `files` rows are of files.
Result<std::map<int64_t, Image>> synthetic_pictures(const SyntheticRows& synthetic, int64_t files,
                                                    std::span<const int64_t> rows);
// The targets of `rows`: those of files from `target`, those of synthetic ones from `of_class`, which has a
// row for each class and is otherwise like `target`.
Tensor targets_of(const Tensor& target, const SyntheticRows& synthetic, const Tensor& of_class,
                  std::span<const int64_t> rows);

}  // namespace gannet
