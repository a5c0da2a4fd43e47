// Running `gannet` inside a test: in a folder of its own, with what it prints.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace gannet::test {

struct CommandResult {
  int status = 0;
  std::string out;
  std::string err;
};

// Changes to a fresh temporary folder for the time of a test.
class CommandLine : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // Runs `gannet` with these arguments.
  CommandResult gannet(const std::vector<std::string>& arguments);
  // The same for a line split at spaces, but for those between double quotes.
  CommandResult gannet_line(const std::string& line);
  // What that prints where it must succeed and say nothing on standard error.
  std::string run(const std::string& line);
  // What it says on standard error where it must fail with status 1.
  std::string error(const std::string& line);
  // Runs `gannet-run` with the arguments of a line split at spaces.
  CommandResult gannet_run_line(const std::string& line);
  static std::string contents(const std::filesystem::path& path);
  static void write(const std::filesystem::path& path, const std::string& text);

 private:
  std::filesystem::path previous_;
  TemporaryFolder folder_;
};

}  // namespace gannet::test
