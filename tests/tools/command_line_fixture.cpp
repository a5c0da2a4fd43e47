#include "tests/tools/command_line_fixture.h"

#include <cstdlib>
#include <sstream>

#include "tools/driver/command_line.h"

namespace gannet::test {

void CommandLine::SetUp() {
  previous_ = std::filesystem::current_path();
  std::string pattern = (std::filesystem::temp_directory_path() / "gannet-test-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  std::filesystem::current_path(folder_);
}

void CommandLine::TearDown() {
  std::filesystem::current_path(previous_);
  std::filesystem::remove_all(folder_);
}

CommandResult CommandLine::gannet(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"gannet"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  CommandResult result;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  result.status = run_command_line(static_cast<int>(argv.size()), argv.data());
  result.err = testing::internal::GetCapturedStderr();
  result.out = testing::internal::GetCapturedStdout();
  return result;
}

CommandResult CommandLine::gannet_line(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return gannet(words);
}

}  // namespace gannet::test
