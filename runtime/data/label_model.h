// Labels from the votes of labelling functions, none of which need be right: by majority, or by a model of
// how often each function says what of each class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gannet {

inline constexpr int32_t kAbstains = -1;

// What each function said of each row.
struct VoteTable {
  std::vector<std::string> functions;
  std::vector<std::string> classes;
  std::vector<int32_t> votes;  // [rows, functions]: a class, or kAbstains

  int64_t rows() const {
    return functions.empty() ? 0 : static_cast<int64_t>(votes.size() / functions.size());
  }
  std::span<const int32_t> row(int64_t row) const {
    return std::span(votes).subspan(static_cast<size_t>(row) * functions.size(), functions.size());
  }
};

struct LabelModelOptions {
  std::vector<double> prior;  // of the classes; empty: found with the rest
  double smoothing = 1;       // factor of the three votes, two of them right, that every function is taken to have given before
  int64_t most_rounds = 200;
  double tolerance = 1e-7;  // of the mean log-likelihood of a row, at which rounds end
};

struct LabelModel {
  std::vector<double> probabilities;  // [rows, classes]; what is left of the prior where nobody voted
  std::vector<double> prior;
  std::vector<double> accuracies;  // of each function: how often it is right where it votes, by this model
  int64_t rounds = 0;
  double log_likelihood = 0;  // mean of a row
};

// Each row's share of votes for each class, nothing where nobody voted: [rows, classes].
std::vector<double> majority_shares(const VoteTable& table);

// Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm" (1979),
// started from the shares of the majority: each function has a matrix of what it says of a row of each class.
// A function that only ever votes for one class says something by abstaining too, so abstention is then one
// of its answers; other functions are taken to abstain for reasons that have nothing to do with the class.
// Smoothing adds to the counts of all answers alike.
LabelModel fit_label_model(const VoteTable& table, const LabelModelOptions& options);

struct FunctionStatistics {
  double coverage = 0;  // share of the rows on which it votes
  double overlap = 0;   // on which it and another one vote
  double conflict = 0;  // on which another one votes otherwise
  int64_t votes = 0;
};
std::vector<FunctionStatistics> vote_statistics(const VoteTable& table);

// The most probable class of each row of `probabilities` [rows, classes], equal ones chosen by the seed;
// kAbstains where all are 0.
std::vector<int32_t> likeliest(std::span<const double> probabilities, int64_t classes, uint64_t seed);
// How often each function is right where it votes and the truth is known (not kAbstains); NaN where never.
std::vector<double> measured_accuracies(const VoteTable& table, std::span<const int32_t> truth);

}  // namespace gannet
