#include "frontend/head.h"

#include "frontend/patch.h"
#include "frontend/tensor_data.h"
#include "tests/frontend/import_test_model.h"
#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelFile loaded(const TestModel& model) {
  auto file = load_model_bytes(model.proto.SerializeAsString(), "m.onnx");
  EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
  return *std::move(file);
}

// x [batch, 2, 2, 2] -> Conv -> GlobalAveragePool -> Reshape [batch, classes] -> Softmax
TestModel convolutional() {
  TestModel model(13);
  model.input("x", {"batch", int64_t{2}, int64_t{2}, int64_t{2}});
  model.floats("w", {3, 2, 1, 1}, {1, 2, 3, 4, 5, 6}).floats("b", {3}, {1, 2, 3}).ints("shape", {2}, {-1, 3});
  model.node("Conv", {"x", "w", "b"}, {"c"})
      .node("GlobalAveragePool", {"c"}, {"p"})
      .node("Reshape", {"p", "shape"}, {"r"});
  model.node("Softmax", {"r"}, {"y"}, {{"axis", int64_t{1}}});
  set_test_type(*model.graph().add_output(), "y", DType::kF32, {"batch", int64_t{3}});
  set_test_type(*model.graph().add_value_info(), "r", DType::kF32, {"batch", int64_t{3}});
  return model;
}

