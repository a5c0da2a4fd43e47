#include "tools/driver/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

constexpr size_t kTableClasses = 20;  // of which all confusions are shown

using Json = nlohmann::ordered_json;

std::string name_of(const Evaluation& evaluation, size_t index) {
  return index < evaluation.names.size() ? printable(evaluation.names[index]) : fmt::to_string(index);
}

size_t width_of_names(const Evaluation& evaluation, size_t count) {
  constexpr size_t kLeast = 5;  // "class", "macro"
  size_t width = kLeast;
  for (size_t i = 0; i < count; ++i) width = std::max(width, name_of(evaluation, i).size());
  return width;
}

std::string scores_line(const std::string& name, size_t width, const ClassScores& scores) {
  return fmt::format("{:<{}}  {:>7}  {:>9.4f}  {:>6.4f}  {:>6.4f}", name, width, scores.rows,
                     scores.precision, scores.recall, scores.f1);
}

std::string scores_header(const std::string& name, size_t width) {
  return fmt::format("{:<{}}  {:>7}  {:>9}  {:>6}  {:>6}", name, width, "rows", "precision", "recall", "f1");
}

std::string confusion_table(const Evaluation& evaluation, const ClassReport& report) {
  const size_t count = report.classes.size();
  const size_t width = width_of_names(evaluation, count);
  std::string text =
      fmt::format("\nconfusion (a row for each label, a column for each prediction)\n{:<{}}", "", width);
  std::vector<size_t> columns;
  for (size_t k = 0; k < count; ++k) {
    columns.push_back(std::max<size_t>(name_of(evaluation, k).size(), 6));
    text += fmt::format("  {:>{}}", name_of(evaluation, k), columns[k]);
  }
  for (size_t label = 0; label < count; ++label) {
    text += fmt::format("\n{:<{}}", name_of(evaluation, label), width);
    for (size_t k = 0; k < count; ++k)
      text += fmt::format("  {:>{}}", report.confusion[label * count + k], columns[k]);
  }
  return text + "\n";
}

std::string most_confused(const Evaluation& evaluation, const ClassReport& report) {
  constexpr size_t kShown = 10;
  const size_t count = report.classes.size();
  std::vector<size_t> wrong;
  for (size_t i = 0; i < report.confusion.size(); ++i)
    if (i / count != i % count && report.confusion[i] > 0) wrong.push_back(i);
  std::ranges::stable_sort(wrong, std::greater(), [&](size_t i) { return report.confusion[i]; });
  std::string text = wrong.empty() ? "" : "\nmost frequent confusions\n";
  for (size_t i = 0; i < std::min(kShown, wrong.size()); ++i) {
    text += fmt::format("{:>7}  {} taken for {}\n", report.confusion[wrong[i]],
                        name_of(evaluation, wrong[i] / count), name_of(evaluation, wrong[i] % count));
  }
  return text;
}

std::string text_of(const Evaluation& evaluation, const ClassReport& report) {
  const size_t count = report.classes.size(), width = width_of_names(evaluation, count);
  const std::string top =
      evaluation.top ? fmt::format("top{}_accuracy {:.4f}  ", evaluation.top->first, evaluation.top->second) : "";
  std::string text = fmt::format("accuracy {:.4f}  macro_f1 {:.4f}  mcc {:.4f}  {}{} {:.4f}\n\n{}\n",
                                 report.accuracy, report.macro.f1, report.mcc, top, evaluation.loss_name,
                                 evaluation.loss, scores_header("class", width));
  for (size_t k = 0; k < count; ++k)
    text += scores_line(name_of(evaluation, k), width, report.classes[k]) + "\n";
  text += scores_line("macro", width, report.macro) + "\n";
  return text +
         (count <= kTableClasses ? confusion_table(evaluation, report) : most_confused(evaluation, report));
}

