#include "runtime/training/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

namespace gannet {
namespace {

using testing::ElementsAre;

Tensor rows(int64_t count, int64_t width) {
  Tensor tensor = Tensor::zeros(DType::kI64, {count, width});
  auto data = tensor.mutable_data<int64_t>();
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<int64_t>(i) / width;
  return tensor;
}

std::vector<int64_t> epoch_of(Batches& batches, int64_t epoch) {
  batches.start_epoch(epoch);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    std::vector<Tensor> columns = batches.batch(i);
    std::vector<int64_t> labels = columns[1].ints(), wide = columns[0].ints();
    for (size_t row = 0; row < labels.size(); ++row) {
      EXPECT_EQ(wide[row * 3], labels[row]);  // the columns of a row stay together
      EXPECT_EQ(wide[row * 3 + 2], labels[row]);
    }
    order.insert(order.end(), labels.begin(), labels.end());
  }
  return order;
}

Batches make(int64_t count, int64_t size, uint64_t seed) {
  auto batches =
      Batches::make({{"x", rows(count, 3)}, {"label", rows(count, 1).reshaped({count})}}, size, seed);
  EXPECT_TRUE(batches.ok());
  return *std::move(batches);
}

TEST(Batches, EveryRowComesOnceAnEpoch) {
  Batches batches = make(10, 4, 7);
  EXPECT_EQ(batches.rows(), 10);
  EXPECT_EQ(batches.per_epoch(), 3);
  std::vector<int64_t> order = epoch_of(batches, 0);
  EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 10u);
  EXPECT_EQ(order.size(), 10u);
  EXPECT_EQ(batches.batch(2)[0].extents(), (std::vector<int64_t>{2, 3}));
  EXPECT_DEATH(batches.batch(3), "batch 3 of 3");
}

TEST(Batches, TheOrderFollowsSeedAndEpochAlone) {
  Batches a = make(100, 8, 7), b = make(100, 8, 7), other = make(100, 8, 8);
  epoch_of(b, 0);  // what came before does not matter
  epoch_of(b, 1);
  std::vector<int64_t> order = epoch_of(a, 5);
  EXPECT_EQ(order, epoch_of(b, 5));
  EXPECT_NE(order, epoch_of(a, 6));
  EXPECT_NE(order, epoch_of(other, 5));
  EXPECT_EQ(order, epoch_of(a, 5));
}

// Resuming on another machine must not change what is trained.
TEST(Batches, TheOrderIsTheSameEverywhere) {
  Batches batches = make(8, 8, 1);
  EXPECT_THAT(epoch_of(batches, 0), ElementsAre(3, 0, 7, 6, 5, 1, 4, 2));
  batches.start_in_order();
  EXPECT_THAT(batches.batch(0)[1].ints(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(Batches, ABatchIsNeverLargerThanTheData) {
  Batches batches = make(3, 100, 1);
  EXPECT_EQ(batches.per_epoch(), 1);
  EXPECT_EQ(batches.batch(0)[1].extents(), (std::vector<int64_t>{3}));
}

TEST(Batches, ColumnsMustFitTogether) {
  auto error = [](std::vector<std::pair<std::string, Tensor>> columns) {
    auto batches = Batches::make(std::move(columns), 2, 0);
    return batches.ok() ? "" : batches.error().message;
  };
  EXPECT_EQ(error({{"x", rows(3, 2)}, {"y", rows(4, 1)}}), "'y' has 4 rows, 'x' has 3");
  EXPECT_EQ(error({{"x", Tensor::zeros(DType::kF32, {0, 4})}}), "'x' has no rows: f32[0, 4]");
  EXPECT_EQ(error({{"x", Tensor::scalar(1.f)}}), "'x' has no rows: f32[]");
  EXPECT_EQ(error({{"x", Tensor::zeros(DType::kString, {2})}}), "'x' holds strings");
}

TEST(SplitRows, EveryClassGivesItsShare) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 100; ++i) labels.push_back(i < 60 ? 0 : i < 90 ? 1 : 2);
  const Tensor classes = Tensor::of_ints(labels);
  const auto split = split_rows(100, &classes, 0.1, 3);
  ASSERT_TRUE(split.ok());
  std::map<int64_t, int64_t> held_out;
  for (const int64_t row : split->held_out) ++held_out[labels[static_cast<size_t>(row)]];
  EXPECT_EQ(held_out, (std::map<int64_t, int64_t>{{0, 6}, {1, 3}, {2, 1}}));
  std::set<int64_t> all(split->train.begin(), split->train.end());
  all.insert(split->held_out.begin(), split->held_out.end());
  EXPECT_EQ(all.size(), 100u);
  EXPECT_EQ(split_rows(100, &classes, 0.1, 3)->held_out, split->held_out);
  EXPECT_NE(split_rows(100, &classes, 0.1, 4)->held_out, split->held_out);
}

TEST(SplitRows, AClassKeepsARowToTrainOn) {
  const Tensor classes = Tensor::of_ints(std::vector<int64_t>{0, 1, 1, 1, 2, 2});
  const auto split = split_rows(6, &classes, 0.9, 1);
  ASSERT_TRUE(split.ok());
  std::set<int64_t> trained;
  for (const int64_t row : split->train) trained.insert(classes.int_at(row));
  EXPECT_EQ(trained.size(), 3u);
}

TEST(SplitRows, SomethingIsLeftOnEitherSide) {
  EXPECT_EQ(split_rows(2, nullptr, 0.0001, 1)->held_out.size(), 1u);
  EXPECT_EQ(split_rows(2, nullptr, 0.9999, 1)->train.size(), 1u);
  EXPECT_FALSE(split_rows(1, nullptr, 0.5, 1).ok());
  const Tensor lone = Tensor::of_ints(std::vector<int64_t>{0, 1, 2});
  EXPECT_FALSE(split_rows(3, &lone, 0.4, 1).ok());
}

}  // namespace
}  // namespace gannet
