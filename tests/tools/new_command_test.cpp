#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "ir/base/file.h"
#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet {
namespace {

using test::CommandResult;

class NewCommand : public test::CommandLine {
 protected:
  // What `gannet new <words>` does.
  CommandResult run_new(std::vector<std::string> words) {
    words.insert(words.begin(), "new");
    return gannet(words);
  }
};

TEST_F(NewCommand, WritesTheModelAndSaysWhatItIs) {
  CommandResult outcome = run_new({"mlp", "--layers", "8x3,4", "--inputs", "5", "-o", "m.onnx"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("m.onnx: mlp, 9 nodes, 278 parameters, "), 0u) << outcome.out;
  EXPECT_TRUE(std::filesystem::file_size("m.onnx") > 278 * 4);
}

TEST_F(NewCommand, TheSeedDecidesTheFile) {
  for (const char* name : {"a", "b"})
    ASSERT_EQ(run_new({"resnet8", "--seed", "3", "-o", name}).status, 0);
  ASSERT_EQ(run_new({"resnet8", "--seed", "4", "-o", "c"}).status, 0);
  std::string a = read_file("a", 1 << 24).value();
  EXPECT_EQ(a, read_file("b", 1 << 24).value());
  EXPECT_NE(a, read_file("c", 1 << 24).value());
}

TEST_F(NewCommand, SamplesFitTheModel) {
  CommandResult outcome = run_new({"cnn", "--image-size", "8x12", "--channels", "1", "--classes", "5",
                                   "-o", "m.onnx", "--sample-data", "s.npz", "--samples", "20"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  NamedTensors samples = read_npz("s.npz").value();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].first, "input");
  EXPECT_EQ(type_string(samples[0].second), "f32[20, 1, 8, 12]");
  EXPECT_EQ(samples[1].first, "labels");
  std::vector<int64_t> labels = samples[1].second.ints();
  for (int64_t label = 0; label < 5; ++label) EXPECT_EQ(std::count(labels.begin(), labels.end(), label), 4);
}

TEST_F(NewCommand, EveryArchitectureHasSamples) {
  std::vector<std::vector<std::string>> commands = {
      {"bert-classifier", "--hidden", "8", "--vocab", "40"},
      {"bert-encoder", "--hidden", "8", "--vocab", "3", "--max-positions", "1"},
      {"cnn", "--image-size", "8"},
      {"resnet8"},
      {"dcgan-generator", "--features", "2"},
      {"dcgan-discriminator", "--features", "2"},
      {"mlp"},
      {"mlp", "--outputs", "1"}};
  for (std::vector<std::string>& words : commands) {
    words.insert(words.end(), {"-o", "m.onnx", "--sample-data", "s.npz", "--samples", "4"});
    CommandResult outcome = run_new(words);
    ASSERT_EQ(outcome.status, 0) << words[0] << outcome.err;
    NamedTensors samples = read_npz("s.npz").value();
    for (const auto& [name, tensor] : samples) EXPECT_EQ(tensor.extent(0), 4) << name;
  }
}

TEST_F(NewCommand, UsageErrors) {
  CommandResult nothing = run_new({});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_NE(nothing.err.find("bert-classifier"), std::string::npos);
  CommandResult no_output = run_new({"mlp"});
  EXPECT_EQ(no_output.status, 1);
  EXPECT_EQ(std::count(no_output.err.begin(), no_output.err.end(), '\n'), 1) << no_output.err;
  EXPECT_NE(no_output.err.find("-o FILE is missing"), std::string::npos);
  CommandResult unknown = run_new({"resnet19", "-o", "m.onnx"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_EQ(run_new({"mlp", "--depth", "-1", "-o", "m.onnx"}).status, 1);
  EXPECT_NE(unknown.err.find("no architecture 'resnet19', did you mean 'resnet18'?"), std::string::npos)
      << unknown.err;
  EXPECT_NE(run_new({"mlp", "--bogus", "-o", "m.onnx"}).status, 0);
}

TEST_F(NewCommand, WrongNumbersLeaveNoFile) {
  std::vector<std::pair<std::vector<std::string>, std::string>> commands = {
      {{"bert-classifier", "--hidden", "130", "--heads", "4"}, "4 heads do not divide hidden 130"},
      {{"cnn", "--image-size", "axb"}, "image size 'axb' is neither a number nor HxW"},
      {{"mlp", "--layers", "128y3"}, "layers '128y3' are neither UNITS nor UNITSxCOUNT"},
      {{"mlp", "--layers", "1x999999999999"},
       "'1x999999999999' makes more than 100000 layers or fewer than 0"},
      {{"mlp", "--units", "1,2,3", "--depth", "2"}, "depth 2 is less than the 3 layers of --units"},
      {{"mlp", "--activation", "tanhh"}, "no activation 'tanhh', did you mean 'tanh'?"},
      {{"mlp", "--samples", "0"}, "samples is 0, it must be 1 to 10000000"},
      {{"dcgan-generator", "--image-size", "129"}, "image size is 129, it must be 28 to 128"}};
  for (auto& [words, message] : commands) {
    words.insert(words.end(), {"-o", "m.onnx"});
    CommandResult outcome = run_new(words);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists("m.onnx"));
  }
}

TEST_F(NewCommand, DepthRepeatsTheLastWidth) {
  CommandResult outcome = run_new(
      {"mlp", "--inputs", "2", "--units", "3,4", "--depth", "4", "--outputs", "1", "-o", "m.onnx"});
  // 2-3-4-4-4-1 with biases.
  EXPECT_NE(outcome.out.find(" 70 parameters"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace gannet
