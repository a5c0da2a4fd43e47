// An ONNX file in memory: mapped, checked byte by byte, and parsed without its raw tensor bytes (see
// skeleton.h). Tensors of `proto` have no raw_data of their own: read them with read_tensor of tensor_data.h.
// For the importer only: this header shows protobuf's types.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/external_data.h"
#include "frontend/file_bytes.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

// Where the data of tensors are that a skeleton left out.
struct TensorSource {
  FileBytes file;
  std::shared_ptr<ExternalData> external;  // may be null: external data are refused
};

struct ModelFile {
  std::string path;  // for messages; of a model from memory the name it was given
  onnx::ModelProto proto;
  TensorSource source;
  std::optional<FileIdentity> identity;  // of a model from a file
};

// Reads the model at `path`. Errors begin with the path: what map_file and make_skeleton refuse, and a model
// without a graph.
Result<ModelFile> load_model(const std::string& path, const Limits& limits = {});
// Reads a model from memory; it cannot have external data unless `folder` says where they are.
Result<ModelFile> load_model_bytes(std::string bytes, const std::string& name, const Limits& limits = {},
                                   const std::string& folder = "");

// The identity of a tensor: the byte offset of its content in the file. Nothing for a tensor from elsewhere.
std::optional<int64_t> origin_of(const onnx::TensorProto& tensor);
struct RawLocation {
  int64_t offset = 0, length = 0;
};
// Where the raw_data lies that the skeleton left out.
std::optional<RawLocation> raw_location_of(const onnx::TensorProto& tensor);

// Fields that may be newer than the installed protobuf classes.
std::string overload_of(const onnx::NodeProto& node);
std::string overload_of(const onnx::FunctionProto& function);
// Attributes of a function that have defaults (FunctionProto.attribute_proto), and types of its inner values.
std::vector<onnx::AttributeProto> default_attributes(const onnx::FunctionProto& function);
std::vector<onnx::ValueInfoProto> value_infos(const onnx::FunctionProto& function);

}  // namespace gannet
