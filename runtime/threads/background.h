// One thread beside the caller's, for work that goes on while the caller does something else.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace gannet {

class Background {
 public:
  Background() = default;
  Background(const Background&) = delete;
  // Waits for the work.
  ~Background();

  // Begins `work` and returns at once; the work before is done (wait()).
  void start(std::function<void()> work);
  // Returns when nothing is being done; what the work wrote is visible then.
  void wait();

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;  // empty: nothing to do
  bool over_ = false;
  std::thread thread_;  // made by the first start
};

}  // namespace gannet
