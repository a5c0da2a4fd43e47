// RandAugment: Cubuk, Zoph, Shlens and Le, "RandAugment: Practical automated data augmentation with a reduced
// search space" (2020), with the fourteen changes and the strengths of torchvision's transform of that name.
#pragma once

#include "ir/base/random.h"
#include "runtime/data/image.h"

namespace gannet {

// `count` changes, each drawn from identity, shears, shifts, rotation, brightness, colour, contrast,
// sharpness, posterize, solarize, autocontrast and equalize, done with `strength` of 30 in either direction.
void random_policy(Image& image, int count, double strength, Random& random);

}  // namespace gannet
