// Where a result may be written.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

// An error where `output`, which is to be written, is the file `input` that is read, or a picture in the folder `input` ("": none).
Status check_not_over(const std::string& output, const std::string& input);
// Whether all results can be written, for telling before long work: check_output_path, check_not_over with each input, and that no two
// are one file. Empty names are none among `inputs` and `optional` results, and an error among `outputs`.
Status check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& optional = {});

}  // namespace gannet
