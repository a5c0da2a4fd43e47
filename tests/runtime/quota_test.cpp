// CPU quotas of control groups, in folders that look like those of the system.
#include "runtime/threads/quota.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/threads/threads.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

class Quota : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = folder_.path(path);
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }

  int cores(const std::string& groups) {
    write("groups", groups);
    return quota_cores(folder_.path("groups"), folder_.path("root"));
  }

  TemporaryFolder folder_;
};

TEST_F(Quota, NoneWhereNoFileSaysSo) {
  EXPECT_EQ(cores(""), 0);
  EXPECT_EQ(cores("0::/user/shell\n"), 0);
  write("root/user/cpu.max", "max 100000\n");
  EXPECT_EQ(cores("0::/user/shell\n"), 0);
}

TEST_F(Quota, OfTheGroupAndThoseAround) {
  write("root/box/inner/cpu.max", "350000 100000\n");
  EXPECT_EQ(cores("0::/box/inner\n"), 4);
  write("root/box/cpu.max", "150000 100000\n");
  EXPECT_EQ(cores("0::/box/inner\n"), 2);
  write("root/cpu.max", "10000 100000\n");
  EXPECT_EQ(cores("0::/box/inner\n"), 1);
  EXPECT_EQ(cores("0::/elsewhere\n"), 1);
}

TEST_F(Quota, OfTheFirstVersion) {
  write("root/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
  write("root/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores("9:memory:/box\n4:cpu,cpuacct:/box\n"), 0);
  write("root/cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(cores("9:memory:/box\n4:cpu,cpuacct:/box\n"), 3);
  EXPECT_EQ(cores("9:memory:/box\n"), 0);
}

TEST_F(Quota, DamagedFilesAreNoQuota) {
  for (const char* text : {"", "soon", "-5 100000", "100000 0", "nan 100000", "1e99 1"}) {
    write("root/cpu.max", text);
    const int found = cores("0::/\nrubbish\n:\n");
    EXPECT_TRUE(found == 0 || found == 1'000'000) << text << ": " << found;
  }
}

TEST(AvailableCores, AreAtLeastOne) { EXPECT_GE(available_cores(), 1); }

}  // namespace
}  // namespace gannet
