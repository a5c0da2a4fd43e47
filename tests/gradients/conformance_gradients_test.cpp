// ONNX's own test cases double as gradient cases. What differs from central differences is a list in the repository
// with a reason for each entry, and an entry that nothing needs is a failure too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "passes/weights_to_state.h"
#include "runtime/data/text_lists.h"
#include "tests/gradients/case_gradients.h"
#include "tests/support/tests_folder.h"
#include "tools/driver/conformance.h"

namespace gannet::test {
namespace {

namespace fs = std::filesystem;

// What differs, by patterns of "node/test_x" for a case without any gradient and "node/test_x 'input'" for an input.
class Exceptions {
 public:
  explicit Exceptions(const std::string& file) : file_(file) {
    Result<std::vector<std::string>> lines = read_lines(test::tests_folder() + "/gradients/" + file);
    EXPECT_TRUE(lines.ok()) << lines.error().message;
    for (const std::string& line : *lines) {
      if (line.empty() || line[0] == '#') continue;
      size_t colon = line.find(": ");
      EXPECT_NE(colon, std::string::npos) << "an entry needs a reason: " << line;
      if (colon != std::string::npos) entries_.push_back({line.substr(0, colon), line.substr(colon + 2), 0});
    }
  }

  bool accepts(const std::string& what) {
    bool found = false;
    for (Entry& entry : entries_) {
      if (!matches_pattern(entry.pattern, what)) continue;
      ++entry.matches;
      found = true;
    }
    return found;
  }
  void expect_all_needed() const {
    for (const Entry& entry : entries_) EXPECT_GT(entry.matches, 0) << file_ << ": nothing differs that matches '" << entry.pattern << "'";
  }

 private:
  struct Entry {
    std::string pattern, reason;
    int matches = 0;
  };
  std::string file_;
  std::vector<Entry> entries_;
};

struct Sample {
  size_t every = 1;  // each of so many cases
  int64_t most_elements = 24;
  size_t least_compared = 0;
};

void expect_gradients_but(const fs::path& root, Exceptions exceptions, const Sample& sample) {
  size_t compared = 0, index = 0;
  int64_t elements = 0;
  for (const char* group : {"node", "simple", "pytorch-converted", "pytorch-operator"}) {
    Result<std::vector<std::string>> cases = find_cases({(root / group).string()});
    ASSERT_TRUE(cases.ok()) << cases.error().message;
    for (const std::string& path : *cases) {
      if (index++ % sample.every != 0) continue;
      const std::string name = fs::path(path).lexically_relative(root).string();
      const CaseGradients result = check_case_gradients(path, sample.most_elements);
      compared += result.elements > 0;
      elements += result.elements;
      for (const InputDifference& each : result.differences) {
        const std::string what = each.input.empty() ? name : fmt::format("{} '{}'", name, each.input);
        EXPECT_TRUE(exceptions.accepts(what)) << what << ": " << each.reason;
      }
    }
  }
  if (sample.every == 1) exceptions.expect_all_needed();
  EXPECT_GE(compared, sample.least_compared);
  testing::Test::RecordProperty("cases", static_cast<int>(compared));
  testing::Test::RecordProperty("elements", static_cast<int>(elements));
}

fs::path distribution() {
  const char* given = std::getenv("GANNET_ONNX_TESTDATA");
  return given ? given : "/usr/lib/python3/dist-packages/onnx/backend/test/data";
}

void expect_distribution(const Sample& sample) {
  const fs::path root = distribution();
  if (!fs::is_directory(root / "node")) GTEST_SKIP() << root << " is absent: libonnx-testdata is not installed";
  if (fs::is_directory(root / "node/test_gelu_tanh_1")) GTEST_SKIP() << root << " holds cases newer than the list's, which is of ONNX 1.12";
  expect_gradients_but(root, Exceptions("onnx-1.12.txt"), sample);
}

TEST(ConformanceGradients, SampleOfTheDistribution) { expect_distribution({.every = 7, .most_elements = 4, .least_compared = 70}); }

TEST(NightlyConformanceGradients, CasesOfTheDistribution) { expect_distribution({.least_compared = 500}); }

TEST(NightlyConformanceGradients, CasesOfRelease117) {
  const char* given = std::getenv("GANNET_ONNX_TESTS_1_17");
  if (!given || !fs::is_directory(given)) GTEST_SKIP() << "GANNET_ONNX_TESTS_1_17 does not name the unpacked cases of ONNX 1.17";
  expect_gradients_but(given, Exceptions("onnx-1.17.txt"), {.least_compared = 700});
}

}  // namespace
}  // namespace gannet::test
