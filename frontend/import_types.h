// Types of ONNX messages as types of the IR. For the importer only: this header shows protobuf's types.
#pragma once

#include <onnx/onnx_pb.h>

#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/base/type.h"

namespace gannet {

// The type that `proto` declares. A named dimension is a symbol of that name; one without a name or a
// positive extent is the symbol "?", which stands for any extent. Errors: maps, sparse tensors, unknown
// element types, too many dimensions.
Result<Type> read_type(const onnx::TypeProto& proto, const Limits& limits);
// A dimension that read_type could not name.
bool is_anonymous(const Dim& dim);

}  // namespace gannet
