#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/data/npy.h"
#include "runtime/training/safetensors.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet {
namespace {

using test::CommandResult;
using testing::HasSubstr;

class ApplyWeights : public test::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line("new mlp --layers 8 --inputs 4 --outputs 3 -o m.onnx --sample-data d.npz --samples 32").status, 0);
  }
  // Trained for two epochs; the newest checkpoint.
  std::string tuned() {
    EXPECT_EQ(gannet_line("tune m.onnx --train d.npz --epochs 2 --batch-size 8 --checkpoint c -o t.onnx").status, 0);
    return "c/step-00000008.safetensors";
  }
};

TEST_F(ApplyWeights, OfACheckpointGiveTheTunedFile) {
  const std::string checkpoint = tuned();
  const CommandResult result = gannet_line("apply-weights m.onnx " + checkpoint + " --skip-unknown -o a.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("4 of the model's 4 tensors replaced"));
  EXPECT_EQ(contents("a.onnx"), contents("t.onnx"));
  EXPECT_NE(contents("a.onnx"), contents("m.onnx"));
}

// Averages stand for the weights, as in the file that training writes.
TEST_F(ApplyWeights, OfACheckpointWithAveragesGiveTheTunedFile) {
  ASSERT_EQ(gannet_line("tune m.onnx --train d.npz --epochs 2 --batch-size 8 --ema 0.5 --checkpoint c -o t.onnx").status, 0);
  const std::string line = "apply-weights m.onnx c/step-00000008.safetensors --skip-unknown -o a.onnx";
  EXPECT_THAT(run(line), HasSubstr("4 of the model's 4 tensors replaced, 4 by moving averages"));
  EXPECT_EQ(contents("a.onnx"), contents("t.onnx"));
  EXPECT_THAT(run(line + " --no-average"), HasSubstr("4 of the model's 4 tensors replaced, "));
  EXPECT_NE(contents("a.onnx"), contents("t.onnx"));
  EXPECT_NE(contents("a.onnx"), contents("m.onnx"));
}

TEST_F(ApplyWeights, NamesWhatTheModelDoesNotHave) {
  const CommandResult result = gannet_line("apply-weights m.onnx " + tuned() + " -o a.onnx");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("are no weights of m.onnx"));
  EXPECT_THAT(result.err, HasSubstr("--skip-unknown"));
  EXPECT_FALSE(std::filesystem::exists("a.onnx"));
}

TEST_F(ApplyWeights, RefusesOtherShapesAndTypesAndKeepsTheFile) {
  const Safetensors checkpoint = read_safetensors(tuned()).value();
  write("a.onnx", "kept");
  const auto refused = [&](const Tensor& value) {
    NamedTensors tensors;
    for (const auto& [name, tensor] : checkpoint.tensors) {
      if (tensors.empty() && tensor.rank() == 2) tensors.emplace_back(name, value);
    }
    EXPECT_TRUE(write_safetensors("w.safetensors", tensors).ok());
    const CommandResult result = gannet_line("apply-weights m.onnx w.safetensors --skip-unknown -o a.onnx");
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(contents("a.onnx"), "kept");
    return result.err;
  };
  EXPECT_THAT(refused(Tensor::zeros(DType::kF32, {2, 2})), HasSubstr("is f32[2, 2], the model has f32["));
  EXPECT_THAT(refused(Tensor::zeros(DType::kI32, {4, 8})), HasSubstr("is i32[4, 8], the model has f32["));
}

TEST_F(ApplyWeights, RefusesFilesThatAreNoWeights) {
  EXPECT_THAT(gannet_line("apply-weights m.onnx d.npz -o a.onnx").err, HasSubstr("d.npz"));
  EXPECT_THAT(gannet_line("apply-weights m.onnx missing.safetensors -o a.onnx").err, HasSubstr("missing.safetensors"));
  ASSERT_TRUE(write_safetensors("w.safetensors", {}).ok());
  EXPECT_THAT(gannet_line("apply-weights m.onnx w.safetensors -o a.onnx").err, HasSubstr("w.safetensors has no weight of m.onnx"));
}

}  // namespace
}  // namespace gannet
