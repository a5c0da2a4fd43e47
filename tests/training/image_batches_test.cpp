#include "runtime/training/image_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "runtime/training/prefetch.h"
#include "runtime/training/row_order.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Image picture(int64_t index, int64_t height = 8, int64_t width = 8) {
  Random random(9, static_cast<uint64_t>(index));
  Image image{height, width, 3, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.below(256));
  return image;
}

std::shared_ptr<const ImageRows> rows_of(int64_t count, int64_t budget = 1 << 20) {
  auto rows = std::make_shared<ImageRows>();
  rows->store = std::make_shared<ImageStore>(
      count, [](int64_t index) { return Result<Image>(picture(index)); }, budget);
  rows->target = Tensor::zeros(DType::kF32, {count, 3});
  for (int64_t i = 0; i < count; ++i) {
    rows->pictures.push_back(i);
    rows->target.mutable_data<float>()[static_cast<size_t>(3 * i + i % 3)] = 1;
  }
  return rows;
}

ImageBatchOptions options_of(std::string_view augmentation, int threads) {
  ImageBatchOptions options;
  options.batch_size = 5;
  options.seed = 11;
  options.image.height = options.image.width = 8;
  options.image.channels = 3;
  options.augmentation = *Augmentation::parse(augmentation);
  options.threads = threads;
  return options;
}

