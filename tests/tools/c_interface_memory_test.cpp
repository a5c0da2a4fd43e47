// Whose memory an output is: libgannet through gannet.h, with structs and tensors that are used again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "frontend/onnx_writer.h"
#include "runtime/api/gannet.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet {
namespace {

using testing::Each;
using testing::HasSubstr;

class CInterfaceMemory : public test::CommandLine {
 protected:
  void TearDown() override {
    gannet_session_free(session_);
    gannet_program_free(program_);
    CommandLine::TearDown();
  }
  void load(const OnnxWriter& model) {
    ASSERT_TRUE(model.save("m.onnx").ok());
    ASSERT_EQ(gannet_line("compile m.onnx -o m.gannet").status, 0);
    program_ = gannet_program_load("m.gannet");
    ASSERT_NE(program_, nullptr) << gannet_error();
    session_ = gannet_session_create(program_, 1);
    ASSERT_NE(session_, nullptr) << gannet_error();
  }
  // y = 2 x, [n, 4].
  void load_doubling() {
    OnnxWriter model("doubling", 17, 0);
    model.node("Mul", {model.input("x", DType::kF32, {"n", int64_t{4}}), model.scalar(2)}, {}, "y");
    model.output("y", DType::kF32, {"n", int64_t{4}});
    load(model);
  }
  gannet_status run(const gannet_tensor& input, gannet_tensor& output) {
    return gannet_session_run(session_, &input, 1, &output, 1);
  }

