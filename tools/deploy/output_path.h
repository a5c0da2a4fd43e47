// Where a result may be written.
#pragma once

#include <string>

#include "ir/base/error.h"

namespace gannet {

// An error where `output`, which is to be written, is the file `input` that is read ("": none).
Status check_not_over(const std::string& output, const std::string& input);

}  // namespace gannet
