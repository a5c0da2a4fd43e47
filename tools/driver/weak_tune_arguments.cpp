#include "tools/driver/weak_tune_arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

struct NamedMethod {
  std::string_view name;
  WeakMethod method;
  double threshold, weight;  // where flags do not say them
  std::string_view ramp_up;
  RampShape shape;
  UnlabelledViews views;
};

constexpr std::array<NamedMethod, 3> kMethods = {{
    {"pseudo-label", WeakMethod::kPseudoLabel, 0, 1, "10%:60%", RampShape::kLinear, UnlabelledViews::kOne},
    {"fixmatch", WeakMethod::kFixMatch, 0.95, 1, "0", RampShape::kLinear, UnlabelledViews::kWeakAndStrong},
    {"mean-teacher", WeakMethod::kMeanTeacher, 0, 50, "25%", RampShape::kGaussian, UnlabelledViews::kTwice},
}};

const NamedMethod& named(const WeakTuneArguments& arguments) {
  for (const NamedMethod& method : kMethods) {
    if (method.name == arguments.method) return method;
  }
  CHECK(false, "method '{}'", arguments.method);
  __builtin_unreachable();
}

// "120" updates, or "40%" of all.
Result<int64_t> parse_step(std::string text, const std::string& whole, int64_t total) {
  const bool percent = text.ends_with('%');
  if (percent) text.pop_back();
  double value = 0;
  const bool number = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && value >= 0;
  if (!number || (percent && value > 100) || (!percent && value != std::floor(value))) {
    return invalid_input(fmt::format(
        "--ramp-up {}: takes [START:]END, each updates or a share of the run such as 40%", whole));
  }
  return std::llround(std::min(percent ? value / 100 * static_cast<double>(total) : value, 1e15));
}

}  // namespace

void add_weak_tune_arguments(CLI::App& command, WeakTuneArguments& a) {
  const char *group = "Few labels", *more = kMoreFlags;
  std::vector<std::string> names;
  for (const NamedMethod& method : kMethods) names.emplace_back(method.name);
  command
      .add_option("--unlabeled", a.unlabelled,
                  "rows without labels to learn from as well: a folder, table or archive as --train")
      ->type_name("PATH")
      ->group(group);
  command.add_option("--method", a.method, "how rows without labels teach")
      ->capture_default_str()
      ->check(CLI::IsMember(names))
      ->group(group);
  command.add_option("--ratio", a.ratio, "rows without a label for each labelled one in a batch")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->group(group);
  command
      .add_option("--threshold", a.threshold,
                  "least probability of a class that counts as a label [fixmatch 0.95, else 0]")
      ->check(CLI::Range(0.0, 1.0))
      ->group(more);
  command
      .add_option("--unlabeled-weight", a.weight,
                  "weight of the loss of rows without labels [1; mean-teacher 50]")
      ->type_name("W")
      ->check(CLI::Range(0.0, 1e6))
      ->group(more);
  command
      .add_option("--ramp-up", a.ramp_up,
                  "updates, or shares of the run, over which that weight grows [fixmatch 0, pseudo-label "
                  "10%:60%, mean-teacher 25%]")
      ->type_name("[START:]END")
      ->group(more);
  command
      .add_option("--weak-augment", a.weak_changes,
                  "changes of rows without labels; of texts delete=0.1,swap=0.1,mask=0.1 [pictures: "
                  "--augment, or crop by an eighth]")
      ->type_name("LINE")
      ->group(more);
  command
      .add_option("--strong-augment", a.strong_changes,
                  "fixmatch: strong changes [pictures: the weak ones, randaugment, cutout; texts: delete, "
                  "swap, mask]")
      ->type_name("LINE")
      ->group(more);
  command
      .add_option(
          "--export-weights", a.export_weights,
          "with averages (mean-teacher, --ema): evaluate and write the teacher's weights or the student's")
      ->capture_default_str()
      ->check(CLI::IsMember({"teacher", "student"}))
      ->group(more);
}

Status check_weak_flags(const WeakTuneArguments& arguments, const std::set<std::string>& own,
                        const std::set<std::string>& given) {
  if (!arguments.used()) {
    for (const std::string& flag : given) {
      if (own.contains(flag))
        return invalid_input(
            fmt::format("{} needs --unlabeled, rows without labels, or --synthetic-as unlabelled", flag));
    }
    return {};
  }
  const std::pair<const char*, const char*> barred[] = {
      {"--max-memory", "a smaller --batch-size with --accumulate takes less"},
      {"--balanced-sampling", "labelled rows come in turn"},
      {"--co-teaching", "its second model would need batches of its own"}};
  for (const auto& [flag, reason] : barred) {
    if (given.contains(flag))
      return invalid_input(fmt::format("{} does not go with --unlabeled: {}", flag, reason));
  }
  if (given.contains("--strong-augment") && arguments.method != "fixmatch")
    return invalid_input(fmt::format("--strong-augment: {} has only --weak-augment", arguments.method));
  return {};
}

WeakMethod method_of(const WeakTuneArguments& arguments) { return named(arguments).method; }

WeakLossOptions weak_loss_of(const WeakTuneArguments& arguments) {
  const NamedMethod& method = named(arguments);
  return {method.method, arguments.ratio, arguments.threshold.value_or(method.threshold)};
}

double unlabelled_weight_of(const WeakTuneArguments& arguments) {
  return arguments.weight.value_or(named(arguments).weight);
}

UnlabelledViews views_of(const WeakTuneArguments& arguments) { return named(arguments).views; }

Result<RampUp> ramp_of(const WeakTuneArguments& arguments, int64_t total_steps) {
  const std::string text =
      arguments.ramp_up.empty() ? std::string(named(arguments).ramp_up) : arguments.ramp_up;
  const size_t colon = text.find(':');
  RampUp ramp{named(arguments).shape};
  if (colon != std::string::npos) ramp.begin = TRY(parse_step(text.substr(0, colon), text, total_steps));
  ramp.end = TRY(parse_step(colon == std::string::npos ? text : text.substr(colon + 1), text, total_steps));
  if (ramp.begin > ramp.end)
    return invalid_input(
        fmt::format("--ramp-up {}: begins at update {} and ends at {}", text, ramp.begin, ramp.end));
  return ramp;
}

std::map<std::string, std::string> deciding_weak_flags(const WeakTuneArguments& arguments,
                                                       const RampUp& ramp) {
  if (!arguments.used()) return {{"--method", "not given"}};  // as where a checkpoint does not know of it
  return {{"--method", arguments.method},
          {"--ratio", fmt::to_string(arguments.ratio)},
          {"--threshold", fmt::to_string(weak_loss_of(arguments).threshold)},
          {"--unlabeled-weight", fmt::to_string(unlabelled_weight_of(arguments))},
          {"--ramp-up", fmt::format("{} to {}", ramp.begin, ramp.end)},
          {"--export-weights", arguments.export_weights}};
}

}  // namespace gannet
