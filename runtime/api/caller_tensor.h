// Tensors of gannet.h as the runtime takes them.
#pragma once

#include <string>

#include "ir/base/datum.h"
#include "runtime/api/gannet.h"

namespace gannet {

// A view of the caller's memory; of a bool that holds other bytes than 0 and 1, a copy with 1 in their place.
// Absent for GANNET_UNDEFINED. InvalidInput, naming input `name`, where the struct says nothing that a tensor
// can be: extents that do not give its bytes, no or unaligned data, bytes that are no number of a type of
// less than a byte. Unsupported for strings.
Result<Datum> input_datum(const gannet_tensor& tensor, const std::string& name);

}  // namespace gannet
