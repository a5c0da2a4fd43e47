// Control-C as a request: long work finishes what it is at and keeps what it has.
#pragma once

#include <atomic>
#include <csignal>

namespace gannet {

// While it lives, the first SIGINT or SIGTERM sets requested(); a second one ends the process as usual. One
// at a time.
class InterruptRequest {
 public:
  InterruptRequest();
  ~InterruptRequest();
  InterruptRequest(const InterruptRequest&) = delete;
  InterruptRequest& operator=(const InterruptRequest&) = delete;

  static const std::atomic<bool>& requested();

 private:
  struct sigaction interrupt_before_ {
  }, terminate_before_{};
};

}  // namespace gannet
