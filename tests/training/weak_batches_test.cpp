#include "runtime/training/weak_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "runtime/training/image_views.h"

namespace gannet {
namespace {

using testing::ElementsAre;

// Says of each row what was asked for: 100 * view + row, and the place.
class Echo final : public ViewSource {
 public:
  Result<BatchColumns> read(std::span<const WantedRow> wanted, int64_t batch) override {
    Tensor column = Tensor::zeros(DType::kI64, {static_cast<int64_t>(wanted.size()), 2});
    for (size_t i = 0; i < wanted.size(); ++i) {
      column.mutable_data<int64_t>()[2 * i] = 100 * static_cast<int64_t>(wanted[i].view) + wanted[i].row;
      column.mutable_data<int64_t>()[2 * i + 1] = 1000 * batch + static_cast<int64_t>(i);
    }
    return BatchColumns{column};
  }
};

constexpr int64_t kLabelledRows = 5, kOthers = 17;

WeakBatches::Rows rows() {
  WeakBatches::Rows rows;
  rows.source = std::make_shared<Echo>();
  rows.labelled = {0, 2, 4, 6, 8};
  rows.target = Tensor::zeros(DType::kI64, {10});
  for (size_t i = 0; i < 10; ++i) rows.target.mutable_data<int64_t>()[i] = static_cast<int64_t>(10 * i);
  for (int64_t i = 0; i < kOthers; ++i) rows.hidden.push_back(i % 4 - 1);
  return rows;
}

WeakBatches batches(UnlabelledViews views, const RampUp& ramp = {}) {
  WeakBatchOptions options;
  options.batch_size = 2;
  options.ratio = 3;
  options.views = views;
  options.weight = 8;
  options.ramp = ramp;
  options.seed = 4;
  return {rows(), options};
}

std::vector<int64_t> every_second(const Tensor& column) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < column.elements(); i += 2) values.push_back(column.int_at(i));
  return values;
}

TEST(WeakBatches, ALabelledRowStandsBeforeItsOthers) {
  WeakBatches source = batches(UnlabelledViews::kWeakAndStrong);
  EXPECT_EQ(source.per_epoch(), 3);  // 17 rows, 6 in a batch
  source.start_epoch(0);
  const Result<BatchColumns> batch = source.read(1);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->size(), 4u);
  const std::vector<int64_t> given = every_second((*batch)[0]);
  ASSERT_EQ(given.size(), 14u);
  for (size_t group = 0; group < 2; ++group) {
    const int64_t labelled = given[7 * group];
    EXPECT_LT(labelled, 100);
    EXPECT_EQ((*batch)[3].int_at(static_cast<int64_t>(group)), 10 * labelled);
    for (size_t i = 1; i <= 3; ++i) {
      const int64_t row = given[7 * group + i] - 100;
      EXPECT_EQ(given[7 * group + 3 + i], 200 + row);
      EXPECT_EQ((*batch)[1].int_at(static_cast<int64_t>(3 * group + i - 1)), row % 4 - 1);
    }
  }
  EXPECT_EQ(type_string((*batch)[1]), "i64[2, 3]");
  EXPECT_EQ((*batch)[2].double_at(1), 8);
}

TEST(WeakBatches, ATeacherSeesEachRowOnceMore) {
  WeakBatches source = batches(UnlabelledViews::kTwice);
  const Result<BatchColumns> batch = source.read(0);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->size(), 5u);
  EXPECT_EQ(every_second((*batch)[0]), every_second((*batch)[1]));
  EXPECT_EQ((*batch)[0].extent(0), 8);
  EXPECT_NE((*batch)[0].int_at(1), (*batch)[1].int_at(1));  // other places, other random numbers
}

// Every pass has every row once, whatever the batches are.
TEST(WeakBatches, PassesAreWhole) {
  WeakBatches source = batches(UnlabelledViews::kOne);
  std::vector<int64_t> others, labelled;
  for (int64_t epoch = 0; epoch < 17; ++epoch) {
    source.start_epoch(epoch);
    for (int64_t i = 0; i < 3; ++i) {
      const std::vector<int64_t> given = every_second((*source.read(i))[0]);
      for (const int64_t value : given) (value < 100 ? labelled : others).push_back(value);
    }
  }
  for (size_t first = 0; first + kOthers <= others.size(); first += kOthers) {
    const auto begin = others.begin() + static_cast<std::ptrdiff_t>(first);
    EXPECT_EQ(std::set<int64_t>(begin, begin + kOthers).size(), static_cast<size_t>(kOthers));
  }
  for (size_t first = 0; first + kLabelledRows <= labelled.size(); first += kLabelledRows) {
    const auto begin = labelled.begin() + static_cast<std::ptrdiff_t>(first);
    EXPECT_EQ(std::set<int64_t>(begin, begin + kLabelledRows).size(), static_cast<size_t>(kLabelledRows));
  }
  EXPECT_NE(std::vector(others.begin(), others.begin() + kOthers),
            std::vector(others.begin() + kOthers, others.begin() + 2 * kOthers));
}

