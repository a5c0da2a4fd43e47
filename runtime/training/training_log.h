// The record of a run in a folder: `training.jsonl` with one object a line, TensorBoard event files, and at
// the end `curves.html`.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/training/curves.h"
#include "runtime/training/event_file.h"
#include "runtime/training/training_observer.h"

namespace gannet {

class TrainingLog final : public TrainingObserver {
 public:
  // Makes `folder` where it is missing. begin() with a step of 0 starts the record anew; with a later one
  // what the folder holds for steps after it is dropped, so that a resumed run leaves the record that an
  // unbroken one leaves (but for times).
  static Result<std::unique_ptr<TrainingLog>> open(const std::string& folder);

  Status begin(const RunStart& start) override;
  Status step(const StepReport& report) override;
  Status epoch(const EpochReport& report) override;
  Status evaluation(const EvaluationReport& report) override;
  Status note(const std::string& text) override;

  // Writes curves.html; `facts` go into its table.
  Status finish(const std::string& title, std::vector<std::pair<std::string, std::string>> facts);
  std::string curves_path() const { return folder_ + "/curves.html"; }
  EventFile& events() { return *events_; }

 private:
  using Points = std::vector<std::pair<double, double>>;

  explicit TrainingLog(std::string folder) : folder_(std::move(folder)) {}
  std::string lines_path() const { return folder_ + "/training.jsonl"; }
  Status append(const std::string& line);
  Status keep_lines_until(int64_t step);
  void remember(const std::string& series, int64_t step, double value);
  Points* find(const std::string& series);

  std::string folder_;
  FileDescriptor lines_;
  std::unique_ptr<EventFile> events_;
  std::vector<std::pair<std::string, Points>>
      series_;  // "train/loss", "eval/accuracy", ... in the order of appearance
  double last_seconds_ = 0;
  int64_t step_ = 0;
};

}  // namespace gannet
