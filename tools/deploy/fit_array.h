// An array of the user's as a graph takes it.
#pragma once

#include <string>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "ir/base/type.h"

namespace gannet {

// Brings array `name` of `file` into the type of the input it feeds, floating point of any width (with
// `from_integers` integers and booleans too), and says what does not fit: the dtype, the rank, an extent
// behind the rows, a value that is not finite. `taker` is what takes it, for messages.
Result<Tensor> fit_array(const std::string& file, const std::string& name, Tensor tensor, const Type& type,
                         std::string_view taker, bool from_integers);

}  // namespace gannet
