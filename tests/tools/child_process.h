// The program `gannet` in a process of its own, to be stopped at any moment.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace gannet::test {

class ChildProcess {
 public:
  // Starts gannet with these words; what it prints goes to the file `output`.
  ChildProcess(const std::vector<std::string>& words, const std::string& output);
  ChildProcess(const ChildProcess&) = delete;
  // Kills it when it still runs.
  ~ChildProcess();

  void send(int signal) const;
  bool running();
  // Its exit status, or minus the signal that ended it.
  int wait();

 private:
  void take(int status);

  pid_t id_ = -1;
  bool over_ = false;
  int status_ = 0;
};

}  // namespace gannet::test
