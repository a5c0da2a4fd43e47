#include "tools/deploy/interrupt.h"

namespace gannet {

namespace {

// A signal handler can reach nothing but what is global.
std::atomic<bool> interrupt_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void request(int) { interrupt_requested.store(true, std::memory_order_relaxed); }

}  // namespace

InterruptRequest::InterruptRequest() {
  interrupt_requested = false;
  struct sigaction action {};
  action.sa_handler = request;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGINT, &action, &interrupt_before_);
  ::sigaction(SIGTERM, &action, &terminate_before_);
}

InterruptRequest::~InterruptRequest() {
  ::sigaction(SIGINT, &interrupt_before_, nullptr);
  ::sigaction(SIGTERM, &terminate_before_, nullptr);
}

const std::atomic<bool>& InterruptRequest::requested() { return interrupt_requested; }

}  // namespace gannet
