// Random changes of pictures, said by one line of text such as "flip,crop=4,color=0.2,mixup=0.2": names in
// the order in which they are done, numbers behind '=' and ':'. What happens to a picture is a pure function
// of the picture and of the random numbers it is given.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/random.h"
#include "runtime/data/augment/mixing.h"
#include "runtime/data/image.h"

namespace gannet {

// The size that a picture is to have in the end.
struct PictureSize {
  int64_t height = 0, width = 0;
};

// One name of a line, with its numbers.
struct AugmentStep {
  using Apply = void (*)(Image& image, const std::vector<double>& numbers, PictureSize size, Random& random);
  std::string name;
  std::vector<double> numbers;
  Apply apply = nullptr;
};

class Augmentation {
 public:
  // "" and "none" change nothing. An error names the part that is not understood, and what there is.
  static Result<Augmentation> parse(std::string_view text);

  bool empty() const { return steps_.empty() && mixing_.empty(); }
  // Whether pictures may come in larger than they shall be (resized-crop cuts parts out of them).
  bool resizes() const;
  // Does everything but the mixing. Where nothing resizes, `image` has the size already.
  void apply(Image& image, PictureSize size, Random& random) const;
  const Mixing& mixing() const { return mixing_; }
  // The line with all numbers filled in: equal texts do equal things.
  std::string text() const;

 private:
  std::vector<AugmentStep> steps_;
  Mixing mixing_;
};

// The random numbers of place `place` in `epoch`, and those of batch `batch` for mixing its rows; no two of them
// share any, nor does a shuffle of the same seed.
Random augment_random(uint64_t seed, int64_t epoch, int64_t place);
Random mixing_random(uint64_t seed, int64_t epoch, int64_t batch);

struct AugmentHelp {
  std::string usage;    // "crop=PIXELS"
  std::string meaning;  // one line
};
// Every name there is.
std::vector<AugmentHelp> augmentations();

}  // namespace gannet
