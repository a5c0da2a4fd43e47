// One compiled file serves every shape: no code is generated when it runs, primitives are bounded, memory
// stays.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <sstream>

#include "runtime/core/artifact.h"
#include "runtime/core/session.h"
#include "runtime/kernels/program_library.h"
#include "tests/tools/child_process.h"
#include "tests/tools/command_line_fixture.h"
#include "tools/driver/process_memory.h"

namespace gannet::test {
namespace {

struct TextShape {
  int64_t batch = 1, length = 8;
};

// Batches of 1 to 16 texts of 8 to 256 words, the largest first and last.
std::vector<TextShape> random_shapes(size_t count) {
  std::mt19937 random(17);
  std::vector<TextShape> shapes{{16, 256}};
  while (shapes.size() + 1 < count)
    shapes.push_back({1 + static_cast<int64_t>(random() % 16), 8 + static_cast<int64_t>(random() % 249)});
  shapes.push_back({16, 256});
  return shapes;
}

class EveryShape : public CommandLine {
 protected:
  void open(const std::string& flags) {
    run("new bert-classifier " + flags + " -o bert.onnx");
    run("compile bert.onnx -o bert.gannet");
    Result<std::shared_ptr<const Program>> program = read_artifact("bert.gannet");
    ASSERT_TRUE(program.ok()) << program.error().message;
    SessionOptions options;
    options.threads = 2;
    options.primitives = *make_program_library(**program);
    Result<std::unique_ptr<Session>> session = Session::create(*program, options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    session_ = *std::move(session);
  }

  Tensor logits(const TextShape& shape) {
    const auto words = [&](int64_t most) {
      Tensor tensor = Tensor::zeros(DType::kI64, {shape.batch, shape.length});
      int64_t at = shape.batch * 31 + shape.length;
      for (int64_t& word : tensor.mutable_data<int64_t>()) word = (at = at * 48271 % 2147483647) % most;
      return tensor;
    };
    Tensor mask = Tensor::zeros(DType::kI64, {shape.batch, shape.length});
    std::ranges::fill(mask.mutable_data<int64_t>(), 1);
    const Result<std::vector<Datum>> outputs = session_->run(std::vector<Datum>{words(60), mask, words(2)});
    EXPECT_TRUE(outputs.ok()) << outputs.error().message;
    return outputs.ok() ? (*outputs)[0].tensor() : Tensor();
  }

  std::unique_ptr<Session> session_;
};

TEST_F(EveryShape, GivesTheSameBitsWhateverRanBefore) {
  open("--layers 1 --hidden 32 --vocab 60");
  std::vector<Tensor> first;
  const std::vector<TextShape> shapes = random_shapes(20);
  for (const TextShape& shape : shapes) first.push_back(logits(shape));
  for (size_t i = shapes.size(); i-- > 0;) {
    EXPECT_TRUE(logits(shapes[i]).identical(first[i])) << shapes[i].batch << "x" << shapes[i].length;
  }
}

// oneDNN tells of each primitive that it makes; the process is one of its own, since it reads the variable
// once.
TEST_F(EveryShape, TakesFewPrimitives) {
  if (!__builtin_cpu_supports("avx512f") || ::getenv("ONEDNN_MAX_CPU_ISA"))
    GTEST_SKIP() << "pieces of rows need the library's kernels for AVX-512";
  run("new bert-classifier --layers 2 --hidden 32 -o bert.onnx --vocab 200 --sample-data texts.tsv "
      "--sample-vocab vocab.txt");
  run("compile bert.onnx -o bert.gannet");
  std::mt19937 random(5);
  std::string texts = "label\ttext\n";
  for (int i = 0; i < 300; ++i) {
    texts += i % 2 == 0 ? "positive\t" : "negative\t";
    for (uint32_t words = 6 + random() % 240; words > 0; --words) texts += "good ";
    texts += "\n";
  }
  write("lengths.tsv", texts);
  ::setenv("ONEDNN_VERBOSE", "2", 1);
  ChildProcess child(
      {"evaluate", "bert.gannet", "--data", "lengths.tsv", "--vocab", "vocab.txt", "--batch-size", "3"},
      "said.txt");
  ::unsetenv("ONEDNN_VERBOSE");
  ASSERT_EQ(child.wait(), 0) << contents("said.txt");
  const std::string said = contents("said.txt");
  int made = 0;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);)
    made += line.find("create:cache_miss") != std::string::npos;
  EXPECT_GT(made, 0) << said;
  EXPECT_LE(made, 64);
  std::printf("%d primitives\n", made);
}

class NightlyEveryShape : public EveryShape {};

TEST_F(NightlyEveryShape, MemoryIsFlatOverFiveHundred) {
  open("--vocab 60");
  const std::vector<TextShape> shapes = random_shapes(500);
  int64_t early = 0, late = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    logits(shapes[i]);
    int64_t& most = i < 50 ? early : late;
    most = std::max(most, present_memory());
  }
  std::printf("%.1f MiB resident within 50 shapes, %.1f later\n", static_cast<double>(early) / (1 << 20),
              static_cast<double>(late) / (1 << 20));
  EXPECT_LE(static_cast<double>(late), 1.05 * static_cast<double>(early));
}

}  // namespace
}  // namespace gannet::test
