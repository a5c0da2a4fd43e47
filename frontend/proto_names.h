// Who defines and who uses the names of an ONNX graph. For the frontend only: this header shows protobuf's
// types.
#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ir/base/tensor.h"

namespace gannet {

// Of the top graph; uses inside of subgraphs count. Valid until the graph's nodes or initializers change.
struct ProtoNames {
  explicit ProtoNames(onnx::GraphProto& graph);

  onnx::NodeProto* producer(const std::string& name) const;
  // The tensor that `name` stands for: an initializer's or a Constant node's; null where it is none.
  onnx::TensorProto* tensor(const std::string& name) const;
  int uses(const std::string& name) const;  // operands and graph outputs
  // `wanted`, or with a number where something has that name already.
  std::string unused(const std::string& wanted) const;

  std::map<std::string, onnx::NodeProto*> producers;
  std::map<std::string, onnx::TensorProto*> tensors;
  std::map<std::string, int> use_counts;
  std::set<std::string> all;
};

// Adds an initializer (and before IR version 4 the graph input that such a file needs).
onnx::TensorProto* add_initializer(onnx::ModelProto& model, const std::string& name, const Tensor& value);
// Sets the extents that graph inputs and value_info declare for `name`, where they do.
void declare_extents(onnx::GraphProto& graph, const std::string& name, const std::vector<int64_t>& extents);
// The opset version of ai.onnx.
int64_t opset_of(const onnx::ModelProto& model);

}  // namespace gannet