TEST(WeakBatches, AreAFunctionOfTheirNumber) {
  WeakBatches one = batches(UnlabelledViews::kWeakAndStrong), two = batches(UnlabelledViews::kWeakAndStrong);
  one.start_epoch(0);
  for (int64_t i = 0; i < 3; ++i) ASSERT_TRUE(one.read(i).ok());
  one.start_epoch(5);
  two.start_epoch(5);
  EXPECT_TRUE((*two.read(2))[0].identical((*one.read(2))[0]));
}

TEST(WeakBatches, TheWeightGrowsWithTheUpdates) {
  WeakBatches source = batches(UnlabelledViews::kOne, {RampShape::kLinear, 2, 6});
  std::vector<double> weights;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    source.start_epoch(epoch);
    for (int64_t i = 0; i < 3; ++i) weights.push_back((*source.read(i))[2].double_at(0));
  }
  EXPECT_THAT(weights, ElementsAre(0, 0, 0, 2, 4, 6, 8, 8, 8));
  EXPECT_NEAR(ramp_at({RampShape::kGaussian, 0, 10}, 5), std::exp(-1.25), 1e-15);
  EXPECT_EQ(ramp_at({RampShape::kGaussian, 0, 0}, 0), 1);
}

// Fewer rows than a batch takes come several times.
TEST(WeakBatches, FewRowsAreEnough) {
  WeakBatches::Rows few = rows();
  few.hidden = {1};
  few.labelled = {3};
  WeakBatchOptions options;
  options.batch_size = 32;
  WeakBatches source(std::move(few), options);
  EXPECT_EQ(source.per_epoch(), 1);
  const Result<BatchColumns> batch = source.read(0);
  ASSERT_TRUE(batch.ok());
  EXPECT_THAT(every_second((*batch)[0]), ElementsAre(3, 100, 100, 100, 200, 200, 200));
}

// Of place p, class p mod 10 and a grey of p.
class Greys final : public SyntheticPictures {
 public:
  int64_t class_of(int64_t place) const override { return place % 10; }
  Result<std::vector<Image>> make(std::span<const int64_t> places) override {
    std::vector<Image> images;
    for (const int64_t place : places)
      images.push_back({3, 3, 1, std::vector<uint8_t>(9, static_cast<uint8_t>(place))});
    return images;
  }
};

