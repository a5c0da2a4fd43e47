#include "tests/tools/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace gannet::test {

ChildProcess::ChildProcess(const std::vector<std::string>& words, const std::string& output) {
  std::vector<std::string> all = {GANNET_PROGRAM};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  const int error = ::posix_spawn(&id_, GANNET_PROGRAM, &files, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  EXPECT_EQ(error, 0) << GANNET_PROGRAM;
  over_ = error != 0;
}

ChildProcess::~ChildProcess() {
  send(SIGKILL);
  wait();
}

void ChildProcess::send(int signal) const {
  if (!over_) ::kill(id_, signal);
}

void ChildProcess::take(int status) {
  over_ = true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool ChildProcess::running() {
  int status = 0;
  if (!over_ && ::waitpid(id_, &status, WNOHANG) == id_) take(status);
  return !over_;
}

int ChildProcess::wait() {
  int status = 0;
  if (!over_ && ::waitpid(id_, &status, 0) == id_) take(status);
  return status_;
}

}  // namespace gannet::test
