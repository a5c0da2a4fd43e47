#include "tests/tools/command_line_fixture.h"

#include <cstdlib>
#include <fstream>

#include "tools/deploy/run_command_line.h"
#include "tools/driver/command_line.h"

namespace gannet::test {

void CommandLine::SetUp() {
  previous_ = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
}

void CommandLine::TearDown() {
  std::filesystem::current_path(previous_);
}

std::string CommandLine::contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void CommandLine::write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

static std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool inside = false, begun = false;
  for (const char c : line) {
    if (c == '"') {
      inside = !inside;
      if (!begun) words.emplace_back();
      begun = true;
    } else if (c == ' ' && !inside) {
      begun = false;
    } else {
      if (!begun) words.emplace_back();
      begun = true;
      words.back() += c;
    }
  }
  return words;
}

static CommandResult result_of(int (*program)(int, char**), const std::string& name, std::vector<std::string> words) {
  words.insert(words.begin(), name);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  CommandResult result;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  result.status = program(static_cast<int>(argv.size()), argv.data());
  result.err = testing::internal::GetCapturedStderr();
  result.out = testing::internal::GetCapturedStdout();
  return result;
}

CommandResult CommandLine::gannet(const std::vector<std::string>& arguments) {
  return result_of(run_command_line, "gannet", arguments);
}

CommandResult CommandLine::gannet_line(const std::string& line) { return gannet(words_of(line)); }

std::string CommandLine::run(const std::string& line) {
  const CommandResult result = gannet_line(line);
  EXPECT_EQ(result.status, 0) << line << "\n" << result.err << result.out;
  EXPECT_EQ(result.err, "") << line;
  return result.out;
}

std::string CommandLine::error(const std::string& line) {
  const CommandResult result = gannet_line(line);
  EXPECT_EQ(result.status, 1) << line << "\n" << result.out;
  return result.err;
}

CommandResult CommandLine::gannet_run_line(const std::string& line) {
  return result_of(run_deployed_command_line, "gannet-run", words_of(line));
}

}  // namespace gannet::test
