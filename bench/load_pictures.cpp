// What batches of pictures cost one core: reading all files of a folder once, then an epoch of batches of 64 of
// 32 x 32, by augmentation. Usage: bench_load_pictures FOLDER
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "runtime/training/image_batches.h"

namespace gannet {
namespace {

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Status run(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && is_image_name(entry.path().string())) files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  const auto count = static_cast<int64_t>(files.size());
  auto rows = std::make_shared<ImageRows>();
  constexpr int64_t kBudget = int64_t{2} << 30;
  rows->store = std::make_shared<ImageStore>(
      count, [files](int64_t index) { return read_image(files[static_cast<size_t>(index)]); }, kBudget);
  double start = processor_seconds();
  rows->store->scan(1, false);
  fmt::print("reading {} pictures: {:.3f} s\n", count, processor_seconds() - start);
  rows->target = Tensor::zeros(DType::kI64, {count});
  std::vector<int64_t> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(i);
  rows->pictures = all;
  for (const char* line : {"none", "flip,crop=4", "flip,crop=4,color=0.2", "randaugment=2:9"}) {
    ImageBatchOptions options;
    options.batch_size = 64;
    options.image.height = options.image.width = 32;
    options.image.channels = 3;
    options.threads = 1;
    options.augmentation = TRY(Augmentation::parse(line));
    const auto batches = TRY(ImageBatches::make(rows, all, options));
    start = processor_seconds();
    batches->start_epoch(1);
    for (int64_t i = 0; i < batches->per_epoch(); ++i) {
      const Result<BatchColumns> batch = batches->read(i);
      if (!batch.ok()) return batch.error();
    }
    fmt::print("{}: {:.3f} s an epoch\n", line, processor_seconds() - start);
  }
  return {};
}

}  // namespace
}  // namespace gannet

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: bench_load_pictures FOLDER\n");
    return 2;
  }
  const gannet::Status status = gannet::run(argv[1]);
  if (!status.ok()) fmt::print(stderr, "error: {}\n", status.error().message);
  return status.ok() ? 0 : 1;
}
