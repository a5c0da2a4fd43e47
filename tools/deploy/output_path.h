// Where a result may be written.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

// An error where `output`, which is to be written, is the file `input` that is read, or a picture in the folder `input` ("": none).
Status check_not_over(const std::string& output, const std::string& input);
// The same of each output with each input; and that no two outputs are one file. Empty names are none.
Status check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);

}  // namespace gannet
