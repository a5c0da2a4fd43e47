// Small ONNX models written node by node, for tests of the importer.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "frontend/import.h"
#include "ir/evaluate.h"
#include "ir/op.h"

namespace gannet {

using TestAttr =
    std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>, onnx::GraphProto>;
using TestAttrs = std::vector<std::pair<std::string, TestAttr>>;
using Names = std::vector<std::string>;
using TestDim = std::variant<int64_t, std::string>;

inline onnx::AttributeProto test_attr(const std::string& name, const TestAttr& value) {
  using A = onnx::AttributeProto;
  A proto;
  proto.set_name(name);
  if (auto* i = std::get_if<int64_t>(&value)) proto.set_i(*i), proto.set_type(A::INT);
  if (auto* f = std::get_if<float>(&value)) proto.set_f(*f), proto.set_type(A::FLOAT);
  if (auto* s = std::get_if<std::string>(&value)) proto.set_s(*s), proto.set_type(A::STRING);
  if (auto* g = std::get_if<onnx::GraphProto>(&value)) *proto.mutable_g() = *g, proto.set_type(A::GRAPH);
  if (auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    proto.set_type(A::INTS);
    for (int64_t i : *list) proto.add_ints(i);
  }
  if (auto* list = std::get_if<std::vector<float>>(&value)) {
    proto.set_type(A::FLOATS);
    for (float f : *list) proto.add_floats(f);
  }
  return proto;
}

template <class Owner>  // GraphProto or FunctionProto
onnx::NodeProto& add_test_node(Owner& owner, const std::string& op, const Names& inputs, const Names& outputs,
                               const TestAttrs& attrs = {}, const std::string& domain = "") {
  onnx::NodeProto& node = *owner.add_node();
  node.set_op_type(op);
  node.set_domain(domain);
  for (const auto& name : inputs) node.add_input(name);
  for (const auto& name : outputs) node.add_output(name);
  for (const auto& [name, value] : attrs) *node.add_attribute() = test_attr(name, value);
  return node;
}

inline void set_test_type(onnx::ValueInfoProto& info, const std::string& name, DType dtype,
                          const std::vector<TestDim>& dims) {
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int>(dtype));
  tensor->clear_shape();
  tensor->mutable_shape();
  for (const TestDim& dim : dims) {
    auto* proto = tensor->mutable_shape()->add_dim();
    if (auto* extent = std::get_if<int64_t>(&dim))
      proto->set_dim_value(*extent);
    else if (!std::get<std::string>(dim).empty())
      proto->set_dim_param(std::get<std::string>(dim));
  }
}

struct TestModel {
  onnx::ModelProto proto;

  explicit TestModel(int64_t opset) {
    proto.set_ir_version(8);
    if (opset > 0) import_domain("", opset);
    proto.mutable_graph()->set_name("test");
  }
  onnx::GraphProto& graph() { return *proto.mutable_graph(); }
  void import_domain(const std::string& domain, int64_t version) {
    auto* opset = proto.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(version);
  }
  TestModel& input(const std::string& name, const std::vector<TestDim>& dims, DType dtype = DType::kF32) {
    set_test_type(*graph().add_input(), name, dtype, dims);
    return *this;
  }
  TestModel& output(const std::string& name) {
    graph().add_output()->set_name(name);
    return *this;
  }
  TestModel& node(const std::string& op, const Names& inputs, const Names& outputs,
                  const TestAttrs& attrs = {}, const std::string& domain = "") {
    add_test_node(graph(), op, inputs, outputs, attrs, domain);
    return *this;
  }
  TestModel& ints(const std::string& name, const std::vector<int64_t>& dims,
                  const std::vector<int64_t>& values) {
    onnx::TensorProto& tensor = header(name, dims, DType::kI64);
    for (int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }
  TestModel& floats(const std::string& name, const std::vector<int64_t>& dims,
                    const std::vector<float>& values) {
    onnx::TensorProto& tensor = header(name, dims, DType::kF32);
    for (float value : values) tensor.add_float_data(value);
    return *this;
  }

  Result<ImportedModel> import(const ImportOptions& options = {}) const {
    return import_model_bytes(proto.SerializeAsString(), "m.onnx", options);
  }
  std::string error(const ImportOptions& options = {}) const {
    Result<ImportedModel> model = import(options);
    return model.ok() ? "" : model.error().message;
  }
  // The outputs for these inputs; a failure of the test when something is refused.
  std::vector<Datum> run(std::vector<Datum> inputs, const ImportOptions& options = {}) const {
    Result<ImportedModel> model = import(options);
    if (!model.ok())
      return ADD_FAILURE() << model.error().message, std::vector<Datum>(proto.graph().output_size());
    Result<EvaluateResult> result = evaluate(*model->graph, std::move(inputs));
    if (!result.ok())
      return ADD_FAILURE() << result.error().message, std::vector<Datum>(proto.graph().output_size());
    return std::move(result->outputs);
  }

 private:
  onnx::TensorProto& header(const std::string& name, const std::vector<int64_t>& dims, DType dtype) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(static_cast<int>(dtype));
    for (int64_t dim : dims) tensor.add_dims(dim);
    return tensor;
  }
};

inline std::vector<float> floats_of(const Datum& datum) {
  if (!datum.is_tensor() || datum.tensor().dtype() != DType::kF32) return {};
  auto data = datum.tensor().data<float>();
  return {data.begin(), data.end()};
}

// 0, 1, 2, ... in this shape.
inline Tensor counting(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
  float next = 0;
  for (float& value : tensor.mutable_data<float>()) value = next++;
  return tensor;
}

inline std::vector<std::string> op_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const auto& node : graph.nodes()) names.emplace_back(node->op().name);
  return names;
}

}  // namespace gannet
