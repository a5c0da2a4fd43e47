#include "runtime/training/metrics.h"
#include "runtime/training/prediction_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gannet {

namespace {

constexpr int64_t kMostConfused = 2048;  // classes of which a table of confusions is kept
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double ratio(double part, double whole) { return whole > 0 ? part / whole : kUndefined; }

double f1(double hits, double misses_and_false_alarms) {
  return ratio(2 * hits, 2 * hits + misses_and_false_alarms);
}

// Positions of a tensor as [outer, classes, inner].
struct ClassView {
  int64_t outer = 1, classes = 1, inner = 1;

  ClassView(const Tensor& scores, int64_t axis) {
    if (axis < 0) axis += scores.rank();
    for (int64_t i = 0; i < scores.rank(); ++i)
      (i < axis ? outer : i == axis ? classes : inner) *= scores.extent(i);
  }
  int64_t at(int64_t position, int64_t label) const {
    return (position / inner * classes + label) * inner + position % inner;
  }
};

class ClassMetrics final : public Metrics {
 public:
  ClassMetrics(int64_t class_axis, std::optional<int64_t> ignore_index, bool soft, int64_t top)
      : axis_(class_axis), ignore_index_(ignore_index), soft_(soft), top_(top) {}

  void clear() override {
    classes_ = right_ = within_top_ = total_ = 0;
    confusion_.clear();
  }

  void add(const Tensor& prediction, const Tensor& target) override {
    const ClassView view(prediction, axis_);
    classes_ = view.classes;
    if (confusion_.empty() && classes_ <= kMostConfused)
      confusion_.assign(static_cast<size_t>(classes_ * classes_), 0);
    for (int64_t position = 0; position < view.outer * view.inner; ++position) {
      const int64_t label = soft_ ? largest(target, view, position) : target.int_at(position);
      if (label == ignore_index_ || label < 0 || label >= view.classes) continue;
      const int64_t predicted = largest(prediction, view, position);
      if (!confusion_.empty()) ++confusion_[static_cast<size_t>(label * view.classes + predicted)];
      right_ += label == predicted;
      within_top_ += rank_of(prediction, view, position, label) < top_;
      ++total_;
    }
  }

  std::vector<Measure> measures() const override {
    const auto total = static_cast<double>(total_);
    std::vector<Measure> measures = {{"accuracy", ratio(static_cast<double>(right_), total)}};
    if (classes_ <= kMostConfused) {
      const ClassReport report = class_report(confusion_, classes_);
      measures.push_back({"macro_f1", total_ > 0 ? report.macro.f1 : kUndefined});
      measures.push_back({"mcc", total_ > 0 ? report.mcc : kUndefined});
    }
    if (classes_ > top_ && top_ > 1)
      measures.push_back({"top" + std::to_string(top_) + "_accuracy", ratio(static_cast<double>(within_top_), total)});
    return measures;
  }

 private:
  static int64_t largest(const Tensor& scores, const ClassView& view, int64_t position) {
    int64_t best = 0;
    for (int64_t label = 1; label < view.classes; ++label) {
      if (scores.double_at(view.at(position, label)) > scores.double_at(view.at(position, best)))
        best = label;
    }
    return best;
  }

  // How many classes have a larger score; equal ones with a lower number count as larger.
  static int64_t rank_of(const Tensor& scores, const ClassView& view, int64_t position, int64_t label) {
    const double own = scores.double_at(view.at(position, label));
    int64_t rank = 0;
    for (int64_t other = 0; other < view.classes; ++other) {
      const double score = scores.double_at(view.at(position, other));
      rank += score > own || (score == own && other < label);
    }
    return rank;
  }

  int64_t axis_;
  std::optional<int64_t> ignore_index_;
  bool soft_;
  int64_t top_;
  int64_t classes_ = 0, right_ = 0, within_top_ = 0, total_ = 0;
  std::vector<int64_t> confusion_;  // [label, prediction]
};

class LabelMetrics final : public Metrics {
 public:
  explicit LabelMetrics(double threshold) : threshold_(threshold) {}

