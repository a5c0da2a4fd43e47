// A Program that went through a file gives the same bits, and a file that is not as it was written is refused.
#include "runtime/core/artifact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <thread>

#include "backend/backend.h"
#include "ir/named_target.h"
#include "passes/pass.h"
#include "runtime/core/crc32c.h"
#include "tests/backend/program_fixture.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tests_folder.h"

namespace gannet {
namespace {

using test::floats;
using testing::HasSubstr;

constexpr std::string_view kMixed = R"(graph "mixed"(%x: f32[n, 4]) {
  %w: f32[4, 8] = Constant() {value = f32[4, 8] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 9}}
  %y = MatMul(%x, %w)
  %s = Softmax(%y) {axis = -1}
  %z = NonZero(%x)
  %t = Exp(%s)
  return %t as "t", %z as "z"
})";

constexpr std::string_view kSmall = R"(graph "small"(%x: f32[n, 4]) {
  %w: f32[4, 4] = Constant() {value = f32[4, 4] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}}
  %y = MatMul(%x, %w)
  %z = Abs(%x)
  return %y, %z
})";

std::shared_ptr<const Program> compiled(std::string_view text) {
  const std::unique_ptr<Graph> graph = test::graph_of(text);
  PassContext context(CompileOptions().target);
  EXPECT_TRUE(run_passes(*graph, find_pipeline("inference"), context).ok());
  CompileOptions options;
  options.cache = false;
  Result<CompiledProgram> made = lower_to_program(*graph, options);
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? made->program : nullptr;
}

Result<std::unique_ptr<Session>> session_of(std::shared_ptr<const Program> program) {
  SessionOptions options;
  options.threads = 1;
  options.primitives = make_onednn_library();
  return Session::create(std::move(program), options);
}

template <class Call>
int64_t count(const Program& program) {
  return std::ranges::count_if(program.steps, [](const Step& step) { return std::holds_alternative<Call>(step.call); });
}

class CompiledFile : public testing::Test {
 protected:
  std::shared_ptr<const Program> round_trip(const std::shared_ptr<const Program>& program) {
    const Status written = write_artifact(path_, program);
    EXPECT_TRUE(written.ok()) << written.error().message;
    Result<std::shared_ptr<const Program>> read = read_artifact(path_);
    EXPECT_TRUE(read.ok()) << read.error().message;
    if (!read.ok()) return nullptr;
    const std::string bytes = folder_.read("model.gannet");
    EXPECT_TRUE(write_artifact(folder_.path("again.gannet"), *read).ok());
    EXPECT_EQ(bytes, folder_.read("again.gannet"));
    return *read;
  }

  void expect_same_bits(std::string_view text, const std::vector<Datum>& inputs) {
    SCOPED_TRACE(std::string(text));
    const std::shared_ptr<const Program> program = compiled(text);
    ASSERT_TRUE(program);
    const std::shared_ptr<const Program> read = round_trip(program);
    ASSERT_TRUE(read);
    const std::unique_ptr<Session> first = *session_of(program), second = *session_of(read);
    for (int round = 0; round < 2; ++round) {
      const Result<std::vector<Datum>> expected = first->run(inputs), given = second->run(inputs);
      ASSERT_TRUE(expected.ok()) << expected.error().message;
      ASSERT_TRUE(given.ok()) << given.error().message;
      for (size_t i = 0; i < given->size(); ++i) EXPECT_TRUE((*given)[i].tensor().identical((*expected)[i].tensor()));
    }
  }

