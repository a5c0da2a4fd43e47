// gannet compile writes what gannet-run runs, with the output of gannet run.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "frontend/onnx_writer.h"
#include "ir/named_target.h"
#include "runtime/data/npy.h"
#include "tests/support/scoped_variable.h"
#include "tests/tools/command_line_fixture.h"
#include "tests/tools/quantized_mlp.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class CompileCommandLine : public CommandLine {
 protected:
  // The same text on the screen and the same files, whether the model is compiled now or was before.
  void expect_same_run(const std::string& model, const std::string& flags) {
    SCOPED_TRACE(model + " " + flags);
    std::filesystem::remove_all("outputs");
    const CommandResult expected = gannet_line("run " + model + ".onnx --output outputs " + flags);
    ASSERT_EQ(expected.status, 0) << expected.err;
    std::filesystem::rename("outputs", "expected");
    const CommandResult given = gannet_run_line(model + ".gannet --output outputs " + flags);
    ASSERT_EQ(given.status, 0) << given.err;
    EXPECT_EQ(given.out, expected.out);
    EXPECT_EQ(gannet_line("run " + model + ".gannet " + flags).status, 0);
    for (const auto& entry : std::filesystem::directory_iterator("expected")) {
      EXPECT_EQ(contents("outputs" / entry.path().filename()), contents(entry.path())) << entry.path();
    }
    std::filesystem::remove_all("expected");
  }
};

TEST_F(CompileCommandLine, CompiledModelsGiveTheBitsOfRun) {
  const std::pair<std::string, std::string> kModels[] = {
      {"mlp", "mlp --inputs 6 --units 8 --outputs 3"},
      {"cnn", "cnn --image-size 12 --channels 1 --classes 3"},
      {"bert", "bert-classifier"},
      {"gan", "dcgan-generator"},
  };
  for (const auto& [name, arguments] : kModels) {
    ASSERT_EQ(gannet_line("new " + arguments + " -o " + name + ".onnx").status, 0) << name;
    const CommandResult compiled = gannet_line("compile " + name + ".onnx -o " + name + ".gannet");
    ASSERT_EQ(compiled.status, 0) << compiled.err;
    EXPECT_THAT(compiled.out, HasSubstr("wrote " + name + ".gannet"));
    expect_same_run(name, "--seed 3");
  }
  expect_same_run("mlp", "--shape input=5x6 --threads 2 --top 2");
  ASSERT_EQ(gannet_line("compile mlp.onnx --shape input=1x6 -o fixed.gannet").status, 0);
  const CommandResult fixed = gannet_run_line("fixed.gannet --shape input=5x6");
  EXPECT_EQ(fixed.status, 1);
  EXPECT_THAT(fixed.err, HasSubstr("input 'input' was compiled as f32[1, 6], not [5, 6]"));
}

TEST_F(CompileCommandLine, BenchTakesCompiledModels) {
  ASSERT_EQ(gannet_line("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx").status, 0);
  ASSERT_EQ(gannet_line("compile mlp.onnx -o mlp.gannet").status, 0);
  const CommandResult result = gannet_line("bench mlp.gannet --runs 5 --json figures.json");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("(5 runs"));
}

TEST_F(CompileCommandLine, ShapesFixNumbersAndNameSymbols) {
  run("new cnn --image-size 12 --channels 1 --classes 3 -o cnn.onnx");
  run("compile cnn.onnx --shape input=rowsx1x12x12 -o symbol.gannet");
  for (const char* rows : {"1", "5"})
    EXPECT_EQ(gannet_run_line(std::string("symbol.gannet --shape input=") + rows + "x1x12x12").status, 0);
  EXPECT_THAT(run("compile cnn.onnx --shape input=2x1x12x12 -o number.gannet"),
              HasSubstr("input input  f32[2, 1, 12, 12]"));
  EXPECT_EQ(gannet_run_line("number.gannet --shape input=2x1x12x12").status, 0);
  EXPECT_THAT(gannet_run_line("number.gannet --shape input=3x1x12x12").err,
              HasSubstr("was compiled as f32[2, 1, 12, 12], not [3, 1, 12, 12]"));
  EXPECT_THAT(error("compile cnn.onnx --shape input=2x2x12x12 -o other.gannet"), HasSubstr("the input has 2 channels in 1 groups"));
  EXPECT_THAT(error("compile cnn.onnx --shape absent=2 -o other.gannet"), HasSubstr("absent"));
}

