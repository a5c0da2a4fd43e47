#include "ir/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(File, IsReadWhole) {
  TemporaryFolder folder;
  std::string contents("a\0b\n", 4);
  EXPECT_EQ(*read_file(folder.write("x", contents), 4), contents);
  EXPECT_EQ(*read_file(folder.write("empty", ""), 0), "");
}

TEST(File, RefusesWhatIsNotARegularFile) {
  TemporaryFolder folder;
  EXPECT_THAT(read_file(folder.path(""), 100).error().message, HasSubstr("is a folder"));
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(read_file(folder.path("pipe"), 100).error().message, HasSubstr("is a pipe"));
  EXPECT_THAT(read_file("/dev/zero", 100).error().message, HasSubstr("is a device"));
  std::string missing = folder.path("missing");
  EXPECT_THAT(read_file(missing, 100).error().message, AllOf(StartsWith(missing), HasSubstr("No such file")));
  EXPECT_FALSE(read_file("", 100).ok());
  EXPECT_FALSE(read_file(std::string("a\0b", 3), 100).ok());
}

TEST(File, RefusesMoreThanTheLimit) {
  TemporaryFolder folder;
  EXPECT_THAT(read_file(folder.write("x", "12345"), 4).error().message,
              HasSubstr("5 bytes long, the limit is 4"));
  EXPECT_THAT(MappedFile::open(folder.path("x"), 4).error().message,
              HasSubstr("5 bytes long, the limit is 4"));
}

TEST(File, ReadAtNamesWhatIsMissing) {
  TemporaryFolder folder;
  ReadableFile file = *ReadableFile::open(folder.write("x", "12345"));
  std::array<uint8_t, 3> bytes{};
  ASSERT_TRUE(file.read_at(2, bytes).ok());
  EXPECT_EQ(bytes[2], '5');
  EXPECT_THAT(file.read_at(3, bytes).error().message, HasSubstr("ends after 5 bytes, 6 are needed"));
}

TEST(File, MappingOutlivesItsObject) {
  TemporaryFolder folder;
  std::string path = folder.write("x", "12345");
  std::shared_ptr<const void> owner;
  std::span<const uint8_t> bytes;
  {
    MappedFile mapped = *MappedFile::open(path, 100);
    owner = mapped.owner();
    bytes = mapped.bytes();
  }
  EXPECT_EQ(bytes[4], '5');
  EXPECT_TRUE(MappedFile::open(folder.write("empty", ""), 100)->bytes().empty());
}

TEST(AtomicFile, ReplacesAndLeavesNothingBehind) {
  TemporaryFolder folder;
  std::string path = folder.write("x", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_TRUE(write_file_atomically(path, "new").ok());
  EXPECT_EQ(folder.read("x"), "new");
  EXPECT_EQ(folder.entries(), 1);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  ASSERT_TRUE(write_file_atomically(folder.path("fresh"), "1").ok());
  EXPECT_EQ(folder.read("fresh"), "1");
}

TEST(AtomicFile, KeepsTheOldFileWhenTheWriterFails) {
  TemporaryFolder folder;
  std::string path = folder.write("x", "old");
  Status status = write_file_atomically(path, [](AtomicFile& file) -> Status {
    TRY(file.write("half of"));
    return invalid_input("no more");
  });
  EXPECT_EQ(status.error().message, "no more");
  EXPECT_EQ(folder.read("x"), "old");
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, KeepsTheOldFileWhenTheSystemRefusesToWrite) {
  TemporaryFolder folder;
  std::string path = folder.write("x", "old");
  auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Status status = write_file_atomically(path, std::string(5000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(status.error().message, AllOf(StartsWith(path), HasSubstr("after 1000 bytes: File too large")));
  EXPECT_EQ(folder.read("x"), "old");
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, ReportsAFullDisk) {
  Status status = write_file_atomically("/dev/full", "x");
  EXPECT_THAT(status.error().message, AllOf(StartsWith("/dev/full"), HasSubstr("No space left")));
  struct stat device {};
  ASSERT_EQ(::stat("/dev/full", &device), 0);
  EXPECT_TRUE(S_ISCHR(device.st_mode));
}

TEST(AtomicFile, NamesTheReasonWhenItCannotBeMade) {
  TemporaryFolder folder;
  std::string path = folder.path("no/such/folder");
  EXPECT_THAT(write_file_atomically(path, "x").error().message,
              AllOf(StartsWith(path), HasSubstr("No such file")));
  EXPECT_THAT(write_file_atomically(folder.path(""), "x").error().message, HasSubstr("is a folder"));
  folder.write("file", "");
  EXPECT_THAT(write_file_atomically(folder.path("file/x"), "x").error().message,
              HasSubstr("Not a directory"));
  if (::geteuid() == 0) return;  // permissions do not bind root
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0500), 0);
  EXPECT_THAT(write_file_atomically(folder.path("x"), "x").error().message, HasSubstr("Permission denied"));
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0700), 0);
}

TEST(AtomicFile, FollowsLinks) {
  TemporaryFolder folder;
  std::string path = folder.write("target", "old");
  ASSERT_EQ(::symlink(path.c_str(), folder.path("link").c_str()), 0);
  ASSERT_TRUE(write_file_atomically(folder.path("link"), "new").ok());
  EXPECT_EQ(folder.read("target"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link")));
}

TEST(AtomicFile, WritesDevicesDirectly) {
  ASSERT_TRUE(write_file_atomically("/dev/null", "x").ok());
  struct stat device {};
  ASSERT_EQ(::stat("/dev/null", &device), 0);
  EXPECT_TRUE(S_ISCHR(device.st_mode));
}

}  // namespace
}  // namespace gannet
