// The only owner of parallelism. Work is a range that is cut into pieces; which thread does which piece never changes
// what is computed. The pool is OpenMP's, shared with oneDNN.
#pragma once

#include <cstdint>
#include <type_traits>

namespace gannet {

// Cores that this process may use: its affinity mask, cut by the cgroup's CPU quota; at least 1.
int available_cores();

class Threads {
 public:
  // 0: available_cores().
  explicit Threads(int count = 0);
  int count() const { return count_; }

  // Calls body(begin, end, thread) for disjoint ranges that cover [0, n), at most `workers` at a time (1: here,
  // without waking a thread). thread < workers.
  template <class Body>
  void parallel_for(int64_t n, int workers, const Body& body) const {
    run(n, workers, [](const void* b, int64_t begin, int64_t end, int thread) { (*static_cast<const Body*>(b))(begin, end, thread); }, &body);
  }
  // How many threads are worth waking for work of this many nanoseconds on one.
  int workers_for(int64_t nanoseconds) const;

 private:
  using Work = void (*)(const void* body, int64_t begin, int64_t end, int thread);
  void run(int64_t n, int workers, Work work, const void* body) const;

  int count_ = 1;
};

// While it lives, a library with OpenMP that this thread calls runs on `count` threads.
class LibraryThreads {
 public:
  explicit LibraryThreads(int count);
  ~LibraryThreads();
  LibraryThreads(const LibraryThreads&) = delete;
  LibraryThreads& operator=(const LibraryThreads&) = delete;

 private:
  int before_ = 1;
};

}  // namespace gannet
