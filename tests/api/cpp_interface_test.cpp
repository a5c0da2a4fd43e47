// libgannet through gannet.hpp. In a program of its own: the names of that header are those of the library's
// inside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gannet.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "frontend/onnx_writer.h"
#include "tests/support/temporary_folder.h"

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The value of `call` must be a Failure of this status; what it says.
template <class Call>
std::string failure_of(gannet_status status, const Call& call) {
  try {
    call();
  } catch (const gannet::Failure& failure) {
    EXPECT_EQ(failure.status(), status);
    return failure.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

class CppInterface : public testing::Test {
 protected:
  std::string compiled(const gannet::OnnxWriter& model) {
    const std::string from = folder_.path("m.onnx"), to = folder_.path("m.gannet");
    EXPECT_TRUE(model.save(from).ok());
    EXPECT_EQ(
        std::system(
            (GANNET_PROGRAM " compile " + from + " -o " + to + " > " + folder_.path("log")).c_str()),
        0);
    return to;
  }
  // state' = state with its elements turned by one, and their sum.
  std::string turning() {
    gannet::OnnxWriter model("turning", 17, 0);
    const std::string x = model.input("state", gannet::DType::kF32, {"n"});
    const std::string most = model.ints({std::numeric_limits<int64_t>::max()}), one = model.ints({1}),
                      zero = model.ints({0});
    model.node("Concat", {model.node("Slice", {x, one, most}), model.node("Slice", {x, zero, one})},
               {{"axis", int64_t{0}}}, "turned");
    model.node("ReduceSum", {x}, {{"keepdims", int64_t{0}}}, "sum");
    model.output("turned", gannet::DType::kF32, {"n"});
    model.output("sum", gannet::DType::kF32, {});
    return compiled(model);
  }

  gannet::TemporaryFolder folder_;
};

TEST_F(CppInterface, RunsAndTellsWhatItTakes) {
  const gannet::Program program(turning());
  ASSERT_EQ(program.inputs().size(), 1u);
  EXPECT_STREQ(program.inputs()[0].name, "state");
  EXPECT_EQ(program.outputs()[1].rank, 0);
  EXPECT_FALSE(program.metadata("nothing"));
  gannet::Session session(program, 1);
  const std::vector<float> values = {1, 2, 3};
  const gannet::Outputs outputs = session.run({gannet::tensor(values, {3})});
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_THAT(outputs.values<float>(0), ElementsAre(2, 3, 1));
  EXPECT_THAT(outputs.extents(0), ElementsAre(3));
  EXPECT_THAT(outputs.values<float>(1), ElementsAre(6));
  EXPECT_TRUE(outputs.extents(1).empty());
  EXPECT_THROW(static_cast<void>(outputs.values<double>(0)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(outputs[2]), std::out_of_range);
}

TEST_F(CppInterface, AResultMayBeTheNextInput) {
  gannet::Session session(gannet::Program(turning()), 1);  // which keeps the program
  const std::vector<float> values = {1, 2, 3, 4};
  gannet::Outputs outputs = session.run({gannet::tensor(values, {4})});
  for (int step = 0; step < 5; ++step) outputs = session.run({outputs[0]});
  EXPECT_THAT(outputs.values<float>(0), ElementsAre(3, 4, 1, 2));
}

TEST_F(CppInterface, OutputsMayBeFilledAgain) {
  gannet::Session session(gannet::Program(turning()), 1);
  std::vector<gannet_tensor> outputs(2);
  for (const size_t count : {3, 50, 7, 50}) {
    const std::vector<float> values(count, 1);
    const std::vector<gannet_tensor> inputs = {gannet::tensor(values, {static_cast<int64_t>(count)})};
    session.run_into(inputs, outputs);
    EXPECT_EQ(outputs[0].bytes, count * sizeof(float));
    EXPECT_EQ(*static_cast<const float*>(outputs[1].data), static_cast<float>(count));
  }
  std::vector<float> own(7), values(7, 2);
  outputs[0] = gannet::tensor(own, {7});
  session.run_into(std::vector<gannet_tensor>{gannet::tensor(values, {7})}, outputs);
  EXPECT_EQ(own, values);
}

TEST_F(CppInterface, LoadsFromMemory) {
  std::ifstream file(turning(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const gannet::Program program(std::as_bytes(std::span(text)));
  gannet::Session session(program);
  session.set_seed(3);
  const std::vector<float> values = {4, 5};
  EXPECT_THAT(session.run({gannet::tensor(values, {2})}).values<float>(0), ElementsAre(5, 4));
}

TEST_F(CppInterface, ThrowsWhatTheLibraryRefuses) {
  EXPECT_THAT(failure_of(GANNET_IO_ERROR, [&] { gannet::Program(folder_.path("missing")); }),
              HasSubstr("missing"));
  const gannet::Program program(turning());
  EXPECT_THAT(failure_of(GANNET_INVALID_ARGUMENT, [&] { gannet::Session(program, -1); }),
              HasSubstr("-1 threads"));
  gannet::Session session(program, 1);
  const std::vector<double> numbers = {1, 2};
  EXPECT_THAT(failure_of(GANNET_INVALID_ARGUMENT, [&] { session.run({gannet::tensor(numbers, {2})}); }),
              HasSubstr("input 'state'"));
  EXPECT_THAT(failure_of(GANNET_INVALID_ARGUMENT, [&] { session.run({}); }), HasSubstr("0 inputs are given"));
  std::vector<gannet_tensor> outputs(2);
  std::vector<float> values(5, 1), few(4);
  outputs[0] = gannet::tensor(few, {4});
  EXPECT_THAT(
      failure_of(GANNET_BUFFER_TOO_SMALL,
                 [&] { session.run_into(std::vector<gannet_tensor>{gannet::tensor(values, {5})}, outputs); }),
      HasSubstr("takes 20 bytes, its memory has 16"));
  EXPECT_THROW(gannet::tensor(values, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5}), std::invalid_argument);
}

TEST(CppTypes, AreThoseOfC) {
  static_assert(gannet::type_of<float>() == GANNET_F32 && gannet::type_of<bool>() == GANNET_BOOL);
  static_assert(gannet::type_of<uint64_t>() == GANNET_U64 &&
                gannet::type_of<std::string>() == GANNET_UNDEFINED);
}

}  // namespace
