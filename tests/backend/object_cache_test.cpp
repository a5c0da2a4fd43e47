// The cache of machine code: what it keeps, what damage does to it, and many processes at it at once.
#include "backend/llvm/object_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "ir/base/file.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

TEST(ObjectCache, KeepsFindsAndIgnoresDamage) {
  TemporaryFolder folder;
  const ObjectCache cache(folder.path("cache"));
  EXPECT_FALSE(cache.find("a kernel"));
  cache.keep("a kernel", {{1, 2, 3, 4}, 2});
  auto found = cache.find("a kernel");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bytes, (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(found->entry, 2);
  EXPECT_FALSE(cache.find("another kernel"));
  for (const auto& entry : std::filesystem::directory_iterator(cache.folder())) {
    std::string bytes = *read_file(entry.path().string(), 1000);
    bytes[bytes.size() - 1] = 9;
    ASSERT_TRUE(write_file_atomically(entry.path().string(), bytes).ok());
  }
  EXPECT_FALSE(cache.find("a kernel"));
  cache.keep("a kernel", {{1, 2, 3, 4}, 2});
  EXPECT_TRUE(cache.find("a kernel"));
  ObjectCache(cache.folder(), 0).trim();
  EXPECT_FALSE(cache.find("a kernel"));
}

TEST(ObjectCache, WhatKilledProcessesLeaveGoes) {
  TemporaryFolder folder;
  const ObjectCache cache(folder.path("cache"));
  cache.keep("a kernel", {{1, 2, 3, 4}, 2});
  const std::filesystem::path old = cache.folder() + "/.gannet-1-0.tmp", fresh = cache.folder() + "/.gannet-2-0.tmp";
  std::ofstream(old) << "part of a kernel";
  std::ofstream(fresh) << "part of another";
  std::filesystem::last_write_time(old, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  cache.trim();
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_TRUE(std::filesystem::exists(fresh));
  EXPECT_TRUE(cache.find("a kernel"));
}

KernelCode code_number(int k) { return {std::vector<uint8_t>(static_cast<size_t>(1000 + k * 10), static_cast<uint8_t>(k)), k}; }

// One of several processes: reads, writes and trims, and says whether all that it found was right.
bool use_cache(const std::string& folder, int process) {
  const ObjectCache cache(folder, 20'000);
  for (int i = 0; i < 300; ++i) {
    const int k = (i * 7 + process * 3) % 40;
    const std::string key = "kernel " + std::to_string(k);
    if (const auto found = cache.find(key)) {
      if (found->bytes != code_number(k).bytes || found->entry != k) return false;
    } else {
      cache.keep(key, code_number(k));
    }
    if (i % 10 == process) cache.trim();
  }
  return true;
}

TEST(ObjectCache, ManyProcessesAtOnceSeeWholeKernelsOnly) {
  TemporaryFolder folder;
  constexpr int kProcesses = 4;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(use_cache(folder.path("cache"), process) ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const ObjectCache cache(folder.path("cache"), 20'000);
  cache.trim();
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cache.folder())) {
    EXPECT_EQ(entry.path().extension(), ".kernel");
    bytes += static_cast<int64_t>(entry.file_size());
  }
  EXPECT_LE(bytes, 20'000);
  EXPECT_GT(bytes, 10'000);
}

}  // namespace
}  // namespace gannet
