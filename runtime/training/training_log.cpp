#include "runtime/training/training_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "ir/base/file.h"

namespace gannet {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxLogBytes = int64_t{1} << 32;
constexpr std::string_view kTrainSeries = "train/", kEvalSeries = "eval/";

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Error failure(const std::string& path, int number) {
  return io_error(fmt::format("{}: cannot be written: {}", path, std::generic_category().message(number)));
}

std::optional<double> number(const Json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

}  // namespace

Result<std::unique_ptr<TrainingLog>> TrainingLog::open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return io_error(fmt::format("{}: cannot be made: {}", folder, error.message()));
  std::unique_ptr<TrainingLog> log(new TrainingLog(folder));
  log->events_ = std::make_unique<EventFile>(TRY(EventFile::create(folder)));
  return log;
}

Status TrainingLog::begin(const RunStart& start) {
  last_seconds_ = 0;
  step_ = start.step;
  series_.clear();
  TRY(keep_lines_until(start.step));
  lines_ = FileDescriptor(::open(lines_path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!lines_.open()) return failure(lines_path(), errno);
  // A new run in an old folder covers the old one as well.
  return events_->restart_after(start.step);
}

// What a run that was killed wrote after its last checkpoint is done again; its last line may be torn.
Status TrainingLog::keep_lines_until(int64_t step) {
  std::string kept;
  std::error_code ignored;
  if (step > 0 && std::filesystem::exists(lines_path(), ignored)) {
    const std::string text = TRY(read_file(lines_path(), kMaxLogBytes));
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      const auto found = json.is_object() ? number(json, "step") : std::nullopt;
      if (!found || *found > static_cast<double>(step)) continue;
      kept += line + "\n";
      const auto kind = json.find("kind");
      if (kind == json.end() || !kind->is_string() || (*kind != "step" && *kind != "eval")) continue;
      const std::string_view prefix = *kind == "step" ? kTrainSeries : kEvalSeries;
      for (const auto& [name, value] : json.items()) {
        if (name == "step" || name == "epoch" || name == "seconds" || !value.is_number()) continue;
        remember(std::string(prefix) + name, static_cast<int64_t>(*found), value.get<double>());
      }
    }
  }
  return write_file_atomically(lines_path(), kept);
}

Status TrainingLog::step(const StepReport& report) {
  step_ = report.step;
  const double seconds = report.seconds - last_seconds_;
  last_seconds_ = report.seconds;
  const double speed = seconds > 0 ? static_cast<double>(report.rows) / seconds : 0;
  std::vector<Measure> values;
  if (report.has_loss) values.push_back({"loss", report.loss});
  values.push_back({"learning_rate", report.rate});
  values.insert(values.end(), report.measures.begin(), report.measures.end());
  values.push_back({"rows_per_second", speed});
  Json line = {{"kind", "step"}, {"step", report.step}, {"epoch", report.epochs_done}};
  for (const auto& [name, value] : values) {
    line[name] = value;
    const std::string series = std::string(kTrainSeries) + name;
    remember(series, report.step, value);
    TRY(events_->scalar(series, report.step, value));
  }
  line["seconds"] = report.seconds;
  return append(text_of(line));
}

Status TrainingLog::epoch(const EpochReport& report) {
  TRY(events_->scalar("train/epoch_loss", report.step, report.loss));
  return append(text_of(
      {{"kind", "epoch"}, {"step", report.step}, {"epoch", report.epoch + 1}, {"loss", report.loss}}));
}

Status TrainingLog::evaluation(const EvaluationReport& report) {
  Json line = {{"kind", "eval"}, {"step", report.step}, {"epoch", report.epoch + 1}};
  for (const Measure& measure : report.measures) {
    line[measure.name] = measure.value;
    remember(std::string(kEvalSeries) + measure.name, report.step, measure.value);
    TRY(events_->scalar(std::string(kEvalSeries) + measure.name, report.step, measure.value));
  }
  line["best"] = report.best;
  return append(text_of(line));
}

Status TrainingLog::note(const std::string& text) {
  return append(text_of({{"kind", "note"}, {"step", step_}, {"text", text}}));
}

Status TrainingLog::append(const std::string& line) {
  const std::string text = line + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t count = ::write(lines_.value(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(lines_path(), errno);
    rest.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

TrainingLog::Points* TrainingLog::find(const std::string& series) {
  for (auto& [name, points] : series_) {
    if (name == series) return &points;
  }
  return nullptr;
}

void TrainingLog::remember(const std::string& series, int64_t step, double value) {
  if (find(series) == nullptr) series_.emplace_back(series, Points());
  find(series)->emplace_back(static_cast<double>(step), value);
}

Status TrainingLog::finish(const std::string& title, std::vector<std::pair<std::string, std::string>> facts) {
  CurvesPage page{title, std::move(facts), {}};
  Panel loss{"Loss", {}}, rate{"Learning rate", {}}, speed{"Rows a second", {}};
  Panel shares{"Held out", {}}, unlabeled{"Pseudo labels", {}};  // measures of at most 1 are of one scale
  Panel losses{"Losses", {}}, accuracies{"The discriminator's accuracy", {}}, scores{"The discriminator's scores", {}};
  const auto smooth = [](const Points& points) {
    return smoothed(points, 1 - 1 / (1 + static_cast<double>(points.size()) / 50));
  };
  std::vector<Panel> others;
  for (const auto& [name, points] : series_) {
    if (name == "train/loss") {
      loss.curves.push_back({"training, each step", points, true, false});
      loss.curves.push_back({"training", smooth(points), false, false});
    } else if (name == "eval/loss") {
      loss.curves.push_back({"held out", points, false, true});
    } else if (name == "train/learning_rate") {
      rate.curves.push_back({"learning rate", points, false, false});
    } else if (name == "train/rows_per_second") {
      speed.curves.push_back({"rows a second", points, false, false});
    } else if (name == "train/unlabeled_loss") {
      loss.curves.push_back({"rows without labels", smooth(points), false, false});
    } else if (name == "train/above_threshold") {
      unlabeled.curves.push_back({"share above the threshold", smooth(points), false, false});
    } else if (name == "train/pseudo_label_accuracy") {
      unlabeled.curves.push_back({"accuracy of those", smooth(points), false, false});
    } else if (name.starts_with(kTrainSeries)) {
      const std::string measure = name.substr(kTrainSeries.size());
      Panel& panel = measure.ends_with("_accuracy") ? accuracies : measure.ends_with("_score") ? scores : losses;
      panel.curves.push_back({measure, smooth(points), false, false});
    } else if (name.starts_with(kEvalSeries)) {
      const std::string measure = name.substr(kEvalSeries.size());
      if (measure == "mae" || measure == "rmse")
        others.push_back({"Held out: " + measure, {{measure, points, false, true}}});
      else
        shares.curves.push_back({measure, points, false, true});
    }
  }
  const bool adversarial = !losses.curves.empty();
  if (!adversarial) {
    page.panels.push_back(std::move(loss));
    page.panels.push_back(std::move(shares));
  }
  for (Panel* panel : {&losses, &accuracies, &scores, &unlabeled}) {
    if (!panel->curves.empty()) page.panels.push_back(std::move(*panel));
  }
  std::ranges::move(others, std::back_inserter(page.panels));
  page.panels.push_back(std::move(rate));
  page.panels.push_back(std::move(speed));
  return write_file_atomically(curves_path(), curves_html(page));
}

}  // namespace gannet
