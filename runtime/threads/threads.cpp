#include "runtime/threads/threads.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "runtime/threads/quota.h"

// The thread sanitizer does not see how OpenMP's threads wait for each other.
#if defined(__SANITIZE_THREAD__)
#define GANNET_STD_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GANNET_STD_THREADS 1
#endif
#endif

namespace gannet {
namespace {

// A fork and join of the pool, and what a thread must have to do for it to pay.
constexpr int64_t kForkNanoseconds = 10'000;

int affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace

int available_cores() {
  const int affinity = affinity_cores(), quota = quota_cores("/proc/self/cgroup", "/sys/fs/cgroup");
  return std::max(1, quota == 0 ? affinity : std::min(affinity, quota));
}

Threads::Threads(int count) : count_(count > 0 ? count : available_cores()) {}

int Threads::workers_for(int64_t nanoseconds) const {
  return static_cast<int>(std::clamp<int64_t>(nanoseconds / kForkNanoseconds, 1, count_));
}

void Threads::run(int64_t n, int workers, Work work, const void* body) const {
  workers = static_cast<int>(std::min<int64_t>({workers, count_, n}));
  if (n <= 0) return;
  if (workers <= 1) return work(body, 0, n, 0);
#ifdef GANNET_STD_THREADS
  std::vector<std::thread> team;
  for (int64_t thread = 0; thread < workers; ++thread) {
    const int64_t begin = n * thread / workers, end = n * (thread + 1) / workers;
    team.emplace_back([=] { work(body, begin, end, static_cast<int>(thread)); });
  }
  for (std::thread& thread : team) thread.join();
#else
#pragma omp parallel num_threads(workers)
  {
    const int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
    const int64_t begin = n * thread / team, end = n * (thread + 1) / team;
    if (begin < end) work(body, begin, end, static_cast<int>(thread));
  }
#endif
}

LibraryThreads::LibraryThreads(int count) : before_(omp_get_max_threads()) {
  if (count != before_) omp_set_num_threads(count);
}

LibraryThreads::~LibraryThreads() {
  if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
}

}  // namespace gannet
