// Tuning a quantized file: numbers are trained, codes are written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"
#include "tests/tools/quantized_mlp.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

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

// The weights of a compiled file's training are numbers; the ONNX file gets their codes.
TEST_F(TuneQuantized, ACompiledFileTrainsCodesToo) {
  run("tune codes.onnx --train task.npz --epochs 3 --lr 0.01 -o tuned.onnx");
  run("compile codes.onnx --train -o codes.gannet");
  const CommandResult result = gannet_run_line("codes.gannet --tune task.npz --epochs 3 --lr 0.01 -o w.safetensors");
  ASSERT_EQ(result.status, 0) << result.err;
  run("apply-weights codes.onnx w.safetensors -o applied.onnx");
  EXPECT_TRUE(contents("applied.onnx") == contents("tuned.onnx"));
}

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