  std::string error_of(std::string_view bytes) {
    const Result<std::shared_ptr<const Program>> read = read_artifact(folder_.write("damaged.gannet", bytes));
    return read.ok() ? "" : read.error().message;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path("model.gannet");
};

TEST_F(CompiledFile, KernelsPrimitivesAndEvalStepsKeepTheirBits) {
  const std::shared_ptr<const Program> program = compiled(kMixed);
  EXPECT_GT(count<KernelCall>(*program), 0);
  EXPECT_GT(count<PrimitiveCall>(*program), 0);
  EXPECT_GT(count<EvalCall>(*program), 0);
  expect_same_bits(kMixed, {floats({3, 4})});
}

constexpr std::string_view kQuantized = R"(graph "quantized"(%x: f32[n, 4]) {
  %s: f32[] = Constant() {value = f32[] {0.25}}
  %z: u8[] = Constant() {value = u8[] {3}}
  %w: i8[4, 3] = Constant() {value = i8[4, 3] {1, 2, 3, 4, -5, 6, 7, -8, 9, -10, 11, 12}}
  %ws: f32[3] = Constant() {value = f32[3] {0.5, 0.25, 0.125}}
  %b: f32[3] = Constant() {value = f32[3] {1, -2, 3}}
  %q = QuantizeLinear(%x, %s, %z)
  %d = DequantizeLinear(%q, %s, %z)
  %e = DequantizeLinear(%w, %ws) {axis = 1}
  %m = MatMul(%d, %e)
  %a = Add(%m, %b)
  %y = QuantizeLinear(%a, %s, %z)
  %p, %ps, %pz = DynamicQuantizeLinear(%x)
  %i = MatMulInteger(%p, %w, %pz)
  return %y as "y", %i as "i"
})";

TEST_F(CompiledFile, IntegerSumsKeepTheirBits) { expect_same_bits(kQuantized, {floats({3, 4})}); }

TEST_F(CompiledFile, WeightsAreUsedWhereTheyStand) {
  const std::shared_ptr<const Program> read = round_trip(compiled(kMixed));
  ASSERT_TRUE(read);
  bool large = false;
  for (const Tensor& constant : read->constants) {
    if (constant.bytes() < 64) continue;
    large = true;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(constant.raw()) % 64, 0u);
  }
  EXPECT_TRUE(large);
}

TEST_F(CompiledFile, BranchesKeepTheirBits) {
  constexpr std::string_view kBranches = R"(graph "g"(%c: bool[], %x: f32[n]) {
  %y = If(%c, %x) {captures = 1, then_branch = graph "t"(%a: f32[n]) { return %a }, else_branch = graph "e"(%b: f32[n]) {
    %m = Neg(%b)
    %e = Exp(%m)
    return %e
  }}
  return %y
})";
  for (const bool chosen : {true, false}) expect_same_bits(kBranches, {Tensor::scalar<bool>(chosen), floats({3})});
}

TEST_F(CompiledFile, LoopsKeepTheirBits) {
  expect_same_bits(R"(graph "g"(%x: f32[m], %trips: i64[], %go: bool[]) {
  %last, %all = Loop(%trips, %go, %x, %x) {body = graph "body"(%i: i64[], %again: bool[], %carried: f32[m], %captured: f32[m]) {
    %two: f32[] = Constant() {value = f32[] {2}}
    %twice = Mul(%carried, %two)
    %sum = Add(%twice, %captured)
    return %again, %sum, %sum
  }, captures = 1}
  return %last, %all
})", {floats({3}), Tensor::scalar<int64_t>(4), Tensor::scalar<bool>(true)});
}

TEST_F(CompiledFile, StatesKeepTheirInitialValuesAndWhatTheyBecome) {
  Program program;
  program.name = "states \"\n";
  program.sizes = {Dim(20), Dim(80), Dim::symbol("a b")};
  program.constants = {Tensor::zeros(DType::kF32, {20}), Tensor::from<std::string>({2}, {"x", "yz"})};
  program.states = {{"s", 0, kNone, 0}};
  ProgramValue value;
  value.name = "s";
  value.type = Type::tensor(DType::kF32, Shape{20});
  value.buffer = 0;
  value.extents = {0};
  program.values = {value};
  Buffer buffer;
  buffer.kind = BufferKind::kState;
  program.buffers = {buffer};
  program.outputs = {{"y", value.type, 0}};
  const std::shared_ptr<const Program> read = round_trip(std::make_shared<Program>(program));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, program.name);
  EXPECT_EQ(read->sizes, program.sizes);
  EXPECT_TRUE(read->constants[1].identical(program.constants[1]));
  const std::unique_ptr<Session> session = *session_of(read);
  std::vector<float> ones(20, 1);
  ASSERT_TRUE(session->set_state(0, Tensor::from<float>({20}, std::span<const float>(ones))).ok());
  const Result<std::vector<Datum>> outputs = session->run({});
  ASSERT_TRUE(outputs.ok()) << outputs.error().message;
  EXPECT_EQ((*outputs)[0].tensor().double_at(19), 1);
}