// Synthetic rows of both kinds take part in the passes, with places of their own in each.
TEST(WeakBatches, SyntheticRowsAreNewInEachPass) {
  WeakBatches::Rows mixed = rows();
  mixed.synthetic_labelled = {std::make_shared<Greys>(), 3};
  mixed.synthetic_others = {std::make_shared<Greys>(), 4};
  mixed.target_of_class = mixed.target;
  WeakBatchOptions options;
  options.batch_size = 2;
  options.ratio = 3;
  options.views = UnlabelledViews::kOne;
  WeakBatches source(std::move(mixed), options);
  EXPECT_EQ(source.rows(), 8);
  EXPECT_EQ(source.per_epoch(), 4);  // 21 rows, 6 in a batch
  std::vector<int64_t> labelled, others;
  for (int64_t epoch = 0; epoch < 8; ++epoch) {
    source.start_epoch(epoch);
    for (int64_t i = 0; i < 4; ++i) {
      const BatchColumns batch = *source.read(i);
      const std::vector<int64_t> given = every_second(batch[0]);
      for (size_t k = 0; k < given.size(); ++k) {
        const bool has_label = k % 4 == 0;
        const int64_t row = given[k] - (has_label ? 0 : 100);
        (has_label ? labelled : others).push_back(row);
        const auto group = static_cast<int64_t>(k / 4);
        if (has_label) {
          EXPECT_EQ(batch[3].int_at(group), row < 10 ? 10 * row : (row - 10) % 10 * 10);
        } else if (row >= kOthers) {
          EXPECT_EQ(batch[1].int_at(3 * group + static_cast<int64_t>(k % 4) - 1), -1);
        }
      }
    }
  }
  const auto synthetic_of = [](const std::vector<int64_t>& all, int64_t files, int64_t in_pass, size_t pass) {
    std::set<int64_t> places;
    for (size_t i = pass * static_cast<size_t>(in_pass); i < (pass + 1) * static_cast<size_t>(in_pass); ++i) {
      if (all[i] >= files) places.insert(all[i] - files);
    }
    return std::vector<int64_t>(places.begin(), places.end());
  };
  EXPECT_THAT(synthetic_of(labelled, 10, 8, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(synthetic_of(labelled, 10, 8, 5), ElementsAre(15, 16, 17));
  EXPECT_THAT(synthetic_of(others, kOthers, 21, 0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(synthetic_of(others, kOthers, 21, 3), ElementsAre(12, 13, 14, 15));
}

// All rows without labels may be synthetic.
TEST(WeakBatches, SyntheticRowsAreEnough) {
  WeakBatches::Rows alone = rows();
  alone.hidden.clear();
  alone.synthetic_others = {std::make_shared<Greys>(), 12};
  WeakBatchOptions options;
  options.batch_size = 2;
  WeakBatches source(std::move(alone), options);
  EXPECT_EQ(source.per_epoch(), 3);
  EXPECT_TRUE(source.read(2).ok());
}

std::shared_ptr<const ImageRows> pictures(int64_t count, uint8_t grey) {
  auto rows = std::make_shared<ImageRows>();
  rows->store = std::make_shared<ImageStore>(
      count,
      [grey](int64_t index) {
        Image image{6, 6, 1, std::vector<uint8_t>(36)};
        for (size_t i = 0; i < 36; ++i)
          image.pixels[i] = static_cast<uint8_t>(grey + i + static_cast<size_t>(index));
        return Result<Image>(std::move(image));
      },
      1 << 20);
  for (int64_t i = 0; i < count; ++i) rows->pictures.push_back(i);
  return rows;
}

// Grey pictures of 6 x 6 pixels as they are.
ImageViewOptions of_six_pixels() {
  ImageViewOptions options;
  options.image.height = options.image.width = 6;
  options.image.channels = 1;
  options.image.scale = 1;
  return options;
}

TEST(ImageViews, EachViewHasItsChangesForAnyNumberOfThreads) {
  ImageViewOptions options = of_six_pixels();
  options.weak = *Augmentation::parse("crop=2");
  options.strong = *Augmentation::parse("invert=1");
  options.threads = 1;
  const auto labelled = pictures(3, 10), others = pictures(4, 100);
  const std::vector<WantedRow> wanted = {
      {View::kLabelled, 2}, {View::kWeak, 1}, {View::kWeak, 1}, {View::kStrong, 3}};
  auto views = make_image_views(labelled, others, options);
  ASSERT_TRUE(views.ok());
  const Tensor first = (*(*views)->read(wanted, 7))[0];
  EXPECT_EQ(first.double_at(0), 12);
  EXPECT_EQ(first.double_at(3 * 36), 255 - 103);
  bool differ = false;
  for (int64_t i = 0; i < 36; ++i) differ |= first.double_at(36 + i) != first.double_at(72 + i);
  EXPECT_TRUE(differ);
  options.threads = 2;
  EXPECT_TRUE((*(*(*make_image_views(labelled, others, options))->read(wanted, 7)).begin()).identical(first));
  EXPECT_FALSE((*(*views)->read(wanted, 8))[0].identical(first));
}

TEST(ImageViews, ViewsOfASyntheticRowAreOfOnePicture) {
  ImageViewOptions options = of_six_pixels();
  options.strong = *Augmentation::parse("invert=1");
  auto others = std::make_shared<ImageRows>(*pictures(4, 100));
  others->synthetic = {std::make_shared<Greys>(), 2};
  auto views = make_image_views(pictures(3, 10), others, options);
  const std::vector<WantedRow> wanted = {
      {View::kLabelled, 0}, {View::kWeak, 4 + 33}, {View::kStrong, 4 + 33}, {View::kWeak, 3}};
  const Result<BatchColumns> batch = (*views)->read(wanted, 0);
  ASSERT_TRUE(batch.ok()) << batch.error().message;
  const Tensor& column = (*batch)[0];
  EXPECT_EQ(column.double_at(36), 33);
  EXPECT_EQ(column.double_at(2 * 36), 255 - 33);
  EXPECT_EQ(column.double_at(3 * 36), 103);
}

}  // namespace
}  // namespace gannet
