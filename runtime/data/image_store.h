// Many pictures, each read and prepared once and kept as far as a budget of memory goes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/image.h"

namespace gannet {

class ImageStore {
 public:
  // Gives picture `index`, ready for use, or says why not. Called by several threads at once.
  using Reader = std::function<Result<Image>(int64_t index)>;
  struct Problem {
    int64_t index = 0;
    std::string text;
  };

  // Keeps pictures of up to `budget_bytes` together.
  ImageStore(int64_t count, Reader reader, int64_t budget_bytes);

  int64_t count() const { return static_cast<int64_t>(kept_.size()); }
  // Reads all pictures once, on so many threads, so that those for which there is room are at hand. Gives
  // those that cannot be read, in order; with `until_first` it may stop after one of them.
  std::vector<Problem> scan(int threads, bool until_first);
  // The picture; from any thread.
  Result<std::shared_ptr<const Image>> get(int64_t index);
  // Whether get has nothing left to read, but for pictures that cannot be read.
  bool is_complete() const;
  int64_t kept_bytes() const;

 private:
  Reader reader_;
  int64_t budget_ = 0;
  mutable std::mutex mutex_;  // of what follows
  std::vector<std::shared_ptr<const Image>> kept_;
  int64_t kept_bytes_ = 0;
  bool overflowed_ = false;
};

}  // namespace gannet
