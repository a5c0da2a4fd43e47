#include "runtime/data/label_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/base/random.h"

namespace gannet {
namespace {

using testing::ElementsAre;

struct Planted {
  VoteTable table;
  std::vector<int32_t> truth;
  std::vector<double> accuracies;  // as they came out
};

// Functions that are right with these chances, and otherwise say any other class.
Planted plant(const std::vector<double>& chances, const std::vector<double>& coverages, int32_t classes,
              int64_t rows, uint64_t seed) {
  Planted planted;
  Random random(seed);
  for (int32_t k = 0; k < classes; ++k) planted.table.classes.push_back("c" + std::to_string(k));
  for (size_t f = 0; f < chances.size(); ++f) planted.table.functions.push_back("f" + std::to_string(f));
  for (int64_t row = 0; row < rows; ++row) {
    const auto truth =
        static_cast<int32_t>(random.uniform_double() * random.uniform_double() * classes);  // skewed
    planted.truth.push_back(truth);
    for (size_t f = 0; f < chances.size(); ++f) {
      int32_t vote = truth;
      if (random.uniform_double() >= chances[f])
        vote = (truth + 1 + static_cast<int32_t>(random.below(static_cast<uint64_t>(classes - 1)))) % classes;
      planted.table.votes.push_back(random.uniform_double() < coverages[f] ? vote : kAbstains);
    }
  }
  planted.accuracies = measured_accuracies(planted.table, planted.truth);
  return planted;
}

double accuracy(const std::vector<int32_t>& labels, const std::vector<int32_t>& truth) {
  double right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += labels[i] == truth[i];
  return right / static_cast<double>(labels.size());
}

const std::vector<double> kChances = {0.95, 0.9, 0.8, 0.75, 0.65, 0.6, 0.58, 0.55};
const std::vector<double> kCoverages = {0.5, 0.6, 0.4, 0.9, 0.8, 1, 0.7, 0.9};

TEST(LabelModel, RecoversPlantedAccuraciesAndBeatsTheMajority) {
  for (const int32_t classes : {2, 4}) {
    for (const uint64_t seed : {1, 2, 3}) {
      const Planted planted = plant(kChances, kCoverages, classes, 8000, seed);
      const LabelModel model = fit_label_model(planted.table, {});
      for (size_t f = 0; f < kChances.size(); ++f) {
        EXPECT_NEAR(model.accuracies[f], planted.accuracies[f], 0.02)
            << classes << " classes, function " << f;
        EXPECT_NEAR(model.accuracies[f], kChances[f], 0.03) << classes << " classes, function " << f;
      }
      const double by_model = accuracy(likeliest(model.probabilities, classes, 0), planted.truth);
      const double by_majority =
          accuracy(likeliest(majority_shares(planted.table), classes, 0), planted.truth);
      EXPECT_GT(by_model, by_majority + 0.01) << classes;
    }
  }
}

// For two classes and full coverage the rates are known in closed form once the truth is: a model started at
// the truth stays there.
TEST(LabelModel, GivesDistributions) {
  const Planted planted = plant({0.9, 0.8, 0.7}, {0.5, 0.5, 0.5}, 3, 400, 5);
  const LabelModel model = fit_label_model(planted.table, {});
  double prior = 0;
  for (const double share : model.prior) prior += share;
  EXPECT_NEAR(prior, 1, 1e-9);
  for (int64_t row = 0; row < planted.table.rows(); ++row) {
    double sum = 0;
    for (size_t k = 0; k < 3; ++k) sum += model.probabilities[static_cast<size_t>(row) * 3 + k];
    ASSERT_NEAR(sum, 1, 1e-9);
  }
  EXPECT_GT(model.rounds, 1);
}

TEST(LabelModel, RoundsNeverLowerTheLikelihood) {
  const Planted planted = plant(kChances, kCoverages, 3, 500, 6);
  double before = -HUGE_VAL;
  for (int64_t rounds = 1; rounds < 30; ++rounds) {
    LabelModelOptions options;
    options.smoothing = 0;
    options.most_rounds = rounds;
    const double now = fit_label_model(planted.table, options).log_likelihood;
    EXPECT_GE(now, before - 1e-12);
    before = now;
  }
}

TEST(LabelModel, KeepsAGivenPrior) {
  const Planted planted = plant({0.8, 0.8, 0.8}, {1, 1, 1}, 2, 300, 7);
  LabelModelOptions options;
  options.prior = {0.25, 0.75};
  EXPECT_THAT(fit_label_model(planted.table, options).prior, ElementsAre(0.25, 0.75));
}

// Functions that each know one class: a plain model of what they say would learn nothing of them.
TEST(LabelModel, LearnsFromFunctionsOfOneClass) {
  Random random(4);
  VoteTable table{{"a", "b", "c", "d"}, {"no", "yes"}, {}};
  std::vector<int32_t> truth;
  const std::vector<double> when_yes = {0.8, 0.6, 0.1, 0.2}, when_no = {0.1, 0.2, 0.7, 0.6};
  for (int i = 0; i < 6000; ++i) {
    truth.push_back(random.uniform_double() < 0.4);
    for (size_t f = 0; f < 4; ++f) {
      const double chance = truth.back() == 1 ? when_yes[f] : when_no[f];
      table.votes.push_back(random.uniform_double() < chance ? (f < 2 ? 1 : 0) : kAbstains);
    }
  }
  const LabelModel model = fit_label_model(table, {});
  const std::vector<double> expected = measured_accuracies(table, truth);
  for (size_t f = 0; f < 4; ++f) EXPECT_NEAR(model.accuracies[f], expected[f], 0.03) << f;
  EXPECT_NEAR(model.prior[1], 0.4, 0.03);
  EXPECT_GT(accuracy(likeliest(model.probabilities, 2, 0), truth),
            accuracy(likeliest(majority_shares(table), 2, 0), truth));
}

// That they say nothing would explain so few rows as well.
TEST(LabelModel, BelievesFunctionsThatAgreeOnAFewRows) {
  for (const auto& votes : {std::vector<int32_t>{0, 0, 0, 1, 1, 1}, {0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}}) {
    const VoteTable table{{"a", "b", "c"}, {"x", "y"}, votes};
    const LabelModel model = fit_label_model(table, {});
    for (int64_t row = 0; row < table.rows(); ++row) EXPECT_GT(model.probabilities[static_cast<size_t>(2 * row + row % 2)], 0.9) << row;
    for (const double accuracy : model.accuracies) EXPECT_GT(accuracy, 0.9);
  }
}

TEST(LabelModel, CountsVotes) {
  const VoteTable table{{"a", "b", "c"}, {"x", "y"}, {0, 0, -1, 0, 1, -1, 1, -1, -1, -1, -1, -1}};
  const std::vector<FunctionStatistics> statistics = vote_statistics(table);
  EXPECT_EQ(statistics[0].coverage, 0.75);
  EXPECT_EQ(statistics[0].overlap, 0.5);
  EXPECT_EQ(statistics[0].conflict, 0.25);
  EXPECT_EQ(statistics[1].votes, 2);
  EXPECT_EQ(statistics[2].coverage, 0);
  const std::vector<double> shares = majority_shares(table);
  EXPECT_THAT(shares, ElementsAre(1, 0, 0.5, 0.5, 0, 1, 0, 0));
  const std::vector<int32_t> labels = likeliest(shares, 2, 0);
  EXPECT_EQ(labels[0], 0);
  EXPECT_EQ(labels[2], 1);
  EXPECT_EQ(labels[3], kAbstains);
  int first = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) first += likeliest(shares, 2, seed)[1] == 0;
  EXPECT_NEAR(first, 50, 20);
  EXPECT_TRUE(std::isnan(fit_label_model(table, {}).accuracies[2]));
}

}  // namespace
}  // namespace gannet
