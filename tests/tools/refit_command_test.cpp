// gannet refit: the file that compiling anew would give, or a message that names what stands against it.
#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <random>
#include <set>

#include "frontend/import.h"
#include "runtime/training/safetensors.h"
#include "tests/tools/command_line_fixture.h"
#include "tests/tools/quantized_mlp.h"
#include "tools/driver/compilation.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class RefitCommandLine : public CommandLine {
 protected:
  static void save(const TestModel& model, const std::string& path) {
    std::ofstream(path, std::ios::binary) << model.proto.SerializeAsString();
  }

  // `path` with random numbers in all float weights of more than one element; variances stay positive.
  void write_with_numbers(const std::string& from, const std::string& path, unsigned seed) {
    const auto model = import_model(from);
    ASSERT_TRUE(model.ok()) << model.error().message;
    std::mt19937 random(seed);
    std::set<std::string> seen;
    NamedTensors tensors;
    for (const Value* weight : model_weights(*model->graph)) {
      const Tensor& old = *weight->constant();
      if (old.dtype() != DType::kF32 || old.elements() < 2 || !seen.insert(weight->origin->name).second)
        continue;
      Tensor tensor = Tensor::zeros(DType::kF32, old.extents());
      std::uniform_real_distribution<float> numbers(
          weight->origin->name.ends_with("running_var") ? 0.5f : -0.5f, 1.0f);
      for (float& number : tensor.mutable_data<float>()) number = numbers(random);
      tensors.emplace_back(weight->origin->name, std::move(tensor));
    }
    ASSERT_TRUE(write_safetensors("numbers.safetensors", tensors).ok());
    run("apply-weights " + from + " numbers.safetensors -o " + path);
  }

  // What refitting one model's file with the other's weights gives is the file that compiling the other one
  // gives.
  void expect_fresh(const std::string& model, const std::string& tuned, const std::string& flags = "") {
    SCOPED_TRACE(model + " " + flags);
    run("compile " + model + " " + flags + " -o made.gannet");
    run("compile " + tuned + " " + flags + " -o fresh.gannet");
    ASSERT_NE(contents("made.gannet"), contents("fresh.gannet"));
    const std::string before = contents("made.gannet");
    EXPECT_THAT(run("refit made.gannet " + tuned + " -o refitted.gannet"),
                HasSubstr("wrote refitted.gannet"));
    EXPECT_EQ(contents("made.gannet"), before);
    EXPECT_TRUE(contents("refitted.gannet") == contents("fresh.gannet"));
    EXPECT_THAT(run("refit made.gannet " + tuned), HasSubstr("wrote made.gannet"));
    EXPECT_TRUE(contents("made.gannet") == contents("fresh.gannet"));
  }

  // The reason for which a file made from one model takes no weights of the other.
  std::string refusal(const std::string& model, const std::string& tuned) {
    run("compile " + model + " -o made.gannet");
    const std::string before = contents("made.gannet");
    const std::string message = error("refit made.gannet " + tuned);
    EXPECT_THAT(message, StartsWith("error: " + tuned + ", for made.gannet: "));
    EXPECT_EQ(contents("made.gannet"), before);
    return message;
  }
};

TEST_F(RefitCommandLine, BertGivesWhatCompilingAnewGives) {
  run("new bert-classifier --layers 2 --hidden 32 --vocab 60 -o new.onnx");
  write_with_numbers("new.onnx", "first.onnx", 1);
  write_with_numbers("new.onnx", "second.onnx", 2);
  expect_fresh("first.onnx", "second.onnx");
  expect_fresh("first.onnx", "second.onnx",
               "--shape input_ids=1x8 --shape attention_mask=1x8 --shape token_type_ids=1x8");
}

TEST_F(RefitCommandLine, FoldedBatchNormalizationGivesWhatCompilingAnewGives) {
  run("new resnet8 --image-size 16 --classes 5 --seed 1 -o first.onnx");
  run("new resnet8 --image-size 16 --classes 5 --seed 2 -o second.onnx");
  expect_fresh("first.onnx", "second.onnx");
  expect_fresh("first.onnx", "second.onnx", "--shape input=1x3x16x16");
  expect_fresh("first.onnx", "second.onnx", "--target x86-64-v3,x86-64-v4");
  expect_fresh("first.onnx", "second.onnx", "--dtype bf16 --target x86-64-v4+bf16");
}

TEST_F(RefitCommandLine, TunedWeightsGiveWhatCompilingAnewGives) {
  run("new cnn --image-size 12 --channels 1 --classes 3 --sample-data task.npz --samples 32 -o cnn.onnx");
  run("tune cnn.onnx --train task.npz --epochs 1 -o tuned.onnx");
  expect_fresh("cnn.onnx", "tuned.onnx");
  expect_fresh("cnn.onnx", "tuned.onnx", "--codegen-only");
}

TEST_F(RefitCommandLine, CodesUnderTheSameScalesGiveWhatCompilingAnewGives) {
  run("new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 96 -o mlp.onnx");
  save(quantized_mlp(), "codes.onnx");
  run("tune codes.onnx --train task.npz --epochs 2 --lr 0.01 -o tuned.onnx");
  expect_fresh("codes.onnx", "tuned.onnx");
}

