// `gannet generate`: pictures from random numbers.
#pragma once

#include "tools/driver/generate_arguments.h"

namespace gannet {

// Makes the pictures batch by batch and writes them as `arguments` say. Pictures of a folder are written as
// they come, so that any number of them takes the memory of one batch; a grid, an animation and an array are
// made of all. An error where a folder holds other pictures, which would pass for new ones.
Status make_latent_pictures(const GenerateArguments& arguments);

}  // namespace gannet