std::string text_of(const Evaluation& evaluation, const LabelReport& report) {
  const size_t count = report.labels.size(), width = width_of_names(evaluation, count);
  std::string text = fmt::format(
      "micro_f1 {:.4f}  macro_f1 {:.4f}  mean average precision {:.4f}  all labels right {:.4f}  {} "
      "{:.4f}\n\n",
      report.micro.f1, report.macro.f1, report.mean_average_precision, report.exact, evaluation.loss_name,
      evaluation.loss);
  text += scores_header("label", width) + "  average precision\n";
  for (size_t k = 0; k < count; ++k) {
    const double average = report.average_precisions[k];
    text += scores_line(name_of(evaluation, k), width, report.labels[k]) +
            (std::isnan(average) ? fmt::format("  {:>17}\n", "-") : fmt::format("  {:>17.4f}\n", average));
  }
  text += scores_line("micro", width, report.micro) + "\n";
  return text + scores_line("macro", width, report.macro) + "\n";
}

std::string text_of(const Evaluation& evaluation, const NumberReport& report) {
  return fmt::format("mse {:.6g}  mae {:.6g}  r2 {:.4f}  pearson {:.4f}  spearman {:.4f}  {} {:.6g}\n",
                     report.mse, report.mae, report.r2, report.pearson, report.spearman, evaluation.loss_name,
                     evaluation.loss);
}

int64_t rows_of(const Evaluation& evaluation) {
  return std::visit([](const auto& report) { return report.rows; }, evaluation.report);
}

Json json_of(const ClassScores& scores) {
  return {
      {"rows", scores.rows}, {"precision", scores.precision}, {"recall", scores.recall}, {"f1", scores.f1}};
}

void add(Json& json, const Evaluation& evaluation, const ClassReport& report) {
  json["accuracy"] = report.accuracy;
  json["mcc"] = report.mcc;
  if (evaluation.top) json[fmt::format("top{}_accuracy", evaluation.top->first)] = evaluation.top->second;
  json["macro"] = json_of(report.macro);
  json["classes"] = Json::array();
  json["confusion"] = Json::array();
  const size_t count = report.classes.size();
  for (size_t k = 0; k < count; ++k) {
    Json one = {{"name", k < evaluation.names.size() ? evaluation.names[k] : fmt::to_string(k)}};
    one.update(json_of(report.classes[k]));
    json["classes"].push_back(one);
    const auto first = report.confusion.begin() + static_cast<std::ptrdiff_t>(k * count);
    json["confusion"].push_back(std::vector<int64_t>(first, first + static_cast<std::ptrdiff_t>(count)));
  }
}

void add(Json& json, const Evaluation& evaluation, const LabelReport& report) {
  json["micro"] = json_of(report.micro);
  json["macro"] = json_of(report.macro);
  json["mean_average_precision"] = report.mean_average_precision;
  json["exact"] = report.exact;
  json["labels"] = Json::array();
  for (size_t k = 0; k < report.labels.size(); ++k) {
    Json one = {{"name", k < evaluation.names.size() ? evaluation.names[k] : fmt::to_string(k)}};
    one.update(json_of(report.labels[k]));
    if (!std::isnan(report.average_precisions[k])) one["average_precision"] = report.average_precisions[k];
    json["labels"].push_back(one);
  }
}

void add(Json& json, const Evaluation&, const NumberReport& report) {
  json["mse"] = report.mse;
  json["mae"] = report.mae;
  json["r2"] = report.r2;
  json["pearson"] = report.pearson;
  json["spearman"] = report.spearman;
}

}  // namespace

std::string evaluation_text(const Evaluation& evaluation) {
  return evaluation.notes +
         fmt::format("{} rows of {}, output '{}'\n", rows_of(evaluation), evaluation.data,
                     printable(evaluation.output)) +
         std::visit([&](const auto& report) { return text_of(evaluation, report); }, evaluation.report);
}

std::string evaluation_json(const Evaluation& evaluation) {
  Json json = {{"model", evaluation.model}, {"data", evaluation.data}, {"rows", rows_of(evaluation)}};
  if (evaluation.left_out) json["left_out"] = *evaluation.left_out;
  json["loss"] = evaluation.loss;
  json["loss_name"] = evaluation.loss_name;
  std::visit([&](const auto& report) { add(json, evaluation, report); }, evaluation.report);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gannet