TEST_F(RefitCommandLine, AScaleOfCodesThatIsInTheCodeIsNamed) {
  save(quantized_mlp(0.05f), "codes.onnx");
  save(quantized_mlp(0.07f), "others.onnx");
  EXPECT_THAT(refusal("codes.onnx", "others.onnx"),
              HasSubstr("weight 'sx' decided how the model was compiled: it was 0.05 and is 0.07 now"));
}

TestModel scaled(float factor, std::vector<float> summand, std::vector<float> weights = {1, 2, 3, 4},
                 const std::string& op = "Tanh") {
  TestModel model(13);
  model.input("x", {"n", int64_t{4}})
      .floats("factor", {}, {factor})
      .floats("summand", {4}, summand)
      .floats("weights", {4}, weights);
  model.node("Mul", {"x", "weights"}, {"a"})
      .node(op, {"a"}, {"b"})
      .node("Add", {"b", "summand"}, {"c"})
      .node("Mul", {"c", "factor"}, {"y"});
  model.output("y");
  return model;
}

TEST_F(RefitCommandLine, NumbersThatDecidedAreNamed) {
  save(scaled(2, {1, 2, 3, 4}), "base.onnx");
  save(scaled(2, {5, 6, 7, 8}, {8, 6, 4, 2}), "tuned.onnx");
  expect_fresh("base.onnx", "tuned.onnx");
  save(scaled(3, {1, 2, 3, 4}), "other.onnx");
  EXPECT_THAT(refusal("base.onnx", "other.onnx"),
              HasSubstr("weight 'factor' decided how the model was compiled: it was 2 and is 3 now; compile "
                        "the model anew"));
  save(scaled(2, {0, 0, 0, 0}), "zeros.onnx");
  EXPECT_THAT(
      refusal("zeros.onnx", "base.onnx"),
      HasSubstr("weight 'summand' decided how the model was compiled: it was 0 and is several numbers now"));
  EXPECT_THAT(
      refusal("base.onnx", "zeros.onnx"),
      HasSubstr("weight 'summand' decided how the model was compiled: it was several numbers and is 0 now"));
  save(scaled(3, {0, 0, 0, 0}, {5, 5, 5, 5}), "all.onnx");
  EXPECT_THAT(refusal("base.onnx", "all.onnx"), HasSubstr("decided how the model was compiled"));
}

TEST_F(RefitCommandLine, AnotherArchitectureIsRefused) {
  run("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx");
  run("new mlp --inputs 6 --units 9 --outputs 3 -o wider.onnx");
  EXPECT_THAT(refusal("mlp.onnx", "wider.onnx"),
              AllOf(HasSubstr("it is another model than the compiled one: weight '"),
                    HasSubstr("f32[9, 6], where '"), HasSubstr("was f32[8, 6]")));
  run("new mlp --inputs 6 --layers 8,8 --outputs 3 -o deeper.onnx");
  EXPECT_THAT(refusal("mlp.onnx", "deeper.onnx"), HasSubstr("it is another model than the compiled one: "));
  run("new mlp --inputs 7 --units 8 --outputs 3 -o input.onnx");
  EXPECT_THAT(refusal("mlp.onnx", "input.onnx"),
              HasSubstr("input 'input' is f32[batch, 7] here, input 'input' is f32[batch, 6] there"));
  save(scaled(2, {1, 2, 3, 4}), "tanh.onnx");
  save(scaled(2, {1, 2, 3, 4}, {1, 2, 3, 4}, "Sigmoid"), "sigmoid.onnx");
  EXPECT_THAT(refusal("tanh.onnx", "sigmoid.onnx"),
              HasSubstr("it is another model than the compiled one: its operations are others"));
}

// What a weight is called decides nothing.
TEST_F(RefitCommandLine, NamesMayDiffer) {
  save(scaled(2, {1, 2, 3, 4}), "base.onnx");
  TestModel renamed(13);
  renamed.input("x", {"n", int64_t{4}})
      .floats("f", {}, {2})
      .floats("s", {4}, {9, 8, 7, 5})
      .floats("w", {4}, {4, 3, 2, 1});
  renamed.node("Mul", {"x", "w"}, {"i"})
      .node("Tanh", {"i"}, {"j"})
      .node("Add", {"j", "s"}, {"k"})
      .node("Mul", {"k", "f"}, {"y"})
      .output("y");
  save(renamed, "renamed.onnx");
  run("compile base.onnx -o made.gannet");
  run("refit made.gannet renamed.onnx");
  run("run renamed.onnx --seed 1 --output expected");
  EXPECT_EQ(gannet_run_line("made.gannet --seed 1 --output given").status, 0);
  EXPECT_TRUE(contents("given/y.npy") == contents("expected/y.npy"));
}

TEST_F(RefitCommandLine, FilesThatAreNoneAreRefused) {
  run("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx");
  EXPECT_EQ(error("refit mlp.onnx mlp.onnx -o out.gannet"), "error: mlp.onnx: it is no compiled model\n");
  run("compile mlp.onnx -o made.gannet");
  EXPECT_THAT(error("refit made.gannet absent.onnx -o out.gannet"), HasSubstr("absent.onnx"));
  EXPECT_THAT(error("refit made.gannet made.gannet -o out.gannet"), HasSubstr("made.gannet"));
  EXPECT_FALSE(std::filesystem::exists("out.gannet"));
  std::string damaged = contents("made.gannet");
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  write("made.gannet", damaged);
  EXPECT_THAT(error("refit made.gannet mlp.onnx -o out.gannet"), HasSubstr("is damaged"));
}

}  // namespace
}  // namespace gannet::test
