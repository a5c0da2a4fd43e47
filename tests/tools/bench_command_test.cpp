// gannet bench: figures that fit together, and a trace whose events name the nodes of the file.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "ir/base/file.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

class BenchCommandLine : public CommandLine {
 protected:
  static Json json_in(const std::string& path) { return Json::parse(*read_file(path, 100'000'000), nullptr, false); }

  static void expect_figures(const Json& json, int64_t runs) {
    EXPECT_EQ(json["runs"], runs);
    EXPECT_EQ(json["threads"], 2);
    EXPECT_GT(json["min_ms"], 0.0);
    EXPECT_LE(json["min_ms"], json["median_ms"]);
    EXPECT_LE(json["median_ms"], json["p90_ms"]);
    EXPECT_LE(json["p90_ms"], json["p99_ms"]);
    EXPECT_GT(json["roof_gflops"], 0.0);
    EXPECT_GE(json["arena_bytes"], json["arena_lower_bound_bytes"]);
    EXPECT_GT(json["peak_memory_bytes"], json["arena_bytes"]);
    for (const char* name : {"load_ms", "first_run_ms", "steps"}) EXPECT_GT(json[name], 0.0) << name;
  }
};

TEST_F(BenchCommandLine, FiguresOfAModelAndOfItsCompiledForm) {
  ASSERT_EQ(gannet_line("new cnn --image-size 12 --channels 1 --classes 3 -o cnn.onnx").status, 0);
  const CommandResult result = gannet_line("bench cnn.onnx --runs 7 --threads 2 --json cnn.json");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("median "), HasSubstr("p99 "), HasSubstr("GFLOP/s"), HasSubstr("(7 runs, 2 threads)"), HasSubstr("arena ")));
  const Json json = json_in("cnn.json");
  expect_figures(json, 7);
  EXPECT_GT(json["flops"], 0.0);
  EXPECT_NEAR(json["gflops"], json["flops"].get<double>() / json["median_ms"].get<double>() / 1e6, 1e-6 * json["gflops"].get<double>());
  EXPECT_NEAR(json["roof_share"], json["gflops"].get<double>() / json["roof_gflops"].get<double>(), 1e-9);
  ASSERT_EQ(gannet_line("compile cnn.onnx -o cnn.gannet").status, 0);
  EXPECT_EQ(gannet_line("bench cnn.gannet --runs 5 --threads 2 --json compiled.json").status, 0);
  expect_figures(json_in("compiled.json"), 5);
}

TEST_F(BenchCommandLine, ATrainingStepWithItsOptimizer) {
  ASSERT_EQ(gannet_line("new resnet8 --image-size 8 --channels 1 --classes 3 -o resnet.onnx").status, 0);
  auto steps = [&](const std::string& flags) {
    const CommandResult result = gannet_line("bench resnet.onnx --train --runs 2 --threads 2 --shape input=4x1x8x8 --json train.json " + flags);
    EXPECT_EQ(result.status, 0) << result.err;
    expect_figures(json_in("train.json"), 2);
    return json_in("train.json")["steps"].get<int64_t>();
  };
  const int64_t plain = steps("--optimizer sgd");
  EXPECT_GT(steps("--optimizer sgd --clip-norm 1"), plain);
  EXPECT_GT(steps("--optimizer sgd --batch-norm train"), plain);
  const CommandResult alone = gannet_line("bench resnet.onnx --clip-norm 1");
  EXPECT_NE(alone.status, 0);
  EXPECT_THAT(alone.err, HasSubstr("--train"));
}

TEST_F(BenchCommandLine, TheTraceNamesTheNodesOfTheFile) {
  ASSERT_EQ(gannet_line("new cnn --image-size 12 --channels 1 --classes 3 -o cnn.onnx").status, 0);
  ASSERT_EQ(gannet_line("bench cnn.onnx --runs 2 --threads 1 --profile trace.json").status, 0);
  const Json explained = Json::parse(gannet_line("explain cnn.onnx --json -").out);
  std::set<std::string> names;
  for (const Json& node : explained["nodes"]) {
    if (node["outcome"] == "kernel") names.insert(node["name"]);
  }
  const Json trace = json_in("trace.json");
  const size_t steps = explained["programs"][0]["steps"].size();
  ASSERT_EQ(trace["traceEvents"].size() % steps, 0u);
  std::set<std::string> seen;
  double last = 0;
  for (const Json& event : trace["traceEvents"]) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["ts"], last);
    EXPECT_GE(event["dur"], 0.0);
    EXPECT_NE(event["name"], "");
    last = event["ts"];
    for (const Json& name : event["args"]["nodes"]) seen.insert(name);
  }
  EXPECT_TRUE(std::ranges::includes(seen, names));
}

}  // namespace
}  // namespace gannet::test
