// Progress for a person: a bar that stays on one line of a terminal, and plain lines where output goes to a
// file.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "runtime/training/training_observer.h"

namespace gannet {

// What a stream can show.
struct Terminal {
  bool interactive = false;  // lines can be rewritten
  bool color = false;
  int width = 80;
};

// A terminal that is not TERM=dumb is interactive; NO_COLOR (https://no-color.org) takes its colours.
Terminal terminal_of(std::FILE* stream);

struct ProgressText {
  int64_t step = 0, total_steps = 1;
  int64_t epoch = 0, epochs = 1;
  double loss = 0;
  std::string measure;         // of the last evaluation, "accuracy 0.91"; may be empty
  double rows_per_second = 0;  // 0: not known yet
  double seconds_left = -1;    // below 0: not known yet
  std::string losses = {};     // what stands in place of "loss 0.1", where a step has more to say
};

// At most terminal.width - 1 characters besides colours: what has no room is left out, the loss last.
std::string progress_line(const ProgressText& progress, const Terminal& terminal);
// "0:07", "12:34", "1:02:03", "3 d 4 h".
std::string duration_text(double seconds);

class Progress final : public TrainingObserver {
 public:
  // Writes to `stream`, which outlives it.
  explicit Progress(std::FILE* stream) : stream_(stream) {}
  ~Progress() override;

  Status begin(const RunStart& start) override;
  Status step(const StepReport& report) override;
  Status epoch(const EpochReport& report) override;
  Status evaluation(const EvaluationReport& report) override;
  Status note(const std::string& text) override;
  Status summary(const std::string& text) override;

 private:
  void line(const std::string& text);
  void erase_bar();
  void smooth(const std::vector<Measure>& measures);

  std::FILE* stream_;
  RunStart start_;
  ProgressText shown_;
  double last_drawn_ = -1;  // seconds of the run
  double last_seconds_ = 0;
  double seconds_per_step_ = 0;  // smoothed
  double rows_per_step_ = 0;
  std::vector<Measure> measures_;  // of steps, smoothed
  int64_t last_epoch_end_ = -1;
  bool bar_ = false;  // a bar stands on the last line
};

}  // namespace gannet
