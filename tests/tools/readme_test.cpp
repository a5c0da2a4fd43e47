// The documents are run: each line of their ```sh blocks that begins with `gannet` or `gannet-run`, in order, in one
// folder. A block ```csv NAME is a file that they use.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/data/text_lists.h"
#include "tests/support/tests_folder.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

const std::string kRoot = test::tests_folder() + "/../";

constexpr std::string_view kDeployed = "gannet-run ";

std::vector<std::string> commands_of(const std::string& file) {
  Result<std::vector<std::string>> lines = read_lines(file);
  EXPECT_TRUE(lines.ok()) << lines.error().message;
  std::vector<std::string> commands;
  bool inside = false;
  for (const std::string& line : *lines) {
    if (line.rfind("```", 0) == 0) inside = line == "```sh";
    else if (inside && (line.starts_with("gannet ") || line.starts_with(kDeployed))) commands.push_back(line);
  }
  return commands;
}

void write_tables_of(const std::string& file) {
  Result<std::vector<std::string>> lines = read_lines(file);
  ASSERT_TRUE(lines.ok()) << lines.error().message;
  std::ofstream table;
  for (const std::string& line : *lines) {
    if (line.starts_with("```csv ")) table.open(line.substr(7));
    else if (line.starts_with("```")) table.close();
    else if (table.is_open()) table << line << "\n";
  }
}

class Documents : public CommandLine, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, Documents,
                         testing::Values("README.md", "docs/artifact.md", "docs/training.md",
                                         "docs/tutorial-bert.md", "docs/tutorial-images.md",
                                         "docs/weak-supervision.md"));

INSTANTIATE_TEST_SUITE_P(Generators, Documents,
                         testing::Values("docs/tutorial-gan.md", "docs/tutorial-generate.md"));

// A limit of memory is about the process's own; most of it is a sanitizer's where there is one.
bool can_run(const std::string& command) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return command.find("--max-memory") == std::string::npos;
#else
  return !command.empty();
#endif
}

TEST_P(Documents, EveryCommandWorks) {
  std::vector<std::string> commands = commands_of(kRoot + GetParam());
  ASSERT_GE(commands.size(), 8u);
  write_tables_of(kRoot + GetParam());
  for (const std::string& command : commands) {
    if (!can_run(command)) continue;
    const bool deployed = command.starts_with(kDeployed);
    CommandResult result = deployed ? gannet_run_line(command.substr(kDeployed.size())) : gannet_line(command.substr(7));
    EXPECT_EQ(result.status, 0) << command << "\n" << result.err;
    EXPECT_EQ(result.err, "") << command;
  }
}

TEST(Readme, TheTwoScriptsExistAndCanBeRun) {
  for (const char* script : {"tools/quickstart.sh", "tests/run.sh", ".ci/run"}) {
    auto permissions = std::filesystem::status(kRoot + script).permissions();
    EXPECT_NE(permissions & std::filesystem::perms::owner_exec, std::filesystem::perms::none) << script;
  }
}

}  // namespace
}  // namespace gannet::test
