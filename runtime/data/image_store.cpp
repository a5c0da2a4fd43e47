#include "runtime/data/image_store.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "runtime/threads/threads.h"

namespace gannet {

ImageStore::ImageStore(int64_t count, Reader reader, int64_t budget_bytes)
    : reader_(std::move(reader)), budget_(budget_bytes), kept_(static_cast<size_t>(count)) {}

Result<std::shared_ptr<const Image>> ImageStore::get(int64_t index) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto& kept = kept_[static_cast<size_t>(index)]) return kept;
  }
  std::shared_ptr<const Image> image;
  try {
    image = std::make_shared<const Image>(TRY(reader_(index)));
  } catch (const std::bad_alloc&) {
    return io_error("no memory for the picture");
  }
  const auto bytes = static_cast<int64_t>(image->pixels.size() + sizeof(Image));
  const std::lock_guard lock(mutex_);
  auto& kept = kept_[static_cast<size_t>(index)];
  if (kept) return kept;
  if (kept_bytes_ + bytes > budget_) {
    overflowed_ = true;
  } else {
    kept = image;
    kept_bytes_ += bytes;
  }
  return image;
}

std::vector<ImageStore::Problem> ImageStore::scan(int threads, bool until_first) {
  std::vector<Problem> problems;
  std::mutex problems_mutex;
  std::atomic<int64_t> next = 0;
  const Threads team(threads);
  // Pictures differ in size: each worker takes the next one that is left.
  team.parallel_for(team.count(), team.count(), [&](int64_t, int64_t, int) {
    for (int64_t i = next++; i < count(); i = next++) {
      const auto image = get(i);
      if (image.ok()) continue;
      if (until_first) next = count();
      const std::lock_guard lock(problems_mutex);
      problems.push_back({i, image.error().message});
    }
  });
  std::ranges::sort(problems, {}, &Problem::index);
  return problems;
}

bool ImageStore::is_complete() const {
  const std::lock_guard lock(mutex_);
  return !overflowed_ && kept_bytes_ > 0;
}

int64_t ImageStore::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace gannet
