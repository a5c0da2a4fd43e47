#include "tools/driver/tune_search.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

constexpr size_t kMostRuns = 64;
constexpr int64_t kLongRun = int64_t{1} << 50;  // updates

Result<double> number(const std::string& flag, const std::string& value, double least) {
  double result = 0;
  if (CLI::detail::lexical_cast(value, result) && std::isfinite(result) && result >= least) return result;
  return invalid_input(
      fmt::format("--search {}: '{}' is not a number {}", flag.substr(2), value,
                  least > 0 && least < 1 ? "above 0" : fmt::format("of at least {:g}", least)));
}

Result<int64_t> count(const std::string& flag, const std::string& value, double least = 1) {
  constexpr double kMost = 1e9;
  const double result = TRY(number(flag, value, least));
  if (result == std::floor(result) && result <= kMost) return static_cast<int64_t>(result);
  return invalid_input(fmt::format("--search {}: '{}' is not a whole number of {:.0f} to {:.0f}", flag.substr(2), value,
                                   least, kMost));
}

}  // namespace

Status check_search(const TuneArguments& arguments) {
  const bool held_out = !arguments.eval.empty() || arguments.eval_fraction.value_or(0) > 0;
  if (!held_out) return invalid_input("--search needs --eval or --eval-fraction");
  if (!arguments.checkpoint.empty())
    return invalid_input("--search keeps no checkpoints: leave out --checkpoint");
  if (!arguments.pictures.report.empty())
    return invalid_input("--report shows one run: leave it out with --search");
  return {};
}

Result<std::vector<SearchPoint>> search_points(const std::vector<std::string>& flags) {
  std::vector<SearchPoint> points = {{}};
  for (const std::string& text : flags) {
    const auto [name, list] = TRY(split_assignment(text, "--search"));
    std::vector<SearchPoint> longer;
    for (const SearchPoint& point : points) {
      for (const std::string& value : CLI::detail::split(list, ',')) {
        longer.push_back(point);
        longer.back().emplace_back("--" + name, value);
        TuneArguments ignored;
        TRY(apply_point(longer.back(), ignored));
        TRY(schedule_of(ignored.learning, rate_of(ignored), kLongRun));
      }
    }
    points = std::move(longer);
    if (points.size() > kMostRuns)
      return invalid_input(fmt::format("--search: {} runs are more than {}", points.size(), kMostRuns));
  }
  return points;
}

Status apply_point(const SearchPoint& point, TuneArguments& arguments) {
  for (const auto& [flag, value] : point) {
    if (flag == "--lr")
      arguments.learning.rate = TRY(number(flag, value, std::numeric_limits<double>::min()));
    else if (flag == "--weight-decay")
      arguments.update.weight_decay = TRY(number(flag, value, 0));
    else if (flag == "--epochs")
      arguments.epochs = TRY(count(flag, value));
    else if (flag == "--batch-size")
      arguments.batch_size = TRY(count(flag, value));
    else if (flag == "--seed")
      arguments.seed = static_cast<uint64_t>(TRY(count(flag, value, 0)));
    else if (flag == "--warmup")
      arguments.learning.warmup = value;
    else
      return invalid_input(fmt::format(
          "--search: '{}' is none of lr, batch-size, epochs, weight-decay, warmup, seed", flag.substr(2)));
    arguments.given.insert(flag);
  }
  if (!arguments.log.empty()) {
    std::string folder = text_of(point);
    std::ranges::replace(folder, ' ', '-');
    std::erase(folder, ',');
    arguments.log += "/" + folder;
  }
  return {};
}

std::string text_of(const SearchPoint& point) {
  std::string text;
  for (const auto& [flag, value] : point) text += (text.empty() ? "" : ", ") + flag.substr(2) + " " + value;
  return text;
}

std::string search_table(const std::vector<SearchPoint>& points,
                         const std::vector<std::optional<double>>& measures, const std::string& measure,
                         size_t best) {
  std::string text;
  std::vector<size_t> widths;
  for (size_t i = 0; i < points[0].size(); ++i) {
    widths.push_back(points[0][i].first.size() - 2);
    for (const SearchPoint& point : points) widths[i] = std::max(widths[i], point[i].second.size());
    text += fmt::format("{:<{}}  ", points[0][i].first.substr(2), widths[i]);
  }
  text += "best " + measure + "\n";
  for (size_t at = 0; at < measures.size(); ++at) {
    for (size_t i = 0; i < widths.size(); ++i)
      text += fmt::format("{:<{}}  ", points[at][i].second, widths[i]);
    text += measures[at] ? fmt::format("{:.4f}", *measures[at]) : std::string("diverged");
    text += at == best ? "  <\n" : "\n";
  }
  return text;
}

}  // namespace gannet