TEST_F(CompileCommandLine, OneFileServesSeveralTargets) {
  const ScopedVariable whole("GANNET_ISA", std::nullopt);
  run("new cnn --image-size 12 --channels 1 --classes 3 -o cnn.onnx");
  const std::string printed =
      run("compile cnn.onnx --target x86-64-v3,native,x86-64-v4,x86-64-v3 -o both.gannet");
  EXPECT_THAT(printed, AllOf(HasSubstr("for x86-64-v3: "), HasSubstr("for x86-64-v4: ")));
  run("compile cnn.onnx --target x86-64-v3 -o v3.gannet");
  run("compile cnn.onnx --target x86-64-v4 -o v4.gannet");
  // Weights that both programs have stand once.
  EXPECT_LT(std::filesystem::file_size("both.gannet"), std::filesystem::file_size("v3.gannet") * 3 / 2);
  const auto output_of = [&](const std::string& file) {
    std::filesystem::remove_all("outputs");
    const CommandResult result = gannet_run_line(file + " --seed 3 --output outputs");
    EXPECT_EQ(result.status, 0) << result.err;
    return contents("outputs/probabilities.npy");
  };
  if (host_target().isa == Isa::kV4) {
    EXPECT_TRUE(output_of("both.gannet") == output_of("v4.gannet"));
  }
  const ScopedVariable machine("GANNET_ISA", "x86-64-v3");
  EXPECT_TRUE(output_of("both.gannet") == output_of("v3.gannet"));
  EXPECT_EQ(
      gannet_run_line("v4.gannet").err,
      "error: v4.gannet: it is for x86-64-v4, this machine is x86-64-v3: compile the model with --target\n");
}

TEST_F(CompileCommandLine, SumsOfIntegersNeedTheMachineThatHasThem) {
  const ScopedVariable whole("GANNET_ISA", std::nullopt);
  std::ofstream("codes.onnx", std::ios::binary) << quantized_mlp().proto.SerializeAsString();
  EXPECT_THAT(run("compile codes.onnx --target x86-64-v4+vnni,x86-64-v4,x86-64-v3 -o all.gannet"),
              HasSubstr("for x86-64-v4+vnni: "));
  run("compile codes.onnx --target x86-64-v4+vnni -o one.gannet");
  const ScopedVariable machine("GANNET_ISA", "x86-64-v3");
  EXPECT_EQ(gannet_run_line("all.gannet").status, 0);
  EXPECT_THAT(gannet_run_line("one.gannet").err,
              HasSubstr("it is for x86-64-v4+vnni, this machine is x86-64-v3"));
}

TEST_F(CompileCommandLine, GeneratedCodeAloneComputesTheSame) {
  const std::pair<std::string, std::string> kModels[] = {
      {"cnn", "cnn --image-size 12 --channels 1 --classes 3"},
      {"bert", "bert-classifier"},
      {"gan", "dcgan-generator"},
  };
  for (const auto& [name, arguments] : kModels) {
    SCOPED_TRACE(name);
    run("new " + arguments + " -o " + name + ".onnx");
    EXPECT_THAT(run("compile " + name + ".onnx --codegen-only -o " + name + ".gannet"), HasSubstr("; needs no oneDNN\n"));
    EXPECT_THAT(run("inspect " + name + ".gannet"), HasSubstr("; needs no oneDNN\n"));
    EXPECT_THAT(run("inspect " + name + ".gannet --json"), HasSubstr("\"needs_onednn\": false"));
    std::filesystem::remove_all("expected");
    std::filesystem::remove_all("outputs");
    run("run " + name + ".onnx --seed 3 --backend reference --output expected");
    EXPECT_EQ(gannet_run_line(name + ".gannet --seed 3 --output outputs").status, 0);
    for (const auto& entry : std::filesystem::directory_iterator("expected")) {
      const Tensor expected = read_npy(entry.path()).value(), given = read_npy("outputs" / entry.path().filename()).value();
      ASSERT_EQ(given.extents(), expected.extents()) << entry.path();
      EXPECT_THAT(given.data<float>(), testing::Pointwise(testing::FloatNear(1e-4f), expected.data<float>())) << entry.path();
    }
  }
}

