#include "tools/driver/evaluate_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "tools/driver/array_task.h"
#include "tools/driver/compile.h"
#include "tools/driver/evaluation.h"
#include "tools/driver/predictions.h"
#include "tools/driver/text_model.h"
#include "tools/driver/text_rows.h"

namespace gannet {

namespace {

struct EvaluateArguments {
  RunnableOptions model;
  std::string task, data, target, output;
  TextArguments text;
  int64_t batch_size = 32;
  bool json = false;
};

// Predictions, and the targets of the same rows.
struct Measured {
  Predictions predictions;
  std::vector<float> targets;
  int64_t target_width = 1;
};

Result<Measured> measure(const RunnableModel& model, const LabelledRows& rows,
                         const EvaluateArguments& arguments) {
  BatchRequest request;
  request.batch_size = model.fixed_rows.value_or(arguments.batch_size);
  const std::unique_ptr<BatchSource> batches = TRY(rows.batches(std::nullopt, request));
  Measured measured;
  for (int64_t i = 0; i < batches->per_epoch(); ++i) {
    BatchColumns columns = TRY(batches->read(i));
    const Tensor target = TRY(convert(columns.back(), DType::kF32));
    columns.pop_back();
    TRY(predict(model, std::move(columns), arguments.output, measured.predictions));
    measured.target_width = target.elements() / target.extent(0);
    const auto values = target.data<float>();
    measured.targets.insert(measured.targets.end(), values.begin(), values.end());
  }
  return measured;
}

// The mean of -log of what the model gives the label.
double cross_entropy(const Predictions& predictions, std::span<const int64_t> labels) {
  const bool shared = are_distributions(predictions);
  const auto width = static_cast<size_t>(predictions.width);
  double sum = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    const std::span<const float> values(predictions.values.data() + row * width, width);
    const auto own = static_cast<double>(values[static_cast<size_t>(labels[row])]);
    if (shared) {
      sum -= std::max(std::log(own), -100.0);
      continue;
    }
    const auto largest = static_cast<double>(*std::ranges::max_element(values));
    double total = 0;
    for (const float value : values) total += std::exp(static_cast<double>(value) - largest);
    sum += std::log(total) + largest - own;
  }
  return sum / static_cast<double>(labels.size());
}

double binary_cross_entropy(const Predictions& predictions, std::span<const float> targets) {
  const bool probabilities = are_probabilities(predictions);
  double sum = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto x = static_cast<double>(predictions.values[i]), target = static_cast<double>(targets[i]);
    constexpr double kLeast = -100;  // PyTorch's bound of a logarithm
    if (probabilities)
      sum -= target * std::max(std::log(x), kLeast) + (1 - target) * std::max(std::log1p(-x), kLeast);
    else
      sum += std::max(x, 0.0) - x * target + std::log1p(std::exp(-std::fabs(x)));
  }
  return sum / static_cast<double>(targets.size());
}

Status evaluate_classes(Measured measured, const TargetColumn& target, Evaluation& evaluation) {
  Predictions& predictions = measured.predictions;
  if (predictions.width == 1) widen_to_two_classes(predictions);
  std::vector<int64_t> labels, said;
  const auto width = static_cast<size_t>(predictions.width);
  for (size_t row = 0; row < measured.targets.size(); ++row) {
    const auto label = static_cast<int64_t>(measured.targets[row]);
    if (label < 0 || label >= predictions.width) {
      return invalid_input(fmt::format("{}: label {} of '{}' is not one of the {} classes of output '{}'",
                                       target.file, label, target.name, predictions.width,
                                       predictions.output));
    }
    labels.push_back(label);
    const auto first = predictions.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    said.push_back(std::max_element(first, first + static_cast<std::ptrdiff_t>(width)) - first);
  }
  evaluation.loss_name = "cross entropy";
  evaluation.loss = cross_entropy(predictions, labels);
  evaluation.report = class_report(labels, said, predictions.width);
  return {};
}

Status evaluate_numbers(const Measured& measured, const TargetColumn& target, bool labels,
                        Evaluation& evaluation) {
  const Predictions& predictions = measured.predictions;
  if (predictions.width != measured.target_width) {
    return invalid_input(fmt::format("{}: '{}' has {} values in a row, output '{}' has {}", target.file,
                                     target.name, measured.target_width, predictions.output,
                                     predictions.width));
  }
  if (labels) {
    evaluation.loss_name = "binary cross entropy";
    evaluation.loss = binary_cross_entropy(predictions, measured.targets);
    evaluation.report = label_report(measured.targets, predictions.values, predictions.width,
                                     are_probabilities(predictions) ? 0.5 : 0);
    return {};
  }
  const NumberReport report = number_report(measured.targets, predictions.values);
  evaluation.loss_name = "mean squared error";
  evaluation.loss = report.mse;
  evaluation.report = report;
  return {};
}

