#include "tools/driver/opt_command.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class OptCommandLine : public CommandLine {
 protected:
  CommandResult opt(std::vector<std::string> words) {
    words.insert(words.begin(), "gannet-opt");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    CommandResult result;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    result.status = run_opt_command_line(static_cast<int>(argv.size()), argv.data());
    result.err = testing::internal::GetCapturedStderr();
    result.out = testing::internal::GetCapturedStdout();
    return result;
  }

  void write_graph() {
    std::ofstream("graph.ir") << "graph \"main\"(%x: f32[n]) {\n  %a = Identity(%x)\n  %b = Neg(%a)\n  %c = "
                                 "Abs(%a)\n  return %b as \"b\"\n}\n";
  }

};

constexpr std::string_view kClean =
    "graph \"main\"(%x: f32[n]) {\n  %b: f32[n] = Neg(%x)\n  return %b as \"b\"\n}\n";

TEST_F(OptCommandLine, RunsPassesOverText) {
  write_graph();
  CommandResult result =
      opt({"graph.ir", "--passes", "(eliminate_dead_nodes,canonicalize)*", "--verify-each"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, kClean);
  result = opt({"graph.ir", "--passes=eliminate_dead_nodes,canonicalize", "-o", "out.ir"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(contents("out.ir"), kClean);
}

TEST_F(OptCommandLine, ShowsWhatEachPassDoes) {
  write_graph();
  CommandResult result = opt({"graph.ir", "--passes=eliminate_dead_nodes,canonicalize,canonicalize",
                              "--print-after=all", "--time-passes", "--dump-dir=dumps"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("# after pass number 1, eliminate_dead_nodes\ngraph"),
                                HasSubstr("# after pass number 2, canonicalize\n"),
                                HasSubstr("# after pass number 3, canonicalize, which changed nothing\n"),
                                HasSubstr("runs")));
  EXPECT_THAT(contents("dumps/000-input.ir"), HasSubstr("Abs"));
  EXPECT_THAT(contents("dumps/001-eliminate_dead_nodes.ir"),
              AllOf(HasSubstr("Identity"), Not(HasSubstr("Abs"))));
  EXPECT_EQ(contents("dumps/002-canonicalize.ir"), kClean);
  EXPECT_FALSE(std::filesystem::exists("dumps/003-canonicalize.ir"));
}

TEST_F(OptCommandLine, BisectStopsAfterAFewPasses) {
  write_graph();
  CommandResult result = opt({"graph.ir", "--passes=eliminate_dead_nodes,canonicalize", "--bisect=1"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("Identity"), Not(HasSubstr("Abs"))));
  EXPECT_EQ(result.err, "# the last pass that ran: pass number 1, eliminate_dead_nodes\n");
}

TEST_F(OptCommandLine, ReadsModels) {
  ASSERT_EQ(gannet_line("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx").status, 0);
  CommandResult result = opt({"mlp.onnx", "--pipeline", "inference", "--verify-each", "--remarks"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("return "));
  EXPECT_EQ(opt({"--list"}).status, 0);
}

TEST_F(OptCommandLine, WrongArgumentsAreOneMessage) {
  write_graph();
  std::ofstream("broken.ir") << "graph \"main\"(%x: f32[n]) {\n  return %y as \"y\"\n}\n";
  const auto error_of = [&](std::vector<std::string> words) {
    CommandResult result = opt(std::move(words));
    EXPECT_EQ(result.status, 1);
    return result.err;
  };
  EXPECT_EQ(error_of({"graph.ir", "--passes=frobnicate"}), "error: there is no pass 'frobnicate'\n");
  EXPECT_EQ(error_of({"graph.ir", "--print-after=frobnicate"}),
            "error: --print-after: there is no pass 'frobnicate'\n");
  EXPECT_THAT(error_of({"graph.ir", "--pipeline=frobnicate"}), HasSubstr("there are import, inference"));
  EXPECT_EQ(error_of({"graph.ir", "--pases=x"}),
            "error: gannet-opt: unknown flag '--pases=x'; did you mean --passes?\n");
  EXPECT_THAT(error_of({"broken.ir"}), HasSubstr("broken.ir: "));
  EXPECT_THAT(error_of({"graph.ir", "-o", "nowhere/out.ir"}), HasSubstr("there is no folder"));
  EXPECT_THAT(error_of({}), HasSubstr("FILE is required"));
}

TEST_F(OptCommandLine, PassesAimAtTheTargetThatIsNamed) {
  std::ofstream("product.ir") << "graph \"main\"(%x: f32[n, 16], %w: f32[16, 16]) { %y = MatMul(%x, %w) return %y as \"y\" }";
  const std::vector<std::string> words = {"product.ir", "--passes", "round_products,fuse_contractions", "--dtype", "bf16", "--target"};
  auto aimed_at = [&](const std::string& target) {
    std::vector<std::string> all = words;
    all.push_back(target);
    return opt(all).out;
  };
  EXPECT_THAT(aimed_at("x86-64-v4+bf16"), AllOf(HasSubstr("= Fused("), HasSubstr("bf16[n, 16]")));
  EXPECT_THAT(aimed_at("x86-64-v3"), AllOf(HasSubstr("bf16[n, 16]"), Not(HasSubstr("Fused"))));
  EXPECT_THAT(opt({"product.ir", "--passes", "round_products"}).out, Not(HasSubstr("bf16")));
  EXPECT_THAT(opt({"product.ir", "--target", "x86-64-v5"}).err, HasSubstr("--target"));
}

}  // namespace
}  // namespace gannet::test
