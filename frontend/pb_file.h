// Test data files of ONNX: one TensorProto, SequenceProto or OptionalProto a file.
#pragma once

#include <string>

#include "ir/base/datum.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/base/type.h"

namespace gannet {

// Reads `path` as what `expected` says (only the kinds matter), or as a tensor when it is null. Errors begin
// with the path.
Result<Datum> read_pb(const std::string& path, const Type* expected, const Limits& limits = {});
// Reads the same from memory; errors do not name it.
Result<Datum> read_pb_bytes(std::string bytes, const Type* expected, const Limits& limits = {});

// Writes `datum` with `name` inside; the file appears whole or not at all. An error where protobuf's 2 GiB do
// not suffice, or for an absent datum.
Status write_pb(const std::string& path, const Datum& datum, const std::string& name);
Result<std::string> write_pb_bytes(const Datum& datum, const std::string& name);

}  // namespace gannet
