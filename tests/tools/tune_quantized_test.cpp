// Tuning a quantized file: numbers are trained, codes are written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/data/npy.h"
#include "tests/frontend/import_test_model.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

template <class T>
void add_tensor(TestModel& model, const std::string& name, DType dtype, const std::vector<int64_t>& extents, const std::vector<T>& values) {
  onnx::TensorProto& tensor = *model.graph().add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(static_cast<int>(dtype));
  for (int64_t extent : extents) tensor.add_dims(extent);
  tensor.set_raw_data(std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

// x [n, 8] -> Gemm of i8 codes with a scale for each unit -> Relu -> MatMul of a float weight through codes -> Softmax, with
// codes between all of them.
TestModel quantized_mlp() {
  TestModel model(13);
  model.input("input", {"n", int64_t{8}}).floats("sx", {}, {0.05f}).floats("one", {}, {1.0f / 127});
  add_tensor<uint8_t>(model, "zx", DType::kU8, {}, {128});
  add_tensor<uint8_t>(model, "z0", DType::kU8, {}, {0});
  add_tensor<int8_t>(model, "z8", DType::kI8, {}, {0});
  std::vector<int8_t> codes;
  for (int i = 0; i < 128; ++i) codes.push_back(static_cast<int8_t>((i * 37 + 11) % 101 - 50));
  add_tensor<int8_t>(model, "w1", DType::kI8, {16, 8}, codes);
  add_tensor<int8_t>(model, "z1", DType::kI8, {16}, std::vector<int8_t>(16, 0));
  add_tensor<int32_t>(model, "b1", DType::kI32, {16}, std::vector<int32_t>(16, 3));
  std::vector<float> scales, w2;
  for (int i = 0; i < 16; ++i) scales.push_back(0.01f + 0.001f * static_cast<float>(i));
  for (int i = 0; i < 48; ++i) w2.push_back(0.1f * static_cast<float>((i * 5 + 1) % 7 - 3));
  model.floats("s1", {16}, scales).floats("w2", {16, 3}, w2);
  auto through_codes = [&](const std::string& name, const std::string& scale, const std::string& zero) {
    model.node("QuantizeLinear", {name, scale, zero}, {name + ".q"}).node("DequantizeLinear", {name + ".q", scale, zero}, {name + ".d"});
  };
  through_codes("input", "sx", "zx");
  model.node("DequantizeLinear", {"w1", "s1", "z1"}, {"w1.d"}, {{"axis", int64_t{0}}});
  model.node("DequantizeLinear", {"b1", "s1"}, {"b1.d"}, {{"axis", int64_t{0}}});
  model.node("Gemm", {"input.d", "w1.d", "b1.d"}, {"g"}, {{"transB", int64_t{1}}}).node("Relu", {"g"}, {"r"});
  through_codes("r", "sx", "z0");
  through_codes("w2", "one", "z8");
  model.node("MatMul", {"r.d", "w2.d"}, {"m"});
  through_codes("m", "sx", "zx");
  model.node("Softmax", {"m.d"}, {"p"});
  through_codes("p", "one", "z0");
  model.node("Identity", {"p.d"}, {"y"}).output("y");
  return model;
}

class TuneQuantized : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line("new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 96 -o mlp.onnx").status, 0);
    std::ofstream("codes.onnx", std::ios::binary) << quantized_mlp().proto.SerializeAsString();
  }
  static onnx::ModelProto read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    onnx::ModelProto proto;
    EXPECT_TRUE(proto.ParseFromIstream(&stream)) << path;
    return proto;
  }
  static double accuracy(const std::string& path) {
    auto model = import_model(path);
    auto inputs = read_npz_array("task.npz", "input"), labels = read_npz_array("task.npz", "labels");
    EXPECT_TRUE(model.ok() && inputs.ok() && labels.ok());
    if (!model.ok() || !inputs.ok() || !labels.ok()) return 0;
    auto result = evaluate(*model->graph, {*inputs});
    EXPECT_TRUE(result.ok());
    if (!result.ok()) return 0;
    auto p = result->outputs[0].tensor().data<float>();
    int64_t right = 0, rows = inputs->extent(0);
    for (int64_t row = 0; row < rows; ++row) {
      const auto* first = p.data() + row * 3;
      right += std::max_element(first, first + 3) - first == labels->int_at(row);
    }
    return static_cast<double>(right) / static_cast<double>(rows);
  }
};

TEST_F(TuneQuantized, CodesLearnUnderTheirScales) {
  const CommandResult result = gannet_line("tune codes.onnx --train task.npz --epochs 12 --lr 0.01 -o tuned.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("training 192 weights of 3 tensors on 96 rows, cross entropy of 'y', on the logits before its Softmax\n"));
  EXPECT_THAT(result.out, HasSubstr("2 tensors are codes in the file"));
  const onnx::ModelProto before = read("codes.onnx"), after = read("tuned.onnx");
  ASSERT_EQ(before.graph().initializer_size(), after.graph().initializer_size());
  for (int i = 0; i < before.graph().initializer_size(); ++i) {
    const onnx::TensorProto &was = before.graph().initializer(i), &is = after.graph().initializer(i);
    const bool trained = was.name() == "w1" || was.name() == "b1" || was.name() == "w2";
    EXPECT_EQ(was.data_type(), is.data_type()) << was.name();
    EXPECT_EQ(was.SerializeAsString() != is.SerializeAsString(), trained) << was.name();
  }
  EXPECT_LT(accuracy("codes.onnx"), 0.7);
  EXPECT_GT(accuracy("tuned.onnx"), 0.95);
}

TEST_F(TuneQuantized, WhatIsEvaluatedIsWhatIsWritten) {
  const CommandResult result = gannet_line("tune codes.onnx --train task.npz --eval task.npz --epochs 3 --lr 0.005 -o tuned.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  const size_t at = result.out.find("best accuracy ");
  ASSERT_NE(at, std::string::npos) << result.out;
  EXPECT_NEAR(std::stod(result.out.substr(at + 14)), accuracy("tuned.onnx"), 1e-4);
}

}  // namespace
}  // namespace gannet::test
