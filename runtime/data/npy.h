// NumPy's files: .npy holds one array, .npz is a zip archive of them. Arrays become row-major tensors of the
// machine's byte order whatever the file holds.
//
// Read: versions 1 to 3; C and Fortran order; either byte order; f2 f4 f8, i1 to i8, u1 to u8, b1, c8, c16,
// and the descriptor 'bfloat16'; U (as UTF-8) and S become strings, without the zeros that pad them. Object
// arrays, records and dates are refused. Written: version 1, C order, little-endian. What NumPy has no name
// for is widened without loss: bf16, float8 and float4 to f4, 4- and 2-bit integers to i1 or u1. Strings are
// written as U, or as S when one of them is not UTF-8; zeros at the end of a string are lost, as in NumPy.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/limits.h"
#include "ir/base/tensor.h"

namespace gannet {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Errors name the path.
Result<Tensor> read_npy(const std::string& path, const Limits& limits = {});
// All arrays, in the order of the archive; names are without ".npy". Members may be stored or deflated;
// checksums are verified, and a member that unpacks to more than limits.tensor_bytes is refused before memory
// is taken for it.
Result<NamedTensors> read_npz(const std::string& path, const Limits& limits = {});
// One array of an archive; the error for a name that is not there lists those that are.
Result<Tensor> read_npz_array(const std::string& path, const std::string& name, const Limits& limits = {});

// Both replace `path` as a whole or leave it alone; equal tensors give equal bytes.
Status write_npy(const std::string& path, const Tensor& tensor);
// Members are stored, not deflated. Names must differ from each other and be valid UTF-8.
Status write_npz(const std::string& path, const NamedTensors& tensors);

// The parts that .npy and .npz share. A source fills the span it is given with the next bytes of one array
// file.
using ByteSource = std::function<Status(std::span<uint8_t>)>;
using ByteSink = std::function<Status(std::span<const uint8_t>)>;
// `total_bytes` is the size of the array file: an array that needs more or less is an error, found before
// allocation.
Result<Tensor> parse_npy(const ByteSource& source, int64_t total_bytes, const Limits& limits);
Status serialize_npy(const Tensor& tensor, const ByteSink& sink);

}  // namespace gannet