TEST_F(CompiledFile, OfSeveralProgramsTheFirstThatTheMachineCanIsRead) {
  const std::shared_ptr<const Program> program = compiled(kSmall);
  const auto named = [&](const char* name) {
    auto copy = std::make_shared<Program>(*program);
    copy->name = name;
    return copy;
  };
  const std::string own(target_name(host_target()));
  Artifact artifact{{{"other", "a machine of the future", named("first")},
                     {own, own, named("second")},
                     {"x86-64-v3", "x86-64-v3", named("third")}},
                    "how"};
  ASSERT_TRUE(write_artifact(path_, artifact).ok());
  const Result<std::shared_ptr<const Program>> read = read_artifact(path_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ((*read)->name, "second");
  const Result<Artifact> whole = read_whole_artifact(path_);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  ASSERT_EQ(whole->programs.size(), 3u);
  EXPECT_EQ(whole->programs[0].needed, "a machine of the future");
  EXPECT_EQ(whole->programs[2].program->name, "third");
  EXPECT_EQ(whole->compilation, "how");
  artifact.programs.resize(1);
  ASSERT_TRUE(write_artifact(path_, artifact).ok());
  EXPECT_THAT(error_of(folder_.read("model.gannet")),
              HasSubstr("it is for a machine of the future, this machine is " + own));
}

TEST_F(CompiledFile, WhatIsNoneIsRefusedWithTheReason) {
  EXPECT_THAT(error_of(""), HasSubstr("no compiled model"));
  EXPECT_THAT(error_of("ONNX or anything else"), HasSubstr("no compiled model"));
  EXPECT_FALSE(is_artifact(folder_.write("other", "anything")));
  ASSERT_TRUE(write_artifact(path_, compiled(kMixed)).ok());
  EXPECT_TRUE(is_artifact(path_));
  std::string newer = folder_.read("model.gannet");
  newer[8] = static_cast<char>(kArtifactFormat + 1);
  EXPECT_THAT(error_of(newer), HasSubstr(fmt::format("it has format {}, this program reads format {}", kArtifactFormat + 1, kArtifactFormat)));
  EXPECT_THAT(error_of(folder_.read("model.gannet") + "x"), HasSubstr("were written"));
}

// Weights of several parts: written by threads where the file allows it, in order into a pipe.
TEST_F(CompiledFile, LargeWeightsGiveOneFileInWhateverOrderTheyAreWritten) {
  Program program;
  program.name = "large";
  for (const int64_t elements : {2359297, 5, 4456450}) {
    Tensor tensor = Tensor::zeros(DType::kF32, {elements});
    for (int64_t i = 0; i < elements; ++i) tensor.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 1001);
    program.constants.push_back(std::move(tensor));
  }
  const std::shared_ptr<const Program> read = round_trip(std::make_shared<Program>(program));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->constants.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(read->constants[i].identical(program.constants[i]));
  const std::string whole = folder_.read("model.gannet"), pipe = folder_.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string piped;
  std::thread reader([&] { piped = folder_.read("pipe"); });
  EXPECT_TRUE(write_artifact(pipe, std::make_shared<Program>(program)).ok());
  reader.join();
  EXPECT_TRUE(piped == whole);
  for (const size_t at : {size_t{3} << 20, size_t{12} << 20, whole.size() - 100}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_THAT(error_of(damaged), HasSubstr("its weights is damaged"));
  }
}