  gannet_program* program_ = nullptr;
  gannet_session* session_ = nullptr;
};

gannet_tensor of_rows(std::vector<float>& values, int64_t width) {
  const auto count = static_cast<int64_t>(values.size());
  return {GANNET_F32, 2, {count / width, width}, values.data(), values.size() * sizeof(float)};
}

std::vector<float> values_of(const gannet_tensor& tensor) {
  const auto* values = static_cast<const float*>(tensor.data);
  return {values, values + tensor.bytes / sizeof(float)};
}

// As the example of gannet.h makes it, in a loop over batches of other sizes.
TEST_F(CInterfaceMemory, AnOutputMayBeGivenAgainForOtherExtents) {
  load_doubling();
  gannet_tensor output{};
  for (const size_t rows : {3, 9, 2, 9, 20, 1, 3}) {
    std::vector<float> values(rows * 4, static_cast<float>(rows));
    ASSERT_EQ(run(of_rows(values, 4), output), GANNET_OK) << gannet_error();
    EXPECT_EQ(output.extents[0], static_cast<int64_t>(rows));
    EXPECT_EQ(values_of(output), std::vector<float>(rows * 4, static_cast<float>(2 * rows)));
  }
}

TEST_F(CInterfaceMemory, TwoOutputsMayTakeTurns) {
  load_doubling();
  std::array<gannet_tensor, 2> outputs{};
  for (size_t i = 0; i < 8; ++i) {
    std::vector<float> values(4 * (1 + i * i % 5), 1.0f);
    ASSERT_EQ(run(of_rows(values, 4), outputs[i % 2]), GANNET_OK) << gannet_error();
    EXPECT_THAT(values_of(outputs[i % 2]), Each(2.0f));
    EXPECT_EQ(outputs[i % 2].bytes, values.size() * sizeof(float));
  }
}

// What the run before gave stays good while runs are refused, and may be given back after them.
TEST_F(CInterfaceMemory, ARefusedRunKeepsResults) {
  load_doubling();
  std::vector<float> values(8, 3.0f), few(2), other(12, 5.0f);
  gannet_tensor output{};
  ASSERT_EQ(run(of_rows(values, 4), output), GANNET_OK);
  gannet_tensor own{};
  own.data = few.data();
  own.bytes = 8;
  EXPECT_EQ(run(of_rows(other, 4), own), GANNET_BUFFER_TOO_SMALL);
  EXPECT_EQ(run(of_rows(values, 2), own), GANNET_INVALID_ARGUMENT);
  EXPECT_EQ(values_of(output), std::vector<float>(8, 6.0f));
  ASSERT_EQ(run(of_rows(other, 4), output), GANNET_OK) << gannet_error();
  EXPECT_EQ(values_of(output), std::vector<float>(12, 10.0f));
}

// The same of the run before the last one.
TEST_F(CInterfaceMemory, ARefusedRunKeepsEarlierResults) {
  load_doubling();
  std::vector<float> first(4096, 1.0f), second(8192, 2.0f), third(12288, 3.0f), few(2);
  gannet_tensor a{}, b{}, own{};
  own.data = few.data();
  own.bytes = 8;
  ASSERT_EQ(run(of_rows(first, 4), a), GANNET_OK);
  ASSERT_EQ(run(of_rows(second, 4), b), GANNET_OK);
  EXPECT_EQ(run(of_rows(third, 4), own), GANNET_BUFFER_TOO_SMALL);
  EXPECT_EQ(values_of(a), std::vector<float>(4096, 2.0f));
  EXPECT_EQ(values_of(b), std::vector<float>(8192, 4.0f));
  ASSERT_EQ(run(of_rows(third, 4), a), GANNET_OK) << gannet_error();
  EXPECT_EQ(values_of(a), std::vector<float>(12288, 6.0f));
}

TEST_F(CInterfaceMemory, MemoryOfTheCallersStaysTheirs) {
  load_doubling();
  std::vector<float> values(8, 3.0f), memory(20, -1.0f);
  gannet_tensor output{};
  ASSERT_EQ(run(of_rows(values, 4), output), GANNET_OK);
  output.data = memory.data();
  output.bytes = memory.size() * sizeof(float);
  ASSERT_EQ(run(of_rows(values, 4), output), GANNET_OK);
  EXPECT_EQ(output.data, memory.data());
  EXPECT_EQ(memory[7], 6.0f);
  EXPECT_EQ(memory[8], -1.0f);
  // The same memory for input and output.
  gannet_tensor input = of_rows(values, 4);
  output = input;
  ASSERT_EQ(run(input, output), GANNET_OK);
  EXPECT_THAT(values, Each(6.0f));
}

// y = x with its rows turned by one: a result that were written where the input lies would lose a row.
TEST_F(CInterfaceMemory, AResultMayBeTheNextInput) {
  OnnxWriter model("turning", 17, 0);
  const std::string x = model.input("x", DType::kF32, {"n", int64_t{4}});
  const std::string most = model.ints({std::numeric_limits<int64_t>::max()}), one = model.ints({1}),
                    zero = model.ints({0});
  const std::string after = model.node("Slice", {x, one, most, zero}),
                    first = model.node("Slice", {x, zero, one, zero});
  model.node("Concat", {after, first}, {{"axis", int64_t{0}}}, "y");
  model.output("y", DType::kF32, {"n", int64_t{4}});
  load(model);
  std::vector<float> values;
  for (int i = 0; i < 5 * 4; ++i) values.push_back(static_cast<float>(i));
  gannet_tensor state = of_rows(values, 4);
  for (int step = 1; step <= 7; ++step) {
    gannet_tensor next = step == 1 ? gannet_tensor{} : state;
    ASSERT_EQ(run(state, next), GANNET_OK) << gannet_error();
    state = next;
    const std::vector<float> now = values_of(state);
    for (size_t i = 0; i < now.size(); ++i)
      EXPECT_EQ(now[i], values[(i + static_cast<size_t>(step) * 4) % 20]) << step;
  }
}

// A cache [n, wide] gets a row each step; it is too large for the memory it had.
TEST_F(CInterfaceMemory, ACacheMayGrow) {
  constexpr int64_t kWide = 1 << 17;  // half a megabyte, which goes back to the system when it is freed
  OnnxWriter model("cache", 17, 0);
  const std::string cache = model.input("cache", DType::kF32, {"n", kWide}),
                    row = model.input("row", DType::kF32, {int64_t{1}, kWide});
  model.node("Concat", {cache, row}, {{"axis", int64_t{0}}}, "longer");
  model.output("longer", DType::kF32, {"n1", kWide});
  load(model);
  std::vector<float> first(kWide, 0.0f);
  gannet_tensor kept = of_rows(first, kWide);
  for (int step = 1; step <= 6; ++step) {
    std::vector<float> added(kWide, static_cast<float>(step));
    gannet_tensor longer = step == 1 ? gannet_tensor{} : kept;
    const std::array<gannet_tensor, 2> inputs = {kept, of_rows(added, kWide)};
    ASSERT_EQ(gannet_session_run(session_, inputs.data(), 2, &longer, 1), GANNET_OK) << gannet_error();
    kept = longer;
    ASSERT_EQ(kept.extents[0], step + 1);
    const auto* values = static_cast<const float*>(kept.data);
    for (int64_t i = 0; i <= step; ++i) {
      EXPECT_EQ(values[i * kWide], static_cast<float>(i));
      EXPECT_EQ(values[(i + 1) * kWide - 1], static_cast<float>(i));
    }
  }
}

// What a model passes through is no memory of the caller's in the end.
TEST_F(CInterfaceMemory, AnInputThatIsAResultIsCopied) {
  OnnxWriter model("same", 17, 0);
  model.node("Reshape", {model.input("x", DType::kF32, {"n", int64_t{4}}), model.ints({-1, 2})}, {}, "y");
  model.output("y", DType::kF32, {"m", int64_t{2}});
  load(model);
  std::vector<float> values(8, 3.0f);
  gannet_tensor output{};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(run(of_rows(values, 4), output), GANNET_OK) << gannet_error();
    EXPECT_NE(output.data, values.data());
    values.assign(8, 9.0f);
    EXPECT_THAT(values_of(output), Each(3.0f));
    values.assign(8, 3.0f);
  }
}

