// `gannet generate --image`: pictures of pictures.
#pragma once

#include "tools/driver/generate_arguments.h"

namespace gannet {

// Runs the model on each picture of `arguments.images` and writes what it makes: of one to the file of -o, of
// several to files of their names in the folder of -o. Nothing is read or written where two of them have one
// name, or a result would overwrite a picture.
Status convert_pictures(const GenerateArguments& arguments);

}  // namespace gannet
