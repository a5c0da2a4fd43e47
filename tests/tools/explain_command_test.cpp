// gannet explain accounts for every node of the file, and its memory plan is one.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "frontend/import.h"
#include "ir/base/file.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

class ExplainCommandLine : public CommandLine {
 protected:
  Json explained(const std::string& arguments) {
    const CommandResult result = gannet_line("explain " + arguments + " --json -");
    EXPECT_EQ(result.status, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }

  static int64_t rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

  struct Part {
    int64_t bytes, offset, first, last;
  };

  static std::vector<Part> parts_of(const Json& json) {
    std::vector<Part> parts;
    for (const Json& buffer : json["programs"][0]["buffers"]) {
      if (buffer["kind"] == "arena") parts.push_back({buffer["bytes"], buffer["offset"], buffer["first_step"], buffer["last_step"]});
    }
    for (const Json& scratch : json["memory"]["scratch"]) parts.push_back({scratch["bytes"], scratch["offset"], scratch["step"], scratch["step"]});
    return parts;
  }

  // What is alive together does not overlap, everything is inside the arena, and the bound is what is alive at most.
  static void expect_sound_plan(const Json& json) {
    const std::vector<Part> parts = parts_of(json);
    const int64_t arena = json["memory"]["arena_bytes"];
    std::vector<int64_t> alive(json["programs"][0]["steps"].size(), 0);
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LE(parts[i].offset + parts[i].bytes, arena);
      for (int64_t step = parts[i].first; step <= parts[i].last; ++step) alive.at(static_cast<size_t>(step)) += rounded(parts[i].bytes);
      for (size_t k = 0; k < i; ++k) {
        const bool together = parts[i].first <= parts[k].last && parts[k].first <= parts[i].last;
        const bool apart = parts[i].offset + parts[i].bytes <= parts[k].offset || parts[k].offset + parts[k].bytes <= parts[i].offset;
        EXPECT_TRUE(!together || apart) << i << " and " << k;
      }
    }
    EXPECT_EQ(json["memory"]["lower_bound_bytes"], alive.empty() ? 0 : *std::ranges::max_element(alive));
  }

  // Each node of the file is there once, and has steps exactly where its outcome says so.
  static void expect_all_accounted(const Json& json, const std::string& model) {
    const auto imported = import_model(model);
    ASSERT_TRUE(imported.ok()) << imported.error().message;
    EXPECT_EQ(static_cast<int64_t>(json["nodes"].size()), imported->info.nodes_in_file);
    std::set<std::pair<int64_t, int64_t>> computed;
    for (const Json& node : json["nodes"]) {
      const std::string outcome = node["outcome"];
      const bool has_steps = !node["steps"].empty();
      const bool works = outcome == "kernel" || outcome == "eval";
      EXPECT_TRUE(outcome == "merged" || has_steps == works) << node;
      EXPECT_TRUE(outcome != "eval" || !node["refused"].empty()) << node;
      for (const Json& step : node["steps"]) computed.emplace(step["program"], step["step"]);
    }
    for (const Json& program : json["programs"]) {
      for (const Json& step : program["steps"]) {
        if (step["backend"] == "copy" || step["op"] == "Transpose") continue;  // for a layout
        EXPECT_TRUE(computed.contains({program["index"], step["index"]})) << model << ": no node of the file has step " << step;
      }
    }
  }

  static const Json& node_named(const Json& json, const std::string& name) {
    static const Json kNone;
    for (const Json& node : json["nodes"]) {
      if (node["name"] == name || node["outputs"][0] == name) return node;
    }
    ADD_FAILURE() << "no node " << name;
    return kNone;
  }
};

TEST_F(ExplainCommandLine, AccountsForEveryNodeOfManyModels) {
  const std::pair<std::string, std::string> kModels[] = {
      {"mlp", "mlp --inputs 6 --units 8 --outputs 3"}, {"cnn", "cnn --image-size 12 --channels 1 --classes 3"}, {"bert", "bert-classifier"},
      {"gan", "dcgan-generator"},                       {"resnet", "resnet18"},                                  {"mobilenet", "mobilenet-v2"},
  };
  for (const auto& [name, arguments] : kModels) {
    SCOPED_TRACE(name);
    ASSERT_EQ(gannet_line("new " + arguments + " -o " + name + ".onnx").status, 0);
    const Json json = explained(name + ".onnx");
    ASSERT_TRUE(json.is_object());
    expect_all_accounted(json, name + ".onnx");
    expect_sound_plan(json);
  }
}

TEST_F(ExplainCommandLine, ACompiledNetworkHasItsActivationsInTheConvolutions) {
  ASSERT_EQ(gannet_line("new resnet18 -o resnet.onnx").status, 0);
  const Json json = explained("resnet.onnx --shape input=1x3x224x224");
  size_t relus = 0;
  for (const Json& node : json["nodes"]) {
    if (node["op"] != "Relu") continue;
    ++relus;
    EXPECT_EQ(node["outcome"], "kernel") << node;
    EXPECT_EQ(node["backend"], "onednn") << node;
    bool with_convolution = false;
    for (const Json& other : node["together_with"]) with_convolution |= json["nodes"][other.get<size_t>()]["op"] == "Conv";
    EXPECT_TRUE(with_convolution) << node;
  }
  EXPECT_EQ(relus, 17u);
  EXPECT_EQ(json["memory"]["inputs"]["input"], "f32[1, 3, 224, 224]");
}

TEST_F(ExplainCommandLine, TextSummarizesFirst) {
  ASSERT_EQ(gannet_line("new bert-classifier -o bert.onnx").status, 0);
  const CommandResult result = gannet_line("explain bert.onnx");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out.rfind("bert.onnx: ", 0), 0u) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("library primitives"), HasSubstr("generated code"), HasSubstr("memory  arena "), HasSubstr("step ")));
}

TEST_F(ExplainCommandLine, ThePageIsSelfContained) {
  ASSERT_EQ(gannet_line("new cnn --image-size 12 --channels 1 --classes 3 -o cnn.onnx").status, 0);
  EXPECT_EQ(gannet_line("explain cnn.onnx --html page.html").status, 0);
  const std::string page = *read_file("page.html", 10'000'000);
  EXPECT_THAT(page, AllOf(HasSubstr("<svg"), HasSubstr("</html>"), HasSubstr("Conv "), Not(HasSubstr("http://")), Not(HasSubstr("https://"))));
}

TEST_F(ExplainCommandLine, RefusesWhatItCannotExplain) {
  ASSERT_EQ(gannet_line("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx").status, 0);
  ASSERT_EQ(gannet_line("compile mlp.onnx -o mlp.gannet").status, 0);
  const CommandResult compiled = gannet_line("explain mlp.gannet");
  EXPECT_EQ(compiled.status, 1);
  EXPECT_THAT(compiled.err, HasSubstr("takes the ONNX file"));
  EXPECT_EQ(gannet_line("explain mlp.onnx --json missing/out.json").status, 1);
}

}  // namespace
}  // namespace gannet::test
