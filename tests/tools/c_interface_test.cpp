// libgannet through gannet.h, on artifacts that `gannet compile` writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "frontend/onnx_writer.h"
#include "runtime/api/gannet.h"
#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet {
namespace {

using testing::HasSubstr;

class CInterface : public test::CommandLine {
 protected:
  // A compiled model of any batch: [batch, 4] -> [batch, 3].
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line("new mlp --layers 8 --inputs 4 --outputs 3 --seed 5 -o m.onnx").status, 0);
    ASSERT_EQ(gannet_line("compile m.onnx -o m.gannet").status, 0);
    program_ = gannet_program_load("m.gannet");
    ASSERT_NE(program_, nullptr) << gannet_error();
    session_ = gannet_session_create(program_, 1);
    ASSERT_NE(session_, nullptr) << gannet_error();
  }
  void TearDown() override {
    gannet_session_free(session_);
    gannet_program_free(program_);
    CommandLine::TearDown();
  }

  static gannet_tensor batch(std::vector<float>& values) {
    return {GANNET_F32, 2, {static_cast<int64_t>(values.size() / 4), 4}, values.data(), values.size() * sizeof(float)};
  }
  static std::vector<float> ramp(size_t rows) {
    std::vector<float> values(rows * 4);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 7 - 1;
    return values;
  }
  // The result in memory of the session's.
  std::vector<float> run(std::vector<float> values) {
    const gannet_tensor input = batch(values);
    gannet_tensor output{};
    EXPECT_EQ(gannet_session_run(session_, &input, 1, &output, 1), GANNET_OK) << gannet_error();
    const auto* result = static_cast<const float*>(output.data);
    return {result, result + output.bytes / sizeof(float)};
  }

  gannet_program* program_ = nullptr;
  gannet_session* session_ = nullptr;
};

TEST_F(CInterface, TellsWhatTheModelTakesAndGives) {
  ASSERT_EQ(gannet_program_input_count(program_), 1u);
  ASSERT_EQ(gannet_program_output_count(program_), 1u);
  const gannet_value* input = gannet_program_input(program_, 0);
  EXPECT_STREQ(input->name, "input");
  EXPECT_EQ(input->type, GANNET_F32);
  ASSERT_EQ(input->rank, 2);
  EXPECT_EQ(input->extents[0], -1);
  EXPECT_STREQ(input->dimensions[0], "batch");
  EXPECT_EQ(input->extents[1], 4);
  EXPECT_STREQ(input->dimensions[1], "4");
  EXPECT_EQ(gannet_program_output(program_, 0)->extents[1], 3);
  EXPECT_EQ(gannet_program_input(program_, 1), nullptr);
  EXPECT_EQ(gannet_program_metadata(program_, "nothing of the kind"), nullptr);
}

TEST_F(CInterface, GivesWhatGannetRunGives) {
  const std::vector<float> values = ramp(5);
  ASSERT_TRUE(write_npy("x.npy", Tensor::from<float>({5, 4}, std::span<const float>(values))).ok());
  ASSERT_EQ(gannet_line("run m.onnx --threads 1 --input input=x.npy -o out").status, 0);
  const std::string name = gannet_program_output(program_, 0)->name;
  const Tensor expected = read_npy("out/" + name + ".npy").value();
  const std::vector<float> result = run(values);
  ASSERT_EQ(result.size(), 15u);
  EXPECT_EQ(std::memcmp(result.data(), expected.raw(), 15 * sizeof(float)), 0);
}