// What the labels of a table are called, as the model was tuned on them; else as the table has them.
Result<std::vector<std::string>> names_for(const TextTable& table, const EvaluateArguments& arguments,
                                           TextTaskKind kind, const RunnableModel& model) {
  KnownLabels known;
  if (kind == TextTaskKind::kRegression) return known.names;
  known.names = label_names_of(model.metadata);
  if (!known.names.empty()) return known.names;
  const auto output = choose_output(model.outputs, arguments.output);
  constexpr int64_t kLeast = 2;  // one value tells two classes apart
  if (output && output->width) known.classes = std::max(*output->width, kLeast);
  return find_label_names(table, arguments.text, kind, known);
}

Status evaluate_texts(const EvaluateArguments& arguments, Evaluation& evaluation) {
  RunnableModel runnable = TRY(load_runnable(arguments.model));
  const TextTaskKind kind = TRY(text_task_kind(arguments.task, runnable.metadata));
  const Limits limits = TRY(limits_of(arguments.model.model));
  const TextTable table = TRY(read_text_table(arguments.data, arguments.text, kind, true, limits.file_bytes));
  const TextModel model = TRY(make_text_model(std::move(runnable), arguments.text));
  evaluation.names = TRY(names_for(table, arguments, kind, model.model));
  Tensor target = TRY(label_target(table, arguments.text, kind, evaluation.names));
  TextReading reading = {model.tokenizer, model.inputs, model.layout};
  reading.longest = model.longest;
  reading.threads = arguments.model.threads;
  const std::unique_ptr<LabelledRows> rows = TRY(make_text_rows(table, std::move(target), reading));
  Measured measured = TRY(measure(model.model, *rows, arguments));
  evaluation.output = measured.predictions.output;
  if (kind == TextTaskKind::kClassification)
    return evaluate_classes(std::move(measured), rows->target, evaluation);
  return evaluate_numbers(measured, rows->target, kind == TextTaskKind::kMultiLabel, evaluation);
}

// Integers for each row are classes; several values of 0 and 1 are labels; other numbers are what is to be
// predicted.
Status evaluate_arrays(const EvaluateArguments& arguments, Evaluation& evaluation) {
  const RunnableModel model = TRY(load_runnable(arguments.model));
  const Limits limits = TRY(limits_of(arguments.model.model));
  const std::unique_ptr<LabelledRows> rows =
      TRY(read_array_rows(arguments.data, model.inputs, arguments.target, limits));
  evaluation.names = label_names_of(model.metadata);
  Measured measured = TRY(measure(model, *rows, arguments));
  evaluation.output = measured.predictions.output;
  const bool integers = !is_float(rows->target.values.dtype());
  const bool flags = measured.target_width > 1 && std::ranges::all_of(measured.targets, [](float value) {
                       return value == 0 || value == 1;
                     });
  if (integers && measured.target_width == 1)
    return evaluate_classes(std::move(measured), rows->target, evaluation);
  return evaluate_numbers(measured, rows->target, flags, evaluation);
}

Status evaluate_model(const EvaluateArguments& arguments) {
  Evaluation evaluation;
  evaluation.model = arguments.model.model.path;
  evaluation.data = arguments.data;
  const bool texts =
      find_text_task(arguments.task) || (arguments.task.empty() && table_format_of(arguments.data));
  TRY(texts ? evaluate_texts(arguments, evaluation) : evaluate_arrays(arguments, evaluation));
  fmt::print("{}", arguments.json ? evaluation_json(evaluation) : evaluation_text(evaluation));
  return {};
}

}  // namespace

CLI::App* add_evaluate_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<EvaluateArguments>();
  EvaluateArguments& a = *arguments;
  CLI::App* command =
      add_command(app, "evaluate", "Measure a model, from ONNX or compiled, on labelled data.",
                  "gannet evaluate tuned.onnx --data test.tsv --vocab vocab.txt", run,
                  [arguments] { return evaluate_model(*arguments); });
  add_model_arguments(*command, a.model.model);
  std::vector<std::string> tasks = {"arrays"};
  for (const NamedTextTask& task : kTextTasks) tasks.emplace_back(task.name);
  command->add_option("--task", a.task, "what to measure [that of the model's metadata]")
      ->check(CLI::IsMember(tasks));
  command
      ->add_option("--data", a.data,
                   "arrays and their target (.npz), or a table of texts and labels (.tsv, .csv, .jsonl)")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--target", a.target,
                   "array of labels or targets [labels, targets, y or the only one left]")
      ->type_name("NAME");
  add_tokenizer_flags(*command, a.text);
  add_column_flags(*command, a.text);
  command->add_flag("--json", a.json, "print one JSON object with all figures");
  add_threads(*command, a.model.threads);
  const std::vector<CLI::Option*> main = command->get_options(nullptr);
  command->add_option("--output", a.output, "the output to measure [the first floating point one]")
      ->type_name("NAME");
  command->add_option("--batch-size", a.batch_size, "rows computed together")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  add_token_input_flags(*command, a.text);
  add_backend_argument(*command, a.model.backend);
  add_compile_arguments(*command, a.model.compile);
  for (CLI::Option* option : command->get_options(nullptr)) {
    if (std::ranges::find(main, option) == main.end()) option->group(kMoreFlags);
  }
  add_help_all(*command);
  return command;
}

}  // namespace gannet
