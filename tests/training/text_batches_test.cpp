#include "runtime/training/text_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "ir/base/random.h"

namespace gannet {
namespace {

using testing::ElementsAre;

// Row r has lengths[r] tokens of the number 100 + r; the second half of them is of type 1.
std::shared_ptr<const TokenRows> rows_of_lengths(const std::vector<int64_t>& lengths) {
  auto tokens = std::make_shared<TokenRows>();
  for (size_t row = 0; row < lengths.size(); ++row) {
    for (int64_t i = 0; i < lengths[row]; ++i) {
      tokens->ids.push_back(static_cast<int32_t>(100 + row));
      tokens->types.push_back(2 * i >= lengths[row]);
    }
    tokens->begins.push_back(static_cast<int64_t>(tokens->ids.size()));
  }
  return tokens;
}

std::vector<int64_t> numbers(int64_t count) {
  std::vector<int64_t> result(static_cast<size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

TokenLayout bert_layout(int64_t longest) {
  TokenLayout layout;
  layout.inputs = {
      {TokenRole::kIds, DType::kI64}, {TokenRole::kMask, DType::kF32}, {TokenRole::kTypes, DType::kI32}};
  layout.longest = longest;
  return layout;
}

TEST(TextBatches, InputsHaveTheirRolesAndTypes) {
  TokenLayout layout = bert_layout(8);
  layout.inputs.push_back({TokenRole::kPositions, DType::kI64});
  layout.pad_id = 7;
  const auto tokens = rows_of_lengths({2, 3});
  const BatchColumns columns = token_columns(*tokens, std::vector<int64_t>{1, 0}, 3, layout);
  EXPECT_THAT(columns[0].data<int64_t>(), ElementsAre(101, 101, 101, 100, 100, 7));
  EXPECT_THAT(columns[1].data<float>(), ElementsAre(1, 1, 1, 1, 1, 0));
  EXPECT_THAT(columns[2].data<int32_t>(), ElementsAre(0, 0, 1, 0, 1, 0));
  EXPECT_THAT(columns[3].data<int64_t>(), ElementsAre(0, 1, 2, 0, 1, 2));
}

TEST(TextBatches, LengthsAreRoundedUpToTheMultipleButNotBeyondTheLongest) {
  TokenLayout layout = bert_layout(10);
  layout.multiple = 4;
  EXPECT_EQ(padded_length(0, layout), 4);
  EXPECT_EQ(padded_length(4, layout), 4);
  EXPECT_EQ(padded_length(5, layout), 8);
  EXPECT_EQ(padded_length(9, layout), 10);
}

class PaddedBatches : public testing::TestWithParam<Padding> {
 protected:
  static constexpr int64_t kRows = 997;

  PaddedBatches() {
    Random random(3);
    std::vector<int64_t> lengths;
    for (int64_t row = 0; row < kRows; ++row) lengths.push_back(2 + static_cast<int64_t>(random.below(60)));
    tokens_ = rows_of_lengths(lengths);
  }
  TextBatches make(uint64_t seed, bool join = false) const {
    const std::vector<int64_t> all = numbers(kRows);
    return {tokens_, Tensor::of_ints(all), all, bert_layout(64), {12, seed, GetParam(), join}};
  }
  // The rows of each batch by their target, and how many tokens are padding.
  static std::vector<std::vector<int64_t>> read_all(TextBatches& batches, int64_t* cells = nullptr) {
    std::vector<std::vector<int64_t>> all;
    for (int64_t i = 0; i < batches.per_epoch(); ++i) {
      const BatchColumns columns = *batches.read(i);
      all.push_back(columns.back().ints());
      EXPECT_EQ(columns[0].extent(0), static_cast<int64_t>(all.back().size()));
      for (size_t row = 0; row < all.back().size(); ++row)
        EXPECT_EQ(columns[0].int_at(static_cast<int64_t>(row) * columns[0].extent(1)), 100 + all.back()[row]);
      if (cells) *cells += columns[0].elements();
    }
    return all;
  }

  std::shared_ptr<const TokenRows> tokens_;
};

INSTANTIATE_TEST_SUITE_P(All, PaddedBatches,
                         testing::Values(Padding::kBuckets, Padding::kBatch, Padding::kFixed));

TEST_P(PaddedBatches, EveryEpochHasEachRowOnceInAnOrderOfItsOwn) {
  TextBatches batches = make(1);
  std::set<std::vector<std::vector<int64_t>>> orders;
  for (const int64_t epoch : {0, 1, 2}) {
    batches.start_epoch(epoch);
    const auto read = read_all(batches);
    EXPECT_EQ(static_cast<int64_t>(read.size()), batches.per_epoch());
    std::vector<int64_t> rows;
    for (const auto& batch : read) rows.insert(rows.end(), batch.begin(), batch.end());
    std::ranges::sort(rows);
    EXPECT_EQ(rows, numbers(kRows));
    orders.insert(read);
  }
  EXPECT_EQ(orders.size(), 3U);
}

TEST_P(PaddedBatches, AnEpochDependsOnTheSeedAndItsNumberAlone) {
  TextBatches a = make(1), b = make(1), other = make(2);
  a.start_epoch(0);
  read_all(a);
  a.start_in_order();
  a.start_epoch(5);
  b.start_epoch(5);
  other.start_epoch(5);
  const auto first = read_all(a);
  EXPECT_EQ(first, read_all(b));
  EXPECT_NE(first, read_all(other));
}

TEST_P(PaddedBatches, EvaluationHasAllRowsAndTheLargestBatchFirst) {
  TextBatches batches = make(1);
  batches.start_in_order();
  int64_t largest = 0;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    const BatchColumns columns = *batches.read(i);
    if (i == 0) largest = columns[0].elements();
    EXPECT_LE(columns[0].elements(), largest);
    const auto targets = columns.back().ints();
    rows.insert(rows.end(), targets.begin(), targets.end());
  }
  std::ranges::sort(rows);
  EXPECT_EQ(rows, numbers(kRows));
}

TEST_P(PaddedBatches, ALoneRowJoinsTheBatchBefore) {
  TextBatches alone = make(1), joined = make(1, true);
  EXPECT_EQ(kRows % 12, 1);
  EXPECT_EQ(alone.per_epoch(), 84);
  EXPECT_EQ(joined.per_epoch(), 83);
  joined.start_epoch(0);
  size_t rows = 0;
  for (const auto& batch : read_all(joined)) {
    EXPECT_GE(batch.size(), 12U);
    rows += batch.size();
  }
  EXPECT_EQ(rows, static_cast<size_t>(kRows));
}

TEST_P(PaddedBatches, BucketsLeaveLittlePadding) {
  TextBatches batches = make(1);
  batches.start_epoch(0);
  int64_t cells = 0;
  read_all(batches, &cells);
  const double share = static_cast<double>(tokens_->ids.size()) / static_cast<double>(cells);
  if (GetParam() == Padding::kBuckets) {
    EXPECT_GT(share, 0.95);
  } else if (GetParam() == Padding::kBatch) {
    EXPECT_LT(share, 0.7);
  } else {
    EXPECT_EQ(cells, kRows * 64);
  }
}

}  // namespace
}  // namespace gannet
