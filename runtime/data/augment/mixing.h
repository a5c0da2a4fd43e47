// Pictures of a batch mixed with others of it, and their targets in the same proportion.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/random.h"
#include "ir/base/tensor.h"
#include "runtime/data/image.h"

namespace gannet {

struct Mixing {
  // Parameters of the symmetric Beta distribution that shares come from; 0: not done.
  double mixup = 0;   // Zhang et al. 2018: both pictures shine through
  double cutmix = 0;  // Yun et al. 2019: a rectangle of the other one
  double chance = 1;  // of a picture to be mixed

  bool empty() const { return mixup == 0 && cutmix == 0; }
  bool operator==(const Mixing&) const = default;
};

// Mixes each picture with the one that a random permutation of the batch gives it, by its own share; with
// both kinds, either is as likely. All have one size. `targets`, f32 [rows, classes], follow by the share of
// the pixels.
void mix_batch(std::vector<Image>& images, Tensor& targets, const Mixing& mixing, Random& random);

// A number of the Beta distribution with both parameters `alpha` > 0 (Jöhnk 1964 up to 1, where few tries are
// rejected, and Ulrich 1984 beyond).
double symmetric_beta(double alpha, Random& random);

}  // namespace gannet