  void clear() override {
    counts_.clear();
    scores_.clear();
  }

  void add(const Tensor& prediction, const Tensor& target) override {
    if (prediction.elements() == 0) return;
    const int64_t columns = prediction.elements() / prediction.extent(0);
    counts_.resize(static_cast<size_t>(columns));
    scores_.resize(static_cast<size_t>(columns));
    for (int64_t i = 0; i < prediction.elements(); ++i) {
      Counts& counts = counts_[static_cast<size_t>(i % columns)];
      const bool said = prediction.double_at(i) > threshold_, is = target.double_at(i) > 0.5;
      counts.hits += said && is;
      counts.errors += said != is;
      ++counts.total;
      Scores& scores = scores_[static_cast<size_t>(i % columns)];
      scores.predictions.push_back(static_cast<float>(prediction.double_at(i)));
      scores.targets.push_back(is ? 1 : 0);
    }
  }

  std::vector<Measure> measures() const override {
    Counts all;
    double f1_sum = 0, defined = 0;
    for (const Counts& counts : counts_) {
      all.hits += counts.hits;
      all.errors += counts.errors;
      all.total += counts.total;
      const double own = f1(counts.hits, counts.errors);
      if (!std::isnan(own)) f1_sum += own, ++defined;
    }
    return {{"accuracy", ratio(all.total - all.errors, all.total)},
            {"micro_f1", f1(all.hits, all.errors)},
            {"macro_f1", ratio(f1_sum, defined)},
            {"map", mean_average_precision()}};
  }

 private:
  struct Counts {
    double hits = 0, errors = 0, total = 0;
  };

  struct Scores {
    std::vector<float> predictions, targets;
  };

  double mean_average_precision() const {
    double sum = 0, defined = 0;
    for (const Scores& scores : scores_) {
      const double own = average_precision(scores.targets, scores.predictions);
      if (!std::isnan(own)) sum += own, ++defined;
    }
    return ratio(sum, defined);
  }

  double threshold_;
  std::vector<Counts> counts_;  // of each element of a row
  std::vector<Scores> scores_;  // of each element of a row
};

class NumberMetrics final : public Metrics {
 public:
  void clear() override { *this = {}; }

  void add(const Tensor& prediction, const Tensor& target) override {
    for (int64_t i = 0; i < target.elements(); ++i) {
      const double wanted = target.double_at(i), error = prediction.double_at(i) - wanted;
      absolute_ += std::fabs(error);
      squared_ += error * error;
      // Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
      const double from_mean = wanted - mean_;
      mean_ += from_mean / ++count_;
      spread_ += from_mean * (wanted - mean_);
    }
  }

  std::vector<Measure> measures() const override {
    return {{"mae", ratio(absolute_, count_)},
            {"rmse", std::sqrt(ratio(squared_, count_))},
            {"r2", spread_ > 0 ? 1 - squared_ / spread_ : kUndefined}};
  }

 private:
  double absolute_ = 0, squared_ = 0, count_ = 0, mean_ = 0, spread_ = 0;
};

}  // namespace

std::unique_ptr<Metrics> make_class_metrics(int64_t class_axis, std::optional<int64_t> ignore_index,
                                            int64_t top) {
  return std::make_unique<ClassMetrics>(class_axis, ignore_index, false, top);
}

std::unique_ptr<Metrics> make_soft_class_metrics(int64_t class_axis, int64_t top) {
  return std::make_unique<ClassMetrics>(class_axis, std::nullopt, true, top);
}

std::unique_ptr<Metrics> make_label_metrics(double threshold) {
  return std::make_unique<LabelMetrics>(threshold);
}

std::unique_ptr<Metrics> make_number_metrics() { return std::make_unique<NumberMetrics>(); }

bool higher_is_better(std::string_view measure) {
  return measure != "loss" && measure != "mae" && measure != "rmse";
}

}  // namespace gannet