TEST_F(CInterface, WritesToMemoryOfTheCallers) {
  std::vector<float> values = ramp(2), memory(7, -5.0f);
  const std::vector<float> expected = run(values);
  const gannet_tensor input = batch(values);
  gannet_tensor output{};
  output.data = memory.data();
  output.bytes = memory.size() * sizeof(float);
  ASSERT_EQ(gannet_session_run(session_, &input, 1, &output, 1), GANNET_OK) << gannet_error();
  EXPECT_EQ(output.data, memory.data());
  EXPECT_EQ(output.bytes, 6 * sizeof(float));
  EXPECT_EQ(output.rank, 2);
  EXPECT_EQ(output.extents[0], 2);
  EXPECT_EQ(std::vector<float>(memory.begin(), memory.begin() + 6), expected);
  EXPECT_EQ(memory[6], -5.0f);
}

TEST_F(CInterface, SaysHowMuchMemoryAnOutputNeeds) {
  std::vector<float> values = ramp(2), memory(5, -5.0f);
  const gannet_tensor input = batch(values);
  gannet_tensor output{};
  output.data = memory.data();
  output.bytes = memory.size() * sizeof(float);
  EXPECT_EQ(gannet_session_run(session_, &input, 1, &output, 1), GANNET_BUFFER_TOO_SMALL);
  EXPECT_THAT(gannet_error(), HasSubstr("takes 24 bytes, its memory has 20"));
  EXPECT_EQ(gannet_last_status(), GANNET_BUFFER_TOO_SMALL);
  EXPECT_EQ(output.bytes, 24u);
  EXPECT_EQ(output.extents[0], 2);
  EXPECT_EQ(memory, std::vector<float>(5, -5.0f));
  EXPECT_EQ(run(values).size(), 6u);
}

TEST_F(CInterface, RefusesWhatDoesNotFit) {
  std::vector<float> values = ramp(2);
  gannet_tensor output{};
  const auto refused = [&](gannet_tensor input, size_t inputs = 1) {
    EXPECT_EQ(gannet_session_run(session_, &input, inputs, &output, 1), GANNET_INVALID_ARGUMENT);
    return std::string(gannet_error());
  };
  gannet_tensor input = batch(values);
  input.extents[1] = 5;
  EXPECT_THAT(refused(input), HasSubstr("input 'input' has 32 bytes, [2, 5] are 40"));
  input.bytes = 40;
  EXPECT_THAT(refused(input), HasSubstr("input 'input'"));
  input = batch(values);
  input.type = GANNET_I32;
  EXPECT_THAT(refused(input), HasSubstr("input 'input'"));
  input = batch(values);
  input.extents[0] = -2;
  EXPECT_THAT(refused(input), HasSubstr("has extents [-2, 4]"));
  input = batch(values);
  input.data = nullptr;
  EXPECT_THAT(refused(input), HasSubstr("has no data"));
  input.data = reinterpret_cast<char*>(values.data()) + 1;
  EXPECT_THAT(refused(input), HasSubstr("not aligned"));
  input = batch(values);
  input.rank = GANNET_MAX_RANK + 1;
  EXPECT_THAT(refused(input), HasSubstr("has rank 13"));
  EXPECT_THAT(refused(gannet_tensor{}), HasSubstr("input 'input'"));
  EXPECT_THAT(refused(batch(values), 0), HasSubstr("0 inputs are given, the model takes 1"));
  EXPECT_EQ(run(values).size(), 6u);
}

