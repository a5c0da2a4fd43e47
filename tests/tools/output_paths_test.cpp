// Where results may be written, and names that are none.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "tests/frontend/import_test_model.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

class OutputPaths : public CommandLine {
 protected:
  // Puts the weights of m.onnx into a file beside it.
  static void move_weights(const std::string& data) {
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(contents("m.onnx")));
    std::string bytes;
    for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
      ASSERT_TRUE(tensor.has_raw_data());
      const std::pair<std::string, std::string> entries[] = {
          {"location", data}, {"offset", std::to_string(bytes.size())}, {"length", std::to_string(tensor.raw_data().size())}};
      bytes += tensor.raw_data();
      tensor.clear_raw_data();
      tensor.set_data_location(onnx::TensorProto::EXTERNAL);
      for (const auto& [key, value] : entries) {
        onnx::StringStringEntryProto* entry = tensor.add_external_data();
        entry->set_key(key);
        entry->set_value(value);
      }
    }
    write(data, bytes);
    write("m.onnx", model.SerializeAsString());
  }
};

// Opening a pipe that nobody reads would wait for ever.
TEST_F(OutputPaths, PipesAndSocketsAreNoFiles) {
  run("new mlp --inputs 4 --outputs 2 -o m.onnx");
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  EXPECT_EQ(error("compile m.onnx -o pipe"), "error: pipe: is a pipe, not a regular file\n");
  for (const std::string line : {"explain m.onnx --html pipe", "bench m.onnx --json pipe", "bench m.onnx --profile pipe", "check . --json pipe"})
    EXPECT_EQ(error(line), "error: pipe: is a pipe, not a regular file\n") << line;
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::string("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(error("compile m.onnx -o socket"), "error: socket: is a socket, not a regular file\n");
  ::close(descriptor);
  EXPECT_THAT(error("compile m.onnx -o ."), HasSubstr("is a folder, not a regular file"));
  EXPECT_THAT(run("compile m.onnx -o /dev/null"), HasSubstr("wrote /dev/null"));
}

TEST_F(OutputPaths, FilesOfTheModelsTensorsStay) {
  run("new mlp --inputs 4 --outputs 2 --sample-data d.npz --samples 16 -o m.onnx");
  run("compile m.onnx -o m.gannet");
  run("tune m.onnx --train d.npz --epochs 1 --checkpoint c -o t.onnx");
  const std::string weights = std::filesystem::directory_iterator("c")->path().string();
  move_weights("w.onnx.data");
  const std::string before = contents("w.onnx.data");
  for (const std::string line :
       {"compile m.onnx -o w.onnx.data", "tune m.onnx --train d.npz -o w.onnx.data", "tune m.onnx --train d.npz -o w.onnx",
        "refit m.gannet m.onnx -o w.onnx.data", "explain m.onnx --json w.onnx.data",
        "compile m.onnx --train --new-head 3 --write-model w.onnx -o c.gannet"}) {
    EXPECT_EQ(error(line), "error: w.onnx.data: is read as well, it would be written over\n") << line;
  }
  EXPECT_EQ(error("bench m.onnx --json m.onnx"), "error: m.onnx: is read as well, it would be written over\n");
  EXPECT_EQ(error("apply-weights m.onnx " + weights + " -o w.onnx"), "error: w.onnx.data: is read as well, it would be written over\n");
  EXPECT_EQ(contents("w.onnx.data"), before);
  run("tune m.onnx --train d.npz --epochs 1 -o m.onnx");  // which is asked for
  run("compile m.onnx -o c.gannet");
}

// They would count as not given.
TEST_F(OutputPaths, EmptyNamesAreErrors) {
  run("new mlp --inputs 4 --outputs 2 --sample-data d.npz --samples 16 -o m.onnx");
  const std::string tune = "tune m.onnx --train d.npz -o t.onnx ";
  for (const std::string line : {"run m.onnx -o \"\"", "run m.onnx --top 1 --labels \"\"", "compile m.onnx -o \"\"", "new mlp -o \"\"",
                                 "bench m.onnx --runs 1 --json \"\"", "explain m.onnx --html \"\""}) {
    EXPECT_THAT(error(line), HasSubstr(": the name of a file or folder is empty\n")) << line;
  }
  for (const std::string flag : {"--checkpoint", "--log", "--eval"})
    EXPECT_EQ(error(tune + flag + " \"\""), "error: " + flag + ": the name of a file or folder is empty\n");
  const CommandResult deployed = gannet_run_line("m.gannet -o \"\"");
  EXPECT_EQ(deployed.status, 1);
  EXPECT_EQ(deployed.err, "error: --output: the name of a file or folder is empty\n");
  EXPECT_FALSE(std::filesystem::exists("t.onnx"));
}

}  // namespace
}  // namespace gannet::test
