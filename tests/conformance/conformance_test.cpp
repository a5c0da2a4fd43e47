// ONNX's own test cases and real models with reference results. What does not pass is a list in the repository with a
// reason for each entry, and an entry that passes is a failure too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "runtime/data/text_lists.h"
#include "tests/support/tests_folder.h"
#include "tools/driver/conformance.h"

namespace gannet {
namespace {

namespace fs = std::filesystem;

// "node/test_x: reason" by case.
std::map<std::string, std::string> read_expected_failures(const std::string& file) {
  std::map<std::string, std::string> expected;
  Result<std::vector<std::string>> lines = read_lines(test::tests_folder() + "/conformance/" + file);
  EXPECT_TRUE(lines.ok()) << lines.error().message;
  for (const std::string& line : *lines) {
    if (line.empty() || line[0] == '#') continue;
    size_t colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << "an entry needs a reason: " << line;
    if (colon != std::string::npos) expected[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return expected;
}

void expect_all_pass_but(const fs::path& root, const std::map<std::string, std::string>& expected, CheckOptions options,
                         size_t least_cases) {
  Result<std::vector<std::string>> cases = find_cases({root.string()});
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  EXPECT_GE(cases->size(), least_cases);
  options.jobs = 2;
  size_t passed = 0;
  for (const CaseResult& result : run_cases(*cases, options)) {
    std::string name = fs::path(result.path).lexically_relative(root).string();
    bool is_expected = expected.contains(name);
    passed += result.outcome == CaseOutcome::kPassed;
    if (result.outcome == CaseOutcome::kFailed) EXPECT_TRUE(is_expected) << name << ": " << result.reason;
    else EXPECT_FALSE(is_expected) << name << " is listed as failing, and does not fail";
  }
  testing::Test::RecordProperty("passed", static_cast<int>(passed));
}

fs::path folder_from(const char* variable, const fs::path& fallback) {
  const char* given = std::getenv(variable);
  return given ? fs::path(given) : fallback;
}

TEST(Conformance, OnnxBackendCasesOfTheDistribution) {
  fs::path root = folder_from("GANNET_ONNX_TESTDATA", "/usr/lib/python3/dist-packages/onnx/backend/test/data");
  if (!fs::is_directory(root / "node")) GTEST_SKIP() << root << " is absent: libonnx-testdata is not installed";
  // The lists are those of release 1.12; other distributions ship other cases.
  if (fs::is_directory(root / "node/test_gelu_tanh_1")) GTEST_SKIP() << root << " holds cases newer than the list's, which is of ONNX 1.12";
  expect_all_pass_but(root, read_expected_failures("onnx-1.12.txt"), {}, 1000);
}

TEST(Conformance, OnnxBackendCasesOfRelease117) {
  fs::path root = folder_from("GANNET_ONNX_TESTS_1_17", "");
  if (!fs::is_directory(root)) GTEST_SKIP() << "GANNET_ONNX_TESTS_1_17 does not name the unpacked cases of ONNX 1.17";
  expect_all_pass_but(root, read_expected_failures("onnx-1.17.txt"), {}, 1400);
}

TEST(Conformance, RealModels) {
  fs::path root = folder_from("GANNET_MODELS", fs::path(test::tests_folder()) / "../../shared/models");
  if (!fs::is_directory(root)) GTEST_SKIP() << root << " is absent: set GANNET_MODELS to a folder of models with reference results";
  CheckOptions options;
  options.tolerance.atol_relative = 1e-4;
  options.same_bits = true;
  expect_all_pass_but(root, {}, options, 1);
}

}  // namespace
}  // namespace gannet