TEST_F(CompiledFile, EveryCutAndEveryFlippedByteIsFound) {
  ASSERT_TRUE(write_artifact(path_, compiled(kSmall)).ok());
  const std::string whole = folder_.read("model.gannet");
  ASSERT_EQ(error_of(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(error_of(whole.substr(0, length)), "") << length;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    EXPECT_NE(error_of(damaged), "") << i;
  }
}

template <class T>
T number_at(const std::string& bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint32_t checksum_at(const std::string& bytes, size_t at, size_t size) {
  return crc32c({reinterpret_cast<const uint8_t*>(bytes.data()) + at, size});
}

// A file read by nothing but what docs/artifact.md says.
TEST_F(CompiledFile, StandsAsItsSpecificationSays) {
  ASSERT_TRUE(write_artifact(path_, compiled(kMixed)).ok());
  const std::string whole = folder_.read("model.gannet");
  EXPECT_EQ(whole.substr(0, 8), "\x89GANNET\n");
  EXPECT_EQ(number_at<uint32_t>(whole, 8), 9u);
  EXPECT_EQ(number_at<uint32_t>(whole, 12), 3u);
  EXPECT_EQ(number_at<uint64_t>(whole, 16), whole.size());
  EXPECT_EQ(number_at<uint32_t>(whole, 96), checksum_at(whole, 0, 96));
  size_t end = 100;
  for (uint32_t kind = 0; kind < 3; ++kind) {
    const size_t entry = 24 + 24 * kind;
    const auto begin = number_at<uint64_t>(whole, entry + 8), size = number_at<uint64_t>(whole, entry + 16);
    EXPECT_EQ(number_at<uint32_t>(whole, entry), kind);
    EXPECT_EQ(begin, (end + 63) / 64 * 64);
    EXPECT_EQ(whole.substr(end, begin - end), std::string(begin - end, '\0'));
    const uint32_t part = checksum_at(whole, begin, size);
    EXPECT_EQ(number_at<uint32_t>(whole, entry + 4), crc32c({reinterpret_cast<const uint8_t*>(&part), 4}));
    end = begin + size;
  }
  EXPECT_EQ(end, whole.size());
  const auto description = number_at<uint64_t>(whole, 32);
  EXPECT_EQ(number_at<uint64_t>(whole, description), 0u);      // bytes for refitting: none
  EXPECT_EQ(number_at<uint64_t>(whole, description + 8), 1u);  // programs
  const std::string own(target_name(host_target()));
  EXPECT_EQ(number_at<uint64_t>(whole, description + 16), own.size());
  EXPECT_EQ(whole.substr(description + 24, own.size()), own);
}

TEST_F(CompiledFile, RefusalsAreThoseOfTheSpecification) {
  std::ifstream stream(test::tests_folder() + "/../docs/artifact.md");
  const std::string document{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_THAT(document, HasSubstr(fmt::format("## Layout, format {}", kArtifactFormat)));
  ASSERT_TRUE(write_artifact(path_, compiled(kMixed)).ok());
  const std::string whole = folder_.read("model.gannet");
  const auto flipped = [&](size_t at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return bytes;
  };
  std::vector<std::string> files = {
      "text", flipped(8), whole.substr(0, 50), flipped(97), whole.substr(0, whole.size() - 1), whole + "x"};
  for (size_t kind = 0; kind < 3; ++kind)
    files.push_back(flipped(number_at<uint64_t>(whole, 32 + 24 * kind)));
  for (const std::string& file : files) {
    const std::string message = error_of(file).substr(folder_.path("damaged.gannet").size() + 2);
    std::string pattern;
    for (const char c : message) {
      if (!std::isdigit(static_cast<unsigned char>(c)))
        pattern += c;
      else if (!pattern.ends_with('N'))
        pattern += 'N';
    }
    EXPECT_THAT(document, HasSubstr(pattern));
  }
}

// The description with one byte changed and its checksums made right again: refused, or consistent enough for a session.
TEST_F(CompiledFile, ADamagedDescriptionWithRightChecksumsIsRefusedOrConsistent) {
  ASSERT_TRUE(write_artifact(path_, compiled(kMixed)).ok());
  const std::string whole = folder_.read("model.gannet");
  constexpr size_t kFirstEntry = 24, kHeaderBytes = 100;
  uint64_t offset = 0, size = 0;
  std::memcpy(&offset, whole.data() + kFirstEntry + 8, 8);
  std::memcpy(&size, whole.data() + kFirstEntry + 16, 8);
  int64_t refused = 0;
  for (size_t i = offset; i < offset + size; ++i) {
    for (const int mask : {1 << i % 8, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ mask);
      const std::span bytes(reinterpret_cast<const uint8_t*>(damaged.data()), damaged.size());
      const uint32_t part = crc32c(bytes.subspan(offset, size));
      const uint32_t description = crc32c({reinterpret_cast<const uint8_t*>(&part), sizeof part});
      std::memcpy(damaged.data() + kFirstEntry + 4, &description, 4);
      const uint32_t header = crc32c(bytes.first(kHeaderBytes - 4));
      std::memcpy(damaged.data() + kHeaderBytes - 4, &header, 4);
      Result<std::shared_ptr<const Program>> read = read_artifact(folder_.write("damaged.gannet", damaged));
      if (read.ok()) static_cast<void>(session_of(*read).ok());
      else ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace gannet