// Compiled for any height and width, a picture may be too small for a window.
TEST_F(CompileCommandLine, AKernelWiderThanItsInputIsNamedWithBothNumbers) {
  for (const std::string op : {"MaxPool", "AveragePool", "Conv"}) {
    OnnxWriter model("window", 17, 0);
    std::vector<std::string> operands = {model.input("x", DType::kF32, {1, 1, "h", "w"})};
    std::vector<WrittenAttr> attrs = {{"strides", std::vector<int64_t>{2, 2}}, {"pads", std::vector<int64_t>{0, 1, 0, 1}}};
    if (op == "Conv") operands.push_back(model.weight("k", {2, 1, 7, 5}, Fill::constant(1)));
    else attrs.push_back({"kernel_shape", std::vector<int64_t>{7, 5}});
    model.node(op, operands, attrs, "y");
    model.output("y", DType::kF32, {1, op == "Conv" ? 2 : 1, "rows", "columns"});
    ASSERT_TRUE(model.save("window.onnx").ok());
    run("compile window.onnx -o window.gannet");
    EXPECT_EQ(gannet_run_line("window.gannet --shape x=1x1x7x3").status, 0);
    const std::string node = "(" + op + "): the kernel spans ";
    for (const std::string model_file : {"window.onnx", "window.gannet"}) {
      for (const char* height : {"3", "6"}) {
        EXPECT_THAT(error("run " + model_file + " --shape x=1x1x" + height + "x9"),
                    HasSubstr(node + "7 elements along spatial dimension 0, the padded input has " + height + "\n"));
      }
      EXPECT_THAT(error("run " + model_file + " --shape x=1x1x9x2"),
                  HasSubstr(node + "5 elements along spatial dimension 1, the padded input has 4, 2 of them padding\n"));
    }
  }
}

TEST_F(CompileCommandLine, UnknownTargetsAreNamed) {
  run("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx");
  EXPECT_THAT(
      error("compile mlp.onnx --target x86-64-v4,x86-64v3 -o mlp.gannet"),
      AllOf(HasSubstr("--target: there is no 'x86-64v3', did you mean x86-64-v3?"), HasSubstr("native")));
  EXPECT_THAT(error("compile mlp.onnx --target , -o mlp.gannet"), HasSubstr("--target: there is no ''"));
  EXPECT_FALSE(std::filesystem::exists("mlp.gannet"));
}

TEST_F(CompileCommandLine, WhatIsNoCompiledModelIsOneMessage) {
  std::ofstream("text.gannet") << "not a model";
  CommandResult result = gannet_run_line("text.gannet");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: text.gannet: it is no compiled model\n");
  result = gannet_run_line("absent.gannet");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("error: absent.gannet: "), HasSubstr("No such file")));
  ASSERT_EQ(gannet_line("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx").status, 0);
  ASSERT_EQ(gannet_line("compile mlp.onnx -o mlp.gannet").status, 0);
  std::filesystem::resize_file("mlp.gannet", std::filesystem::file_size("mlp.gannet") - 1);
  EXPECT_THAT(gannet_run_line("mlp.gannet").err, HasSubstr("it is cut off"));
  EXPECT_THAT(gannet_run_line("mlp.gannet --sede 1").err, HasSubstr("did you mean --seed?"));
  EXPECT_EQ(gannet_line("compile mlp.onnx -o absent/mlp.gannet").status, 1);
}

}  // namespace
}  // namespace gannet::test