TEST(ReplaceHead, AConvolutionBeforeAGlobalPooling) {
  ModelFile file = loaded(convolutional());
  auto edited = replace_head(file, {.classes = 5, .seed = 1});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_EQ(edited->head.old_classes, 3);
  EXPECT_EQ(edited->head.output, "y");
  EXPECT_EQ(edited->head.features, "x");
  EXPECT_THAT(edited->head.weights, ElementsAre("w", "b"));
  auto model = import_model(edited->file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(to_string(model->graph->outputs[0].value->type), "f32[batch, 5]");
  auto result = evaluate(*model->graph, {counting({2, 2, 2, 2})});
  ASSERT_TRUE(result.ok()) << result.error().message;
  const auto& graph = edited->file->proto.graph();
  EXPECT_EQ(graph.output(0).type().tensor_type().shape().dim(1).dim_value(), 5);
  EXPECT_EQ(graph.value_info_size(), 0);
  EXPECT_EQ(file.proto.graph().initializer(0).dims(0), 3);
}

TEST(ReplaceHead, AProductWithItsBias) {
  TestModel model(17);
  model.input("x", {"n", int64_t{2}}).floats("w", {2, 3}, {1, 2, 3, 4, 5, 6}).floats("b", {3}, {1, 2, 3});
  model.node("MatMul", {"x", "w"}, {"m"}).node("Add", {"b", "m"}, {"y"}).output("y");
  auto edited = replace_head(loaded(model), {.classes = 1});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  auto imported = import_model(edited->file);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[n, 1]");
}

// As CNTK exports it: the weight of rank 4 is a matrix behind a Reshape, in a file whose initializers are inputs.
TEST(ReplaceHead, AWeightBehindAReshape) {
  TestModel model(8);
  model.proto.set_ir_version(3);
  model.input("x", {int64_t{1}, int64_t{2}, int64_t{2}}).input("w", {int64_t{2}, int64_t{2}, int64_t{3}}).input("s", {int64_t{2}}, DType::kI64);
  model.input("f", {int64_t{2}}, DType::kI64).input("b", {int64_t{1}, int64_t{3}});
  model.floats("w", {2, 2, 3}, std::vector<float>(12, 1.0f)).ints("s", {2}, {4, -1}).ints("f", {2}, {1, 4}).floats("b", {1, 3}, {1, 2, 3});
  model.node("Reshape", {"w", "s"}, {"matrix"}).node("Reshape", {"x", "f"}, {"flat"});
  model.node("MatMul", {"flat", "matrix"}, {"m"}).node("Add", {"m", "b"}, {"y"}).output("y");
  auto edited = replace_head(loaded(model), {.classes = 5});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_EQ(edited->head.old_classes, 3);
  EXPECT_THAT(edited->head.weights, ElementsAre("w", "b"));
  const auto& graph = edited->file->proto.graph();
  EXPECT_EQ(graph.node_size(), 3);
  EXPECT_EQ(graph.initializer_size(), 3);  // the shape of the matrix is gone
  EXPECT_EQ(graph.input_size(), 4);
  auto imported = import_model(edited->file);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[1, 5]");
}

TEST(ReplaceHead, ATransposedWeightThatOthersUseStays) {
  TestModel model(13);
  model.input("x", {"n", int64_t{2}}).floats("w", {3, 2}, {1, 2, 3, 4, 5, 6});
  model.node("Transpose", {"w"}, {"t"}).node("MatMul", {"x", "t"}, {"m"}).node("MatMul", {"m", "w"}, {"z"}).output("m").output("z");
  auto edited = replace_head(loaded(model), {.classes = 4, .layer = "m"});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_THAT(edited->head.weights, ElementsAre("head/w"));
  EXPECT_EQ(edited->file->proto.graph().node_size(), 3);
}

// Of a quantized layer the new weights are floats, between the conversions of its neighbours.
TEST(ReplaceHead, CodesBecomeFloats) {
  TestModel model(13);
  model.input("x", {"n", int64_t{2}}).floats("s", {}, {0.1f}).floats("per", {3}, {0.1f, 0.2f, 0.3f});
  auto codes = [&](const std::string& name, onnx::TensorProto::DataType type, std::initializer_list<int64_t> dims, int count) {
    onnx::TensorProto& tensor = *model.graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(type);
    for (int64_t dim : dims) tensor.add_dims(dim);
    for (int i = 0; i < count; ++i) tensor.add_int32_data(i);
  };
  codes("w", onnx::TensorProto::INT8, {3, 2}, 6);
  codes("b", onnx::TensorProto::INT32, {3}, 3);
  codes("z", onnx::TensorProto::UINT8, {}, 1);
  model.node("QuantizeLinear", {"x", "s", "z"}, {"xq"}).node("DequantizeLinear", {"xq", "s", "z"}, {"xd"});
  model.node("DequantizeLinear", {"w", "per"}, {"wd"}, {{"axis", int64_t{0}}}).node("DequantizeLinear", {"b", "s"}, {"bd"});
  model.node("Gemm", {"xd", "wd", "bd"}, {"g"}, {{"transB", int64_t{1}}}).node("QuantizeLinear", {"g", "s", "z"}, {"gq"});
  model.node("DequantizeLinear", {"gq", "s", "z"}, {"gd"}).node("Softmax", {"gd"}, {"y"}).output("y");
  auto edited = replace_head(loaded(model), {.classes = 4});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_EQ(edited->head.old_classes, 3);
  EXPECT_THAT(edited->head.weights, ElementsAre("w", "b"));
  auto imported = import_model(edited->file);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[n, 4]");
  EXPECT_EQ(edited->file->proto.graph().node_size(), 6);
  for (const auto& tensor : edited->file->proto.graph().initializer()) {
    const bool is_new = tensor.name() == "w" || tensor.name() == "b";
    EXPECT_NE(tensor.data_type(), onnx::TensorProto::INT8) << tensor.name();
    EXPECT_TRUE(!is_new || tensor.data_type() == onnx::TensorProto::FLOAT);
    EXPECT_NE(tensor.name(), "per");
  }
}

TEST(ReplaceHead, LayersOnCodesAreRefusedByName) {
  TestModel model(13);
  model.input("a", {"n", int64_t{2}}, DType::kU8).input("b", {int64_t{2}, int64_t{3}}, DType::kU8);
  model.node("MatMulInteger", {"a", "b"}, {"m"}).node("Cast", {"m"}, {"y"}, {{"to", int64_t{1}}}).output("y");
  EXPECT_THAT(replace_head(loaded(model), {.classes = 4}).error().message, HasSubstr("layers on codes get no new head"));
}

// The tensor of a tied layer stays for its other users.
TEST(ReplaceHead, ATensorWithOtherUsesStays) {
  TestModel model(17);
  model.input("x", {"n", int64_t{3}}).floats("w", {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  model.node("Gemm", {"x", "w"}, {"h"}).node("Gemm", {"h", "w"}, {"y"}, {{"transB", int64_t{1}}}).output("y");
  auto edited = replace_head(loaded(model), {.classes = 2});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_THAT(edited->head.weights, ElementsAre("head/w"));
  auto imported = import_model(edited->file);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[n, 2]");
}

TEST(ReplaceHead, ConstantNodesAndNamedLayersAndOldFiles) {
  TestModel model(11);
  model.proto.set_ir_version(3);
  model.input("x", {"n", int64_t{2}}).input("w", {int64_t{2}, int64_t{2}}).floats("w", {2, 2}, {1, 2, 3, 4});
  model.node("MatMul", {"x", "w"}, {"m"})
      .node("Sigmoid", {"m"}, {"s"})
      .node("Mul", {"s", "x"}, {"y"})
      .output("y")
      .output("s");
  EXPECT_THAT(replace_head(loaded(model), {.layer = "q"}).error().message,
              HasSubstr("there is no node, value or weight 'q'"));
  EXPECT_THAT(replace_head(loaded(model), {.layer = "s"}).error().message,
              HasSubstr("node 's' (Sigmoid) is no layer"));
  auto edited = replace_head(loaded(model), {.classes = 2, .layer = "w"});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  EXPECT_TRUE(import_model(edited->file).ok());
  TestModel other(11);
  other.input("x", {"n", int64_t{2}}).node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_THAT(replace_head(loaded(other), {.classes = 4}).error().message,
              HasSubstr("m.onnx: no layer leads to output 'y'"));
}

// An edited model is patched like any file; what was not edited keeps its bytes.
TEST(ReplaceHead, TheEditedModelTakesNewWeights) {
  auto edited = replace_head(loaded(convolutional()), {.classes = 4});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  auto labelled = with_metadata(*edited->file, {{"labels", "a,b,c,d"}});
  ASSERT_TRUE(labelled.ok()) << labelled.error().message;
  TemporaryFolder folder;
  const auto& tensor = (*labelled)->proto.graph().initializer(0);
  Tensor ones = Tensor::zeros(DType::kF32, {4, 2, 1, 1});
  for (float& value : ones.mutable_data<float>()) value = 1;
  Status written = write_patched_model(**labelled, std::vector<TensorPatch>{{*origin_of(tensor), ones}},
                                       folder.path("out.onnx"));
  ASSERT_TRUE(written.ok()) << written.error().message;
  auto model = import_model(folder.path("out.onnx"));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT(model->info.metadata,
              testing::Contains(std::pair<std::string, std::string>("labels", "a,b,c,d")));
  auto result = evaluate(*model->graph, {counting({1, 2, 2, 2})});
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(floats_of(result->outputs[0]), ElementsAre(0.25f, 0.25f, 0.25f, 0.25f));
}

TestModel encoder(int64_t opset) {
  TestModel model(opset);
  model.input("x", {"batch", "seq", int64_t{2}}).input("attention_mask", {"batch", "seq"}, DType::kI64);
  model.floats("w", {2, 2}, {1, 0, 0, 1}).floats("pool", {2, 2}, {1, 0, 0, 1});
  model.node("MatMul", {"x", "w"}, {"hidden"})
      .node("MatMul", {"hidden", "pool"}, {"pooled"})
      .output("hidden")
      .output("pooled");
  set_test_type(*model.graph().mutable_output(0), "hidden", DType::kF32, {"batch", "seq", int64_t{2}});
  return model;
}

TEST(AddHead, PoolsOverTheMask) {
  for (int64_t opset : {11, 13, 18}) {
    auto model = import_model_bytes(encoder(opset).proto.SerializeAsString(), "m.onnx");
    ASSERT_TRUE(model.ok()) << model.error().message;
    auto edited = add_head(*model, {.classes = 3, .pooling = Pooling::kMean});
    ASSERT_TRUE(edited.ok()) << edited.error().message;
    EXPECT_THAT(edited->head.weights, ElementsAre("classifier.weight", "classifier.bias"));
    auto imported = import_model(edited->file);
    ASSERT_TRUE(imported.ok()) << imported.error().message;
    ASSERT_EQ(imported->graph->outputs.size(), 1u);
    EXPECT_EQ(imported->graph->outputs[0].name, "logits");
    EXPECT_EQ(to_string(imported->graph->outputs[0].value->type), "f32[batch, 3]");
    EXPECT_EQ(edited->file->proto.graph().initializer(0).name(), "w");
    for (const auto& tensor : edited->file->proto.graph().initializer()) EXPECT_NE(tensor.name(), "pool");
    auto mask = Tensor::from<int64_t>({1, 3}, {1, 1, 0});
    auto run = [&](std::vector<float> x) {
      return evaluate(*imported->graph, {Tensor::from<float>({1, 3, 2}, x), mask});
    };
    auto a = run({1, 2, 3, 4, 100, 200}), b = run({2, 3, 2, 3, 0, 0});
    ASSERT_TRUE(a.ok() && b.ok());
    for (size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(floats_of(a->outputs[0])[i], floats_of(b->outputs[0])[i], 1e-6);
  }
}

TEST(AddHead, TakesTheFirstTokenOrFlatFeatures) {
  auto model = import_model_bytes(encoder(17).proto.SerializeAsString(), "m.onnx");
  ASSERT_TRUE(model.ok());
  auto edited = add_head(*model, {.classes = 2});
  ASSERT_TRUE(edited.ok()) << edited.error().message;
  auto imported = import_model(edited->file);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  auto mask = Tensor::from<int64_t>({1, 2}, {1, 1});
  auto a = evaluate(*imported->graph, {Tensor::from<float>({1, 2, 2}, {1, 2, 3, 4}), mask});
  auto b = evaluate(*imported->graph, {Tensor::from<float>({1, 2, 2}, {1, 2, 9, 9}), mask});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(floats_of(a->outputs[0]), floats_of(b->outputs[0]));
  EXPECT_THAT(add_head(*model, {.output = "none"}).error().message,
              HasSubstr("the model has no output 'none'"));
}

}  // namespace
}  // namespace gannet