std::vector<int64_t> all(int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// The bytes of all batches of an epoch; -1: in order.
std::string bytes_of(BatchSource& source, int64_t epoch) {
  if (epoch < 0)
    source.start_in_order();
  else
    source.start_epoch(epoch);
  std::string bytes;
  for (int64_t i = 0; i < source.per_epoch(); ++i) {
    const BatchColumns batch = *source.read(i);
    for (const Tensor& column : batch)
      bytes.append(static_cast<const char*>(column.raw()), static_cast<size_t>(column.bytes()));
  }
  return bytes;
}

constexpr const char* kEverything =
    "flip,crop=2,rotate=20,color=0.3:0.1,blur=1,cutout=3,randaugment,mixup=0.4,cutmix=1";

TEST(ImageBatches, DoNotDependOnThreadsBudgetOrPrefetch) {
  const auto expected = ImageBatches::make(rows_of(23), all(23), options_of(kEverything, 1));
  const auto threaded = ImageBatches::make(rows_of(23, 500), all(23), options_of(kEverything, 3));
  Prefetch prefetched(*ImageBatches::make(rows_of(23), all(23), options_of(kEverything, 2)));
  for (const int64_t epoch : {0, 1, -1, 0}) {
    const std::string bytes = bytes_of(**expected, epoch);
    EXPECT_EQ(bytes, bytes_of(**threaded, epoch)) << epoch;
    EXPECT_EQ(bytes, bytes_of(prefetched, epoch)) << epoch;
  }
  EXPECT_NE(bytes_of(**expected, 0), bytes_of(**expected, 1));
}

TEST(ImageBatches, ReadsAnyBatchAlone) {
  Prefetch prefetched(*ImageBatches::make(rows_of(23), all(23), options_of(kEverything, 2)));
  const auto expected = ImageBatches::make(rows_of(23), all(23), options_of(kEverything, 1));
  prefetched.start_epoch(2);
  (*expected)->start_epoch(2);
  for (const int64_t index : {3, 4, 0, 0, 2, 1}) {
    const BatchColumns got = *prefetched.read(index), want = *(*expected)->read(index);
    ASSERT_EQ(got[0].extents(), want[0].extents());
    EXPECT_TRUE(std::ranges::equal(got[0].data<float>(), want[0].data<float>())) << index;
  }
}

TEST(ImageBatches, EvaluatesPicturesAsTheyAre) {
  auto batches = *ImageBatches::make(rows_of(6), {4, 2}, options_of(kEverything, 1));
  const BatchColumns batch = *batches->read(0);
  EXPECT_THAT(batch[0].extents(), ElementsAre(2, 3, 8, 8));
  const Image first = picture(4);
  EXPECT_EQ(batch[0].data<float>()[65], static_cast<float>(first.at(0, 1, 1) / 255.0));
  EXPECT_THAT(batch[1].data<float>(), ElementsAre(0, 1, 0, 0, 0, 1));
}

TEST(ImageBatches, JoinsALoneRow) {
  ImageBatchOptions options = options_of("none", 1);
  EXPECT_EQ((*ImageBatches::make(rows_of(11), all(11), options))->per_epoch(), 3);
  options.join_lone_row = true;
  const auto batches = *ImageBatches::make(rows_of(11), all(11), options);
  EXPECT_EQ(batches->per_epoch(), 2);
  EXPECT_EQ(batches->read(1)->at(0).extent(0), 6);
}

TEST(ImageBatches, MixingNeedsTargetsOfClasses) {
  auto rows = std::make_shared<ImageRows>(*rows_of(4));
  rows->target = Tensor::zeros(DType::kI64, {4});
  EXPECT_THAT(ImageBatches::make(rows, all(4), options_of("mixup", 1)).error().message,
              HasSubstr("mixup and cutmix need"));
}

// Pictures whose first pixel says their place; the class of place p is p mod 3.
class Placed final : public SyntheticPictures {
 public:
  explicit Placed(int64_t side) : side_(side) {}
  int64_t class_of(int64_t place) const override { return place % 3; }
  Result<std::vector<Image>> make(std::span<const int64_t> places) override {
    std::vector<Image> images;
    for (const int64_t place : places) {
      Image image{side_, side_, 3,
                  std::vector<uint8_t>(static_cast<size_t>(side_ * side_ * 3), static_cast<uint8_t>(place))};
      images.push_back(std::move(image));
    }
    return images;
  }

 private:
  int64_t side_;
};

std::shared_ptr<const ImageRows> with_synthetic(int64_t files, int64_t per_pass, int64_t side = 8) {
  auto rows = std::make_shared<ImageRows>(*rows_of(files));
  rows->synthetic = {std::make_shared<Placed>(side), per_pass};
  rows->target_of_class = Tensor::zeros(DType::kF32, {3, 3});
  for (size_t i = 0; i < 3; ++i) rows->target_of_class.mutable_data<float>()[4 * i] = 1;
  return rows;
}

TEST(ImageBatches, SyntheticRowsHaveTheirShareOfEachEpochAndNeverComeTwice) {
  ImageBatchOptions options = options_of("none", 1);
  options.image.scale = 1;
  const auto batches = *ImageBatches::make(with_synthetic(20, 7), all(20), options);
  EXPECT_EQ(batches->rows(), 27);
  EXPECT_EQ(batches->per_epoch(), 6);
  for (const int64_t epoch : {0, 1, 5}) {
    batches->start_epoch(epoch);
    std::set<int64_t> places;
    int64_t rows = 0;
    bool first_half = false, second_half = false;
    for (int64_t i = 0; i < batches->per_epoch(); ++i) {
      const BatchColumns batch = *batches->read(i);
      const int64_t count = batch[0].extent(0);
      for (int64_t row = 0; row < count; ++row, ++rows) {
        const std::span<const float> pixels =
            batch[0].data<float>().subspan(static_cast<size_t>(row * 192), 192);
        if (std::ranges::adjacent_find(pixels, std::not_equal_to()) != pixels.end()) continue;
        const auto place = static_cast<int64_t>(pixels[0]);
        EXPECT_TRUE(places.empty() || place > *places.rbegin());
        places.insert(place);
        EXPECT_EQ(batch[1].data<float>()[static_cast<size_t>(3 * row + place % 3)], 1);
        (rows < 14 ? first_half : second_half) = true;
      }
    }
    EXPECT_EQ(rows, 27);
    EXPECT_EQ(places.size(), 7u);
    EXPECT_EQ(*places.begin(), 7 * epoch);
    EXPECT_EQ(*places.rbegin(), 7 * epoch + 6);
    EXPECT_TRUE(first_half && second_half) << epoch;
  }
  const BatchColumns last = (batches->start_in_order(), *batches->read(5));
  EXPECT_EQ(last[0].data<float>()[192], 6);
}

// Of another size, changed like the others, balanced classes of files beside them.
TEST(ImageBatches, SyntheticRowsDoNotDependOnThreadsPrefetchOrOrder) {
  for (const char* changes : {kEverything, "resized-crop,mixup=0.4"}) {
    const auto make = [&](int threads) {
      ImageBatchOptions options = options_of(changes, threads);
      for (int64_t i = 0; i < 23; ++i) options.balance_by.push_back(i % 3);
      return *ImageBatches::make(with_synthetic(23, 9, 11), all(23), options);
    };
    const auto expected = make(1), threaded = make(3);
    Prefetch prefetched(make(2));
    for (const int64_t epoch : {0, 1, -1, 0}) {
      const std::string bytes = bytes_of(*expected, epoch);
      EXPECT_EQ(bytes, bytes_of(*threaded, epoch)) << epoch;
      EXPECT_EQ(bytes, bytes_of(prefetched, epoch)) << epoch;
    }
    EXPECT_NE(bytes_of(*expected, 0), bytes_of(*expected, 1));
    expected->start_epoch(3);
    threaded->start_epoch(3);
    EXPECT_TRUE((*expected->read(4))[0].identical((*threaded->read(4))[0]));
  }
}

TEST(ImageStore, KeepsWhatFitsAndNamesWhatIsBroken) {
  std::atomic<int> reads = 0;
  auto reader = [&](int64_t index) -> Result<Image> {
    ++reads;
    if (index == 3 || index == 7) return invalid_input("picture " + std::to_string(index));
    return picture(index);
  };
  ImageStore store(10, reader, 1 << 20);
  const auto problems = store.scan(3, false);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].index, 3);
  EXPECT_EQ(problems[1].text, "picture 7");
  EXPECT_EQ(reads, 10);
  EXPECT_TRUE(store.is_complete());
  EXPECT_EQ((*store.get(2))->pixels, picture(2).pixels);
  EXPECT_EQ(reads, 10);
  ImageStore small(10, reader, 3 * (192 + static_cast<int64_t>(sizeof(Image))));
  EXPECT_EQ(small.scan(2, false).size(), 2u);
  EXPECT_FALSE(small.is_complete());
  EXPECT_EQ(small.kept_bytes(), 3 * (192 + static_cast<int64_t>(sizeof(Image))));
  reads = 0;
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(small.get(i).ok(), i != 3 && i != 7);
  EXPECT_EQ(reads, 7);
}

TEST(RowOrder, BalancesClassesOverEpochs) {
  std::vector<int64_t> classes(90, 0);
  for (size_t i = 0; i < 9; ++i) classes[i] = 1;
  classes[40] = 2;
  std::map<int64_t, int> seen_rows, seen_classes;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const std::vector<int64_t> order = balanced_rows(classes, 3, epoch);
    ASSERT_EQ(order.size(), 90u);
    EXPECT_EQ(order, balanced_rows(classes, 3, epoch));
    for (const int64_t row : order) {
      ++seen_rows[row];
      ++seen_classes[classes[static_cast<size_t>(row)]];
    }
  }
  EXPECT_THAT(seen_classes, ElementsAre(std::pair(0, 150), std::pair(1, 150), std::pair(2, 150)));
  EXPECT_EQ(seen_rows.size(), 90u);
  for (const auto& [row, count] : seen_rows) {
    const int64_t label = classes[static_cast<size_t>(row)];
    if (label == 0) {
      EXPECT_LE(count, 2);
    } else if (label == 1) {
      EXPECT_LE(std::abs(count - 16), 1);
    }
  }
}

}  // namespace
}  // namespace gannet
