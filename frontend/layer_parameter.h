// What a layer of an ONNX file reads as weight or bias: a tensor, or what a few nodes make of one, such as a Reshape, a
// Transpose or a DequantizeLinear. For the frontend only: this header shows protobuf's types.
#pragma once

#include <string>
#include <vector>

#include "frontend/model_file.h"
#include "frontend/proto_names.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

struct LayerParameter {
  std::string name;                       // what the layer reads
  std::string tensor;                     // the tensor that it comes from; `name` itself without nodes in between
  std::vector<onnx::NodeProto*> between;  // from the layer to the tensor
  std::vector<int64_t> extents;           // of `name`
  DType dtype = DType::kUndefined;        // of `name`
};

// An error names what `name` is where no tensor of the file leads to it.
Result<LayerParameter> find_parameter(const ProtoNames& names, const std::string& name, const ModelFile& model, const Limits& limits);

// Makes `value`, which may have other extents and another dtype, what `layer` reads in place of the parameter, and returns the
// name of its tensor: that of the parameter's, and the nodes in between and the tensors that only they used go; or, where
// something else uses one of these, a new one.
std::string replace_parameter(onnx::ModelProto& model, onnx::NodeProto& layer, const LayerParameter& parameter, const Tensor& value);

}  // namespace gannet
