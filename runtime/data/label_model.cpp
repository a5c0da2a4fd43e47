#include "runtime/data/label_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/base/check.h"
#include "ir/base/random.h"

namespace gannet {

namespace {

// The one class that a function ever votes for; kAbstains where there are several or none.
std::vector<int32_t> only_votes(const VoteTable& table) {
  const size_t functions = table.functions.size();
  std::vector<int32_t> only(functions, kAbstains);
  std::vector<bool> several(functions, false);
  for (int64_t row = 0; row < table.rows(); ++row) {
    const auto votes = table.row(row);
    for (size_t f = 0; f < functions; ++f) {
      if (votes[f] == kAbstains) continue;
      several[f] = several[f] || (only[f] != kAbstains && only[f] != votes[f]);
      only[f] = votes[f];
    }
  }
  for (size_t f = 0; f < functions; ++f) {
    if (several[f]) only[f] = kAbstains;
  }
  return only;
}

class Fit {
 public:
  Fit(const VoteTable& table, const LabelModelOptions& options)
      : table_(table),
        options_(options),
        classes_(table.classes.size()),
        functions_(table.functions.size()),
        only_(only_votes(table)),
        beliefs_(majority_shares(table)) {
    model_.prior = options.prior;
    if (model_.prior.empty()) model_.prior.assign(classes_, 1.0 / static_cast<double>(classes_));
  }

  LabelModel run() {
    double before = -std::numeric_limits<double>::infinity();
    for (model_.rounds = 0; model_.rounds < options_.most_rounds; ++model_.rounds) {
      maximize();
      expect();
      if (std::abs(model_.log_likelihood - before) < options_.tolerance) break;
      before = model_.log_likelihood;
    }
    model_.accuracies = accuracies();
    model_.probabilities = std::move(beliefs_);
    return std::move(model_);
  }

 private:
  // Of answer `vote` by function f in a row of class k. The last answer is abstention.
  double& rate(size_t f, size_t k, int32_t vote) {
    const size_t answer = vote == kAbstains ? classes_ : static_cast<size_t>(vote);
    return rates_[(f * classes_ + k) * (classes_ + 1) + answer];
  }
  bool counts(size_t f, int32_t vote) const { return vote != kAbstains || only_[f] != kAbstains; }

  // Rates and prior from what is believed of each row.
  void maximize() {
    rates_.assign(functions_ * classes_ * (classes_ + 1), 0);
    std::vector<double> prior(classes_, options_.smoothing);
    for (int64_t row = 0; row < table_.rows(); ++row) {
      const auto votes = table_.row(row);
      for (size_t k = 0; k < classes_; ++k) {
        const double belief = beliefs_[static_cast<size_t>(row) * classes_ + k];
        prior[k] += belief;
        if (belief == 0) continue;
        for (size_t f = 0; f < functions_; ++f) {
          if (counts(f, votes[f])) rate(f, k, votes[f]) += belief;
        }
      }
    }
    if (options_.prior.empty()) model_.prior = normalized(prior);
    for (size_t f = 0; f < functions_; ++f) {
      for (size_t k = 0; k < classes_; ++k) smooth(f, k);
    }
  }

  // Votes that the function is taken to have given before: two for the right answer, one for all wrong ones together. Were
  // they alike, that votes say nothing would explain a small table as well as anything. The right answer of a function with one
  // class is that class, and abstention in rows of others.
  void smooth(size_t f, size_t k) {
    double* row = &rate(f, k, 0);
    double total = 0;
    for (size_t answer = 0; answer <= classes_; ++answer) {
      const bool one_class = only_[f] != kAbstains;
      const bool possible =
          one_class ? answer == classes_ || answer == static_cast<size_t>(only_[f]) : answer < classes_;
      const size_t right = !one_class || static_cast<size_t>(only_[f]) == k ? k : classes_;
      const double wrong = one_class ? 1 : 1 / static_cast<double>(std::max<size_t>(classes_ - 1, 1));
      if (possible) row[answer] += options_.smoothing * (answer == right ? 2 : wrong);
      total += row[answer];
    }
    for (size_t answer = 0; answer <= classes_; ++answer)
      row[answer] = total > 0 ? std::log(row[answer] / total) : 0;
  }

  // What is to be believed of each row, by the rates.
  void expect() {
    std::vector<double> scores(classes_);
    double total = 0;
    for (int64_t row = 0; row < table_.rows(); ++row) {
      const auto votes = table_.row(row);
      for (size_t k = 0; k < classes_; ++k) {
        scores[k] = std::log(model_.prior[k]);
        for (size_t f = 0; f < functions_; ++f) {
          if (counts(f, votes[f])) scores[k] += rate(f, k, votes[f]);
        }
      }
      const double largest = *std::ranges::max_element(scores);
      double sum = 0;
      for (double& score : scores) sum += score = std::exp(score - largest);
      for (size_t k = 0; k < classes_; ++k)
        beliefs_[static_cast<size_t>(row) * classes_ + k] = scores[k] / sum;
      total += largest + std::log(sum);
    }
    model_.log_likelihood = total / static_cast<double>(std::max<int64_t>(table_.rows(), 1));
  }