TEST_F(CInterfaceMemory, AnyByteButZeroIsTrue) {
  OnnxWriter model("mask", 17, 0);
  const std::string mask = model.input("mask", DType::kBool, {"n"});
  model.node("Where", {mask, model.scalar(1), model.scalar(-1)}, {}, "y");
  model.node("Not", {mask}, {}, "not");
  model.node("Cast", {mask}, {{"to", int64_t{1}}}, "number");
  model.node("Reshape", {mask, model.ints({1, -1})}, {}, "same");
  model.output("y", DType::kF32, {"n"});
  model.output("not", DType::kBool, {"n"});
  model.output("number", DType::kF32, {"n"});
  model.output("same", DType::kBool, {int64_t{1}, "n"});
  load(model);
  std::vector<uint8_t> mask_bytes = {0, 1, 0xFF, 0x80, 2, 0};
  const gannet_tensor input = {GANNET_BOOL, 1, {6}, mask_bytes.data(), mask_bytes.size()};
  std::array<gannet_tensor, 4> outputs{};
  ASSERT_EQ(gannet_session_run(session_, &input, 1, outputs.data(), 4), GANNET_OK) << gannet_error();
  EXPECT_EQ(values_of(outputs[0]), (std::vector<float>{-1, 1, 1, 1, 1, -1}));
  EXPECT_EQ(values_of(outputs[2]), (std::vector<float>{0, 1, 1, 1, 1, 0}));
  const auto bytes_of = [](const gannet_tensor& tensor) {
    const auto* bytes = static_cast<const uint8_t*>(tensor.data);
    return std::vector<uint8_t>(bytes, bytes + tensor.bytes);
  };
  EXPECT_EQ(bytes_of(outputs[1]), (std::vector<uint8_t>{1, 0, 0, 0, 0, 1}));
  EXPECT_EQ(bytes_of(outputs[3]), (std::vector<uint8_t>{0, 1, 1, 1, 1, 0}));
  EXPECT_EQ(mask_bytes[2], 0xFF);
}

TEST_F(CInterfaceMemory, BytesBeyondANarrowTypeAreRefused) {
  OnnxWriter model("codes", 21, 0);
  model.node("Cast", {model.input("codes", DType::kI4, {"n"})}, {{"to", int64_t{1}}}, "y");
  model.output("y", DType::kF32, {"n"});
  load(model);
  std::vector<int8_t> codes = {-8, 7, 0, -1};
  const gannet_tensor input = {GANNET_I4, 1, {4}, codes.data(), codes.size()};
  gannet_tensor output{};
  ASSERT_EQ(run(input, output), GANNET_OK) << gannet_error();
  EXPECT_EQ(values_of(output), (std::vector<float>{-8, 7, 0, -1}));
  codes[2] = 8;
  EXPECT_EQ(run(input, output), GANNET_INVALID_ARGUMENT);
  EXPECT_THAT(gannet_error(), HasSubstr("input 'codes': element 2 is the byte 8, which is no i4"));
  codes[2] = -9;
  EXPECT_EQ(run(input, output), GANNET_INVALID_ARGUMENT);
}

// What is wrong with the call is refused, whichever function it is.
TEST_F(CInterfaceMemory, NothingIsRefusedEverywhere) {
  const auto refused = [] {
    EXPECT_EQ(gannet_last_status(), GANNET_INVALID_ARGUMENT);
    gannet_program_load("missing.gannet");  // another status
    EXPECT_EQ(gannet_last_status(), GANNET_IO_ERROR);
  };
  EXPECT_EQ(gannet_program_input_count(nullptr), 0u);
  refused();
  EXPECT_EQ(gannet_program_output_count(nullptr), 0u);
  refused();
  EXPECT_EQ(gannet_program_input(nullptr, 0), nullptr);
  refused();
  EXPECT_EQ(gannet_program_output(nullptr, 0), nullptr);
  refused();
  EXPECT_EQ(gannet_program_metadata(nullptr, "key"), nullptr);
  refused();
  EXPECT_EQ(gannet_session_set_seed(nullptr, 1), GANNET_INVALID_ARGUMENT);
  refused();
  EXPECT_EQ(gannet_session_run(nullptr, nullptr, 0, nullptr, 0), GANNET_INVALID_ARGUMENT);
  refused();
  load_doubling();
  EXPECT_EQ(gannet_program_metadata(program_, nullptr), nullptr);
  refused();
}

}  // namespace
}  // namespace gannet
