// --dtype bf16 at the command line.
#include <gmock/gmock.h>

#include <cstdlib>

#include "ir/target.h"
#include "runtime/data/npy.h"
#include "tests/support/scoped_variable.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Bf16CommandLine : public CommandLine {
 protected:
  // The one output of running the model with `flags`.
  Tensor output(const std::string& flags) {
    std::filesystem::remove_all("outputs");
    const CommandResult result = gannet_line("run " + flags + " --seed 3 --output outputs");
    EXPECT_EQ(result.status, 0) << result.err;
    note_ = result.err;
    return read_npy(std::filesystem::directory_iterator("outputs")->path()).value();
  }

  static double largest_difference(const Tensor& a, const Tensor& b) {
    EXPECT_EQ(a.extents(), b.extents());
    double largest = 0;
    for (int64_t i = 0; i < a.elements(); ++i)
      largest = std::max(largest, std::abs(a.double_at(i) - b.double_at(i)));
    return largest;
  }

  std::string note_;
};

TEST_F(Bf16CommandLine, RunsWhatTheReferenceEvaluatesAndSaysWhatTheMachineLacks) {
  run("new resnet8 --image-size 16 --classes 5 -o model.onnx");
  const Tensor meant = output("model.onnx --dtype bf16 --backend reference");
  const Tensor rounded = output("model.onnx --dtype bf16");
  if (host_target().bf16_products) {
    EXPECT_EQ(note_, "");
  } else {
    EXPECT_THAT(
        note_,
        AllOf(StartsWith("note: x86-64-v"),
              HasSubstr(" has no products of bf16: operands are rounded to bf16 and multiplied in f32, "
                        "which is slower than --dtype f32\n")));
  }
  const Tensor plain = output("model.onnx");
  EXPECT_EQ(note_, "");
  EXPECT_LT(largest_difference(rounded, meant), 2e-3);
  EXPECT_GT(largest_difference(rounded, plain), 1e-6);
  EXPECT_LT(largest_difference(rounded, plain), 2e-2);
  EXPECT_THAT(gannet_line("run model.onnx --dtype f16").err, HasSubstr("--dtype"));
}

TEST_F(Bf16CommandLine, AttentionIsOfBf16WhereItHasNoGradients) {
  run("new bert-classifier --layers 2 --hidden 64 --heads 4 -o model.onnx");
  const Tensor meant = output("model.onnx --dtype bf16 --backend reference");
  EXPECT_LT(largest_difference(output("model.onnx --dtype bf16"), meant), 2e-3);
  EXPECT_LT(largest_difference(output("model.onnx --dtype bf16 --codegen-only"), meant), 2e-3);
  EXPECT_THAT(gannet_line("explain model.onnx --dtype bf16").out, Not(HasSubstr("a right side of its own")));
}

TEST_F(Bf16CommandLine, FilesNeedTheMachineThatTheyUse) {
  const ScopedVariable whole("GANNET_ISA", std::nullopt);
  run("new resnet8 --image-size 16 --classes 5 -o model.onnx");
  const CommandResult both =
      gannet_line("compile model.onnx --dtype bf16 --target x86-64-v4+bf16,x86-64-v3 -o both.gannet");
  EXPECT_THAT(both.out, AllOf(HasSubstr("for x86-64-v4+bf16: "), HasSubstr("for x86-64-v3: ")));
  EXPECT_THAT(both.err, AllOf(HasSubstr("note: x86-64-v3 has no products of bf16"), Not(HasSubstr("v4"))));
  run("compile model.onnx --dtype bf16 --target x86-64-v4+bf16 -o one.gannet");
  // A program without products of bf16 asks for less.
  EXPECT_THAT(run("compile model.onnx --target x86-64-v4+bf16 -o plain.gannet"),
              HasSubstr("for x86-64-v4: "));
  EXPECT_LT(std::filesystem::file_size("one.gannet"), std::filesystem::file_size("plain.gannet") * 4 / 5);
  CommandResult refused, taken;
  {
    const ScopedVariable machine("GANNET_ISA", "x86-64-v3");
    refused = gannet_run_line("one.gannet"), taken = gannet_run_line("both.gannet");
  }
  EXPECT_THAT(refused.err, HasSubstr("it is for x86-64-v4+bf16, this machine is x86-64-v3"));
  EXPECT_EQ(taken.status, 0) << taken.err;
  for (const char* command : {"run", "bench", "evaluate --data x.npz"})
    EXPECT_THAT(gannet_line(std::string(command) + " both.gannet --dtype bf16").err, HasSubstr("both.gannet: is compiled already; --dtype bf16 is for gannet compile"));
}

TEST_F(Bf16CommandLine, ExplainSaysWhatStaysF32) {
  run("new mobilenet-v2 --image-size 32 --classes 4 -o model.onnx");
  EXPECT_THAT(
      gannet_line("explain model.onnx --dtype bf16").out,
      AllOf(HasSubstr("\nin bf16: "), HasSubstr("    stays f32: depthwise convolutions are slower in bf16\n"),
            HasSubstr("    stays f32: it has fewer than 16 channels a group\n")));
  EXPECT_THAT(gannet_line("explain model.onnx").out, Not(HasSubstr("bf16")));
}

TEST_F(Bf16CommandLine, TunesInBf16WithWeightsInF32) {
  run("new resnet8 --image-size 8 --classes 3 --sample-data task.npz --samples 48 -o model.onnx");
  const CommandResult tuned =
      gannet_line("tune model.onnx --train task.npz --epochs 1 --dtype bf16 -o tuned.onnx");
  EXPECT_EQ(tuned.status, 0) << tuned.err;
  EXPECT_LT(largest_difference(output("tuned.onnx"), output("tuned.onnx --dtype bf16")), 5e-2);
  EXPECT_EQ(gannet_line("bench tuned.onnx --train --dtype bf16 --runs 2").status, 0);
  // A run does not go on in other numbers.
  run("tune model.onnx --train task.npz --epochs 1 --checkpoint kept -o tuned.onnx");
  EXPECT_THAT(gannet_line("tune model.onnx --train task.npz --epochs 2 --checkpoint kept --resume --dtype bf16 -o tuned.onnx").err, HasSubstr("--dtype"));
}

}  // namespace
}  // namespace gannet::test
