#include "frontend/edit_model.h"

#include "frontend/patch.h"
#include "frontend/tensor_data.h"
#include "tests/frontend/import_test_model.h"
#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

// y = x * w + b, whose weights are raw data of 4 KiB and of 128 bytes.
TestModel affine() {
  TestModel model(17);
  model.input("x", {"n", int64_t{32}});
  std::vector<float> weights(32 * 32), bias(32, 0.5f);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 7) - 3;
  for (const auto& [name, values] : {std::pair<std::string, std::vector<float>>("w", weights), {"b", bias}}) {
    onnx::TensorProto& tensor = *model.graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
    tensor.add_dims(32);
    if (name == "w") tensor.add_dims(32);
  }
  model.node("MatMul", {"x", "w"}, {"m"}).node("Add", {"m", "b"}, {"y"}).output("y");
  return model;
}

Tensor result_of(const Graph& graph) {
  auto result = evaluate(graph, {counting({2, 32})});
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result->outputs[0].tensor();
}

TEST(EditModel, DataThatDoNotFitIntoAFileBecomeExternal) {
  TemporaryFolder folder;
  auto file = load_model_bytes(affine().proto.SerializeAsString(), "m.onnx");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto rename = [](onnx::ModelProto& model) {
    model.set_producer_name("edited");
    return Status();
  };
  constexpr int64_t kLargest = 2000;
  auto edited = edit_model(*file, rename, {}, kLargest);
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_LT((*edited)->source.file.size, kLargest);
  EXPECT_EQ((*edited)->proto.graph().initializer(0).data_location(), onnx::TensorProto::EXTERNAL);
  EXPECT_NE((*edited)->proto.graph().initializer(1).data_location(), onnx::TensorProto::EXTERNAL);

  auto original = import_model(std::make_shared<const ModelFile>(*file)), model = import_model(*edited);
  ASSERT_TRUE(original.ok() && model.ok()) << (model.ok() ? "" : model.error().message);
  EXPECT_TRUE(result_of(*model->graph).identical(result_of(*original->graph)));

  Tensor ones = Tensor::zeros(DType::kF32, {32});
  for (float& value : ones.mutable_data<float>()) value = 1.5f;
  const int64_t bias = *origin_of((*edited)->proto.graph().initializer(1));
  const Status written = write_patched_model(**edited, std::vector<TensorPatch>{{bias, ones}}, folder.path("out.onnx"));
  ASSERT_TRUE(written.ok()) << written.error().message;
  auto again = import_model(folder.path("out.onnx"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  const Tensor expected = result_of(*original->graph), given = result_of(*again->graph);
  for (int64_t i = 0; i < expected.elements(); ++i) EXPECT_EQ(given.double_at(i), expected.double_at(i) + 1);

  auto refused = edit_model(*file, rename, {}, 20);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, testing::HasSubstr("bytes beside its weights, a file can have 20"));
}

}  // namespace
}  // namespace gannet
