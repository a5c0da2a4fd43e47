// gannet compile writes what gannet-run runs, with the output of gannet run.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/tools/command_line_fixture.h"

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