  static std::vector<double> normalized(std::vector<double> values) {
    double sum = 0;
    for (const double value : values) sum += value;
    for (double& value : values) value /= sum;
    return values;
  }

  std::vector<double> accuracies() const {
    std::vector<double> right(functions_), votes_of(functions_);
    for (int64_t row = 0; row < table_.rows(); ++row) {
      const auto votes = table_.row(row);
      for (size_t f = 0; f < functions_; ++f) {
        if (votes[f] == kAbstains) continue;
        right[f] += beliefs_[static_cast<size_t>(row) * classes_ + static_cast<size_t>(votes[f])];
        ++votes_of[f];
      }
    }
    for (size_t f = 0; f < functions_; ++f) right[f] /= votes_of[f];
    return right;
  }

  const VoteTable& table_;
  const LabelModelOptions& options_;
  size_t classes_, functions_;
  std::vector<int32_t> only_;
  std::vector<double> beliefs_, rates_;
  LabelModel model_;
};

}  // namespace

std::vector<double> majority_shares(const VoteTable& table) {
  const size_t classes = table.classes.size();
  std::vector<double> shares(static_cast<size_t>(table.rows()) * classes);
  for (int64_t row = 0; row < table.rows(); ++row) {
    double* own = &shares[static_cast<size_t>(row) * classes];
    double total = 0;
    for (const int32_t vote : table.row(row)) {
      if (vote == kAbstains) continue;
      ++own[vote];
      ++total;
    }
    for (size_t k = 0; k < classes && total > 0; ++k) own[k] /= total;
  }
  return shares;
}

LabelModel fit_label_model(const VoteTable& table, const LabelModelOptions& options) {
  CHECK(!table.classes.empty() && table.rows() > 0, "{} rows of {} classes", table.rows(),
        table.classes.size());
  CHECK(options.prior.empty() || options.prior.size() == table.classes.size(), "{} priors of {} classes",
        options.prior.size(), table.classes.size());
  return Fit(table, options).run();
}

std::vector<FunctionStatistics> vote_statistics(const VoteTable& table) {
  const size_t functions = table.functions.size();
  std::vector<FunctionStatistics> result(functions);
  for (int64_t row = 0; row < table.rows(); ++row) {
    const auto votes = table.row(row);
    const auto voters = std::ranges::count_if(votes, [](int32_t vote) { return vote != kAbstains; });
    for (size_t f = 0; f < functions; ++f) {
      if (votes[f] == kAbstains) continue;
      ++result[f].votes;
      result[f].overlap += voters > 1;
      result[f].conflict +=
          std::ranges::any_of(votes, [&](int32_t vote) { return vote != kAbstains && vote != votes[f]; });
    }
  }
  const auto rows = static_cast<double>(std::max<int64_t>(table.rows(), 1));
  for (FunctionStatistics& statistics : result) {
    statistics.coverage = static_cast<double>(statistics.votes) / rows;
    statistics.overlap /= rows;
    statistics.conflict /= rows;
  }
  return result;
}

std::vector<int32_t> likeliest(std::span<const double> probabilities, int64_t classes, uint64_t seed) {
  std::vector<int32_t> result;
  const auto width = static_cast<size_t>(classes);
  for (size_t row = 0; row * width < probabilities.size(); ++row) {
    const std::span<const double> own = probabilities.subspan(row * width, width);
    const double most = *std::ranges::max_element(own);
    std::vector<int32_t> best;
    // Shares that differ by rounding alone are equal.
    for (size_t k = 0; k < width && most > 0; ++k) {
      if (own[k] >= most * (1 - 1e-12)) best.push_back(static_cast<int32_t>(k));
    }
    Random random(seed, row);
    result.push_back(best.empty() ? kAbstains : best[best.size() == 1 ? 0 : random.below(best.size())]);
  }
  return result;
}

std::vector<double> measured_accuracies(const VoteTable& table, std::span<const int32_t> truth) {
  std::vector<double> right(table.functions.size()), votes(table.functions.size());
  for (int64_t row = 0; row < table.rows(); ++row) {
    if (truth[static_cast<size_t>(row)] == kAbstains) continue;
    for (size_t f = 0; f < right.size(); ++f) {
      const int32_t vote = table.row(row)[f];
      right[f] += vote != kAbstains && vote == truth[static_cast<size_t>(row)];
      votes[f] += vote != kAbstains;
    }
  }
  for (size_t f = 0; f < right.size(); ++f) right[f] /= votes[f];
  return right;
}

}  // namespace gannet
