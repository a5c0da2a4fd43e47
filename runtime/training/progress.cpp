#include "runtime/training/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace gannet {

namespace {

constexpr double kSecondsBetweenBars = 0.1;
constexpr int kShortestBar = 10, kLongestBar = 30;

std::string bar(double share, int cells) {
  const int full = std::clamp(static_cast<int>(share * cells), 0, cells);
  std::string text(static_cast<size_t>(full), '=');
  if (full < cells) text += '>';
  text.resize(static_cast<size_t>(cells), ' ');
  return "[" + text + "]";
}

std::string measures_text(const std::vector<Measure>& measures) {
  std::string text;
  for (const Measure& measure : measures)
    text += fmt::format("{}{} {:.4g}", text.empty() ? "" : "  ", measure.name, measure.value);
  return text;
}

}  // namespace

Terminal terminal_of(std::FILE* stream) {
  Terminal terminal;
  const int descriptor = ::fileno(stream);
  const char* kind = std::getenv("TERM");
  terminal.interactive =
      descriptor >= 0 && ::isatty(descriptor) == 1 && kind && std::string_view(kind) != "dumb";
  const char* no_color = std::getenv("NO_COLOR");
  terminal.color = terminal.interactive && (no_color == nullptr || *no_color == '\0');
  winsize size{};
  if (terminal.interactive && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    terminal.width = size.ws_col;
  return terminal;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(std::ceil(seconds), 0.0, 1e12));
  const int64_t minutes = whole / 60, hours = minutes / 60, days = hours / 24;
  if (days > 0) return fmt::format("{} d {} h", days, hours % 24);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes % 60, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string progress_line(const ProgressText& progress, const Terminal& terminal) {
  const double share = progress.total_steps > 0
                           ? static_cast<double>(progress.step) / static_cast<double>(progress.total_steps)
                           : 1.0;
  // In the order in which they are given up last to first: a narrow terminal keeps the loss.
  std::vector<std::string> parts = {progress.losses.empty() ? fmt::format("loss {:.4g}", progress.loss)
                                                            : progress.losses};
  parts.push_back(fmt::format("epoch {}/{}", std::min(progress.epoch + 1, progress.epochs), progress.epochs));
  if (progress.seconds_left >= 0) parts.push_back(duration_text(progress.seconds_left) + " left");
  if (!progress.measure.empty()) parts.push_back(progress.measure);
  if (progress.rows_per_second > 0) parts.push_back(fmt::format("{:.4g} rows/s", progress.rows_per_second));
  parts.push_back(fmt::format("{}/{}", progress.step, progress.total_steps));
  const auto room = static_cast<size_t>(std::max(terminal.width - 1, 1));
  size_t count = 0, used = 0;
  for (; count < parts.size() && used + parts[count].size() + (count ? 2 : 0) <= room; ++count) {
    used += parts[count].size() + (count ? 2 : 0);
  }
  std::string text;
  std::vector<std::string> shown(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
  if (shown.size() > 1) std::swap(shown[0], shown[1]);
  for (const std::string& part : shown) text += (text.empty() ? "" : "  ") + part;
  const int cells = std::min(static_cast<int>(room) - static_cast<int>(used) - 4, kLongestBar);
  if (cells < kShortestBar) return text;
  const std::string drawn = bar(share, cells);
  return (terminal.color ? "\x1b[32m" + drawn + "\x1b[0m" : drawn) + "  " + text;
}

Progress::~Progress() { erase_bar(); }

Status Progress::begin(const RunStart& start) {
  start_ = start;
  shown_ = {};
  shown_.step = start.step;
  shown_.total_steps = start.total_steps;
  shown_.epochs = start.epochs;
  measures_.clear();
  last_drawn_ = -1;
  last_seconds_ = seconds_per_step_ = rows_per_step_ = 0;
  return {};
}

Status Progress::step(const StepReport& report) {
  // The first step of a run prepares its memory and says little about the others.
  constexpr double kOld = 0.95;
  const double seconds = report.seconds - last_seconds_;
  last_seconds_ = report.seconds;
  const auto rows = static_cast<double>(report.rows);
  const bool first = report.step == start_.step + 1, second = report.step == start_.step + 2;
  seconds_per_step_ = first || second ? seconds : kOld * seconds_per_step_ + (1 - kOld) * seconds;
  rows_per_step_ = first || second ? rows : kOld * rows_per_step_ + (1 - kOld) * rows;
  shown_.loss = first ? report.loss : kOld * shown_.loss + (1 - kOld) * report.loss;
  smooth(report.measures);
  if (!report.has_loss) {
    constexpr size_t kShown = 4;
    shown_.losses = measures_text({measures_.begin(), measures_.begin() + static_cast<std::ptrdiff_t>(std::min(measures_.size(), kShown))});
  }
  shown_.step = report.step;
  shown_.epoch = report.epoch;
  if (!first && seconds_per_step_ > 0) {
    shown_.rows_per_second = rows_per_step_ / seconds_per_step_;
    shown_.seconds_left = seconds_per_step_ * static_cast<double>(shown_.total_steps - shown_.step);
  }
  if (last_drawn_ >= 0 && report.seconds - last_drawn_ < kSecondsBetweenBars) return {};
  const Terminal terminal = terminal_of(stream_);
  if (!terminal.interactive) return {};
  last_drawn_ = report.seconds;
  fmt::print(stream_, "\r{}\x1b[K", progress_line(shown_, terminal));
  std::fflush(stream_);
  bar_ = true;
  return {};
}

void Progress::smooth(const std::vector<Measure>& measures) {
  constexpr double kOld = 0.95;
  for (const Measure& measure : measures) {
    const auto known = std::ranges::find(measures_, measure.name, &Measure::name);
    if (known == measures_.end())
      measures_.push_back(measure);
    else
      known->value = kOld * known->value + (1 - kOld) * measure.value;
  }
}

Status Progress::epoch(const EpochReport& report) {
  const std::string measures = measures_text(measures_);
  last_epoch_end_ = report.step;
  line(fmt::format("epoch {}/{}  loss {:.6g}{}{}", report.epoch + 1, start_.epochs, report.loss,
                   measures.empty() ? "" : "  ", measures));
  return {};
}

Status Progress::evaluation(const EvaluationReport& report) {
  for (const Measure& measure : report.measures) {
    if (measure.name == report.chosen_by)
      shown_.measure = fmt::format("{} {:.4g}", measure.name, measure.value);
  }
  line(fmt::format("step {}  held out: {}{}", report.step, measures_text(report.measures),
                   report.best ? "  best so far" : ""));
  if (!measures_.empty() && report.step != last_epoch_end_) line("  of late: " + measures_text(measures_));
  return {};
}

Status Progress::note(const std::string& text) {
  line(text);
  return {};
}

Status Progress::summary(const std::string& text) {
  line(text);
  return {};
}

void Progress::line(const std::string& text) {
  erase_bar();
  fmt::print(stream_, "{}\n", text);
  std::fflush(stream_);
  last_drawn_ = -1;
}

void Progress::erase_bar() {
  if (bar_) fmt::print(stream_, "\r\x1b[K");
  if (bar_) std::fflush(stream_);
  bar_ = false;
}

}  // namespace gannet
