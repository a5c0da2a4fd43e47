// Tensors of ONNX messages: reading (without a copy where the bytes in the file are aligned for their type)
// and writing. For the importer only: this header shows protobuf's types; pb_file.h is the one without.
#pragma once

#include <onnx/onnx_pb.h>

#include <string>

#include "frontend/model_file.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/base/tensor.h"

namespace gannet {

// The tensor of a TensorProto: raw, typed or external data, every element type. Errors name the tensor and
// both numbers: dims against bytes or values, negative or overflowing dims, what `limits` forbids, segments.
Result<Tensor> read_tensor(const onnx::TensorProto& proto, const TensorSource& source, const Limits& limits);
inline Result<Tensor> read_tensor(const onnx::TensorProto& proto, const ModelFile& model,
                                  const Limits& limits) {
  return read_tensor(proto, model.source, limits);
}

// The dense tensor of a SparseTensorProto; indices are linear ([NNZ]) or coordinates ([NNZ, rank]).
Result<Tensor> read_sparse_tensor(const onnx::SparseTensorProto& proto, const TensorSource& source,
                                  const Limits& limits);
inline Result<Tensor> read_sparse_tensor(const onnx::SparseTensorProto& proto, const ModelFile& model,
                                         const Limits& limits) {
  return read_sparse_tensor(proto, model.source, limits);
}

// The extents and dtype of a TensorProto without its data; the same checks of dims and dtype as read_tensor.
struct TensorHeader {
  DType dtype = DType::kUndefined;
  std::vector<int64_t> extents;
  int64_t elements = 0;
};
Result<TensorHeader> read_tensor_header(const onnx::TensorProto& proto, const Limits& limits);

// Bytes that `elements` elements take in raw_data, sub-byte kinds packed; not for strings.
int64_t packed_bytes(DType dtype, int64_t elements);
// The elements as raw_data holds them: little endian, 4- and 2-bit kinds packed low bits first. Not for
// strings.
std::string packed_elements(const Tensor& tensor);
// A serialized TensorProto: dims, data_type, name and raw_data (string_data for strings).
std::string write_tensor(const Tensor& tensor, const std::string& name);

}  // namespace gannet
