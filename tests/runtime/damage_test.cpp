// Files cut short and files with changed bytes: readers answer with a tensor, a picture or an error, never
// worse.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <random>

#include "ir/base/file.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tests/runtime/sample_pictures.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

Limits small_limits() {
  Limits limits;
  limits.tensor_bytes = limits.live_bytes = 1 << 20;
  return limits;
}

// Calls `read` with every start of `bytes` and with `count` copies in which a few bytes are others.
template <class Read>
void damage(const std::string& bytes, int count, const Read& read) {
  for (size_t size = 0; size < bytes.size(); ++size) read(bytes.substr(0, size));
  std::mt19937 random(7);
  for (int i = 0; i < count; ++i) {
    std::string changed = bytes;
    for (uint32_t k = random() % 4 + 1; k > 0; --k) {
      char& byte = changed[random() % changed.size()];
      switch (random() % 4) {
        case 0:
          byte = static_cast<char>(random());
          break;
        case 1:
          byte = static_cast<char>(byte ^ (1 << random() % 8));
          break;
        case 2:
          byte = '\xff';
          break;
        default:
          byte = static_cast<char>(byte + 1);
          break;
      }
    }
    read(changed);
  }
}

std::string bytes_of(const std::function<Status(const std::string&)>& write) {
  TemporaryFolder folder;
  EXPECT_TRUE(write(folder.path("x")).ok());
  return folder.read("x");
}

TEST(Damage, Npy) {
  for (const Tensor& tensor : {Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6}),
                               Tensor::from<std::string>({2}, {"ab", "\xc3\xa9"})}) {
    std::string bytes = bytes_of([&](const std::string& path) { return write_npy(path, tensor); });
    damage(bytes, 3000, [&](const std::string& changed) {
      size_t at = 0;
      ByteSource source = [&](std::span<uint8_t> out) -> Status {
        EXPECT_LE(out.size(), changed.size() - at);
        std::copy_n(changed.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
        at += out.size();
        return {};
      };
      Result<Tensor> result = parse_npy(source, static_cast<int64_t>(changed.size()), small_limits());
      EXPECT_TRUE(result.ok() || !result.error().message.empty());
      EXPECT_TRUE(changed.size() == bytes.size() || !result.ok());
    });
  }
}

// A file in memory, for thousands of versions of it.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("test", MFD_CLOEXEC)) {}
  std::string write(const std::string& bytes) {
    EXPECT_EQ(::ftruncate(descriptor_.value(), 0), 0);
    EXPECT_EQ(::pwrite(descriptor_.value(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return "/proc/self/fd/" + std::to_string(descriptor_.value());
  }

 private:
  FileDescriptor descriptor_;
};

TEST(Damage, Npz) {
  MemoryFile file;
  std::string bytes = bytes_of([](const std::string& path) {
    return write_npz(path, {{"a", Tensor::scalar(1.f)}, {"b", Tensor::from<int64_t>({2}, {1, 2})}});
  });
  damage(bytes, 5000, [&](const std::string& changed) {
    Result<NamedTensors> result = read_npz(file.write(changed), small_limits());
    EXPECT_TRUE(changed.size() == bytes.size() || !result.ok());
  });
}

TEST(Damage, Pictures) {
  ImageDecodeOptions options;
  options.max_pixels = 1 << 16;
  for (const SamplePicture& sample : sample_pictures()) {
    damage(std::string(sample.file.begin(), sample.file.end()), 2000, [&](const std::string& changed) {
      Result<Image> image =
          decode_image({reinterpret_cast<const uint8_t*>(changed.data()), changed.size()}, options);
      if (!image.ok()) return;
      EXPECT_EQ(static_cast<int64_t>(image->pixels.size()), image->height * image->width * image->channels);
    });
  }
}

}  // namespace
}  // namespace gannet