TEST_F(CInterface, LoadsFromMemoryOfAnyAlignment) {
  const std::string artifact = contents("m.gannet");
  const std::vector<float> expected = run(ramp(3));
  for (const size_t shift : {0, 3}) {
    std::string memory(artifact.size() + 128, '\0');
    const size_t start = (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64 + shift;
    std::memcpy(memory.data() + start, artifact.data(), artifact.size());
    gannet_program* program = gannet_program_load_memory(memory.data() + start, artifact.size());
    ASSERT_NE(program, nullptr) << gannet_error();
    gannet_session_free(session_);
    session_ = gannet_session_create(program, 1);
    gannet_program_free(program);  // the session keeps what it needs
    EXPECT_EQ(run(ramp(3)), expected);
    gannet_session_free(session_);
    session_ = gannet_session_create(program_, 1);
  }
}

TEST_F(CInterface, RefusesFilesThatAreNoArtifact) {
  EXPECT_EQ(gannet_program_load("m.onnx"), nullptr);
  EXPECT_THAT(gannet_error(), HasSubstr("m.onnx: it is no compiled model"));
  EXPECT_EQ(gannet_program_load("missing.gannet"), nullptr);
  EXPECT_EQ(gannet_last_status(), GANNET_IO_ERROR);
  EXPECT_EQ(gannet_program_load(nullptr), nullptr);
  const std::string artifact = contents("m.gannet");
  EXPECT_EQ(gannet_program_load_memory(artifact.data(), artifact.size() / 2), nullptr);
  EXPECT_THAT(gannet_error(), HasSubstr("cut off"));
  EXPECT_EQ(gannet_session_create(program_, -1), nullptr);
  EXPECT_EQ(gannet_session_create(nullptr, 0), nullptr);
}

TEST_F(CInterface, SessionsOfOneProgramRunAtTheSameTime) {
  const std::vector<float> expected = run(ramp(8));
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (int& count : equal) {
    threads.emplace_back([&] {
      gannet_session* session = gannet_session_create(program_, 1);
      std::vector<float> values = ramp(8), memory(24);
      for (int i = 0; i < 50; ++i) {
        const gannet_tensor input = batch(values);
        gannet_tensor output{};
        output.data = memory.data();
        output.bytes = memory.size() * sizeof(float);
        if (gannet_session_run(session, &input, 1, &output, 1) == GANNET_OK && memory == expected) ++count;
      }
      gannet_session_free(session);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 50));
}

// The threads of one session wait for each other.
TEST_F(CInterface, OneSessionServesSeveralThreads) {
  const std::vector<float> three = run(ramp(3)), eight = run(ramp(8));
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> values = ramp(t % 2 ? 3 : 8);
      const std::vector<float>& expected = t % 2 ? three : eight;
      std::vector<float> memory(expected.size());
      for (int i = 0; i < 50; ++i) {
        const gannet_tensor input = batch(values);
        gannet_tensor output{};
        output.data = memory.data();
        output.bytes = memory.size() * sizeof(float);
        if (gannet_session_run(session_, &input, 1, &output, 1) == GANNET_OK && memory == expected) ++equal[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 50));
}

// How many there are is known once the model has run.
TEST_F(CInterface, ExtentsThatDependOnDataComeWithTheResult) {
  OnnxWriter writer("g", 17, 0);
  const std::string x = writer.input("x", DType::kF32, {"n"});
  writer.node("NonZero", {x}, {}, "y");
  writer.output("y", DType::kI64, {1, "k"});
  ASSERT_TRUE(writer.save("n.onnx").ok());
  ASSERT_EQ(gannet_line("compile n.onnx -o n.gannet").status, 0);
  gannet_program* program = gannet_program_load("n.gannet");
  ASSERT_NE(program, nullptr) << gannet_error();
  gannet_session* session = gannet_session_create(program, 1);
  std::vector<float> values = {0, 2, 0, 3, 4};
  const gannet_tensor input = {GANNET_F32, 1, {5}, values.data(), 20};
  std::vector<int64_t> memory(3, -1);
  gannet_tensor output{};
  output.data = memory.data();
  output.bytes = 24;
  EXPECT_EQ(gannet_session_run(session, &input, 1, &output, 1), GANNET_OK) << gannet_error();
  EXPECT_EQ(output.extents[1], 3);
  EXPECT_EQ(memory, (std::vector<int64_t>{1, 3, 4}));
  output.bytes = 16;
  EXPECT_EQ(gannet_session_run(session, &input, 1, &output, 1), GANNET_BUFFER_TOO_SMALL);
  EXPECT_EQ(output.bytes, 24u);
  gannet_session_free(session);
  gannet_program_free(program);
}

}  // namespace
}  // namespace gannet
