#include "tools/deploy/output_path.h"
#include "tools/deploy/picture_input.h"
#include "tools/driver/evaluate_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "runtime/data/table.h"
#include "tools/deploy/array_rows.h"
#include "tools/driver/compile.h"
#include "tools/driver/evaluate_pictures.h"
#include "tools/driver/gan_evaluation.h"
#include "tools/driver/image_task.h"
#include "tools/driver/model_pictures.h"
#include "tools/driver/row_flags.h"
#include "tools/driver/text_model.h"
#include "tools/driver/text_rows.h"

namespace gannet {

namespace {

struct EvaluateArguments {
  RunnableOptions model;
  std::string task, data, target, names;
  std::vector<double> thresholds;
  TextArguments text;
  PictureMeasureArguments pictures;
  GanEvaluationArguments gan;
  MeasureOptions measure;
  RowFlags flags;
  std::set<std::string> for_labels, of_pixels, for_gan;  // of labelled data of any kind; of pictures as input
  bool json = false;
};

// What the labels of a table are called, as the model was tuned on them; else as the table has them.
Result<std::vector<std::string>> names_for(const TextTable& table, const EvaluateArguments& arguments,
                                           TextTaskKind kind, const RunnableModel& model) {
  KnownLabels known;
  if (kind == TextTaskKind::kRegression) return known.names;
  known.names = label_names_of(model.metadata);
  if (!known.names.empty()) return known.names;
  const auto output = choose_output(model.outputs, arguments.measure.output);
  constexpr int64_t kLeast = 2;  // one value tells two classes apart
  if (output && output->width) known.classes = std::max(*output->width, kLeast);
  return find_label_names(table, arguments.text, kind, known);
}

Status evaluate_texts(RunnableModel runnable, const EvaluateArguments& arguments, Evaluation& evaluation) {
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
  Measured measured = TRY(measure_rows(model.model, *rows, arguments.measure));
  evaluation.output = measured.predictions.output;
  switch (kind) {
    case TextTaskKind::kClassification:
      return report_classes(measured, rows->target, arguments.measure.top, evaluation);
    case TextTaskKind::kMultiLabel:
      return report_labels(measured, rows->target, arguments.thresholds, evaluation);
    case TextTaskKind::kRegression:
      break;
  }
  return report_numbers(measured, rows->target, evaluation);
}

// Integers for each row are classes; several values of 0 and 1 are labels; other numbers are what is to be
// predicted.
Status evaluate_arrays(const RunnableModel& model, const EvaluateArguments& arguments, Evaluation& evaluation) {
  const Limits limits = TRY(limits_of(arguments.model.model));
  const std::unique_ptr<LabelledRows> rows =
      TRY(read_array_rows(arguments.data, model.inputs, arguments.target, limits));
  evaluation.names = label_names_of(model.metadata);
  Measured measured = TRY(measure_rows(model, *rows, arguments.measure));
  evaluation.output = measured.predictions.output;
  const bool integers = !is_float(rows->target.values.dtype());
  const bool flags = measured.target_width > 1 && std::ranges::all_of(measured.targets, [](float value) {
                       return value == 0 || value == 1;
                     });
  if (integers && measured.target_width == 1)
    return report_classes(measured, rows->target, arguments.measure.top, evaluation);
  if (flags) return report_labels(measured, rows->target, arguments.thresholds, evaluation);
  return report_numbers(measured, rows->target, evaluation);
}

// What rows the data hold, by --task; without it by the data and the model.
RowKind rows_of(const EvaluateArguments& arguments, const RunnableModel& model) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(arguments.data, error);
  const bool takes = takes_pictures(model.inputs);
  if (arguments.task == kImageTask || folder) return RowKind::kPictures;
  if (find_text_task(arguments.task))
    return takes && arguments.task == kSeveralLabelsTask ? RowKind::kPictures : RowKind::kTexts;
  if (!arguments.task.empty() || !table_format_of(arguments.data)) return RowKind::kArrays;
  return takes ? RowKind::kPictures : RowKind::kTexts;
}

// A flag of the other kind of task would be passed over.
Status check_task_flags(const EvaluateArguments& arguments) {
  const RowFlags& flags = arguments.flags;
  const bool gan = arguments.task == kGanTask;
  for (const std::string& flag : flags.given) {
    const bool of_labels = arguments.for_labels.contains(flag) || flags.for_texts.contains(flag) ||
                           (flags.for_pictures.contains(flag) && !arguments.of_pixels.contains(flag));
    if (gan && of_labels)
      return invalid_input(fmt::format("{} is for labelled data, --task {} compares pictures", flag, kGanTask));
    if (!gan && arguments.for_gan.contains(flag))
      return invalid_input(fmt::format("{} is for --task {}", flag, kGanTask));
  }
  return {};
}

Status evaluate_model(const EvaluateArguments& arguments) {
  TRY(check_task_flags(arguments));
  if (arguments.task == kGanTask)
    return evaluate_gan(arguments.model, arguments.data, arguments.gan, arguments.pictures.image, arguments.json);
  if (arguments.data.empty()) return invalid_input("--data is required");
  TRY(check_outputs({}, {arguments.data, arguments.model.model.path}, {arguments.pictures.report}));
  Evaluation evaluation;
  evaluation.model = arguments.model.model.path;
  evaluation.data = arguments.data;
  RunnableModel model = TRY(load_runnable(arguments.model));
  const RowKind kind = rows_of(arguments, model);
  TRY(check_row_flags(arguments.flags, arguments.data, kind));
  if (kind == RowKind::kPictures) {
    PictureEvaluation pictures{arguments.data,       arguments.target,  arguments.names, arguments.thresholds,
                               arguments.pictures,   arguments.measure, {},              arguments.model.threads};
    pictures.pictures.several_labels |= arguments.task == kSeveralLabelsTask;
    pictures.limits = TRY(limits_of(arguments.model.model));
    TRY(evaluate_pictures(model, pictures, evaluation));
  } else if (kind == RowKind::kTexts) {
    TRY(evaluate_texts(std::move(model), arguments, evaluation));
  } else {
    TRY(evaluate_arrays(model, arguments, evaluation));
  }
  if (!arguments.json) {
    fmt::print("{}", evaluation_text(evaluation));
    return {};
  }
  fmt::print(stderr, "{}", evaluation.notes);
  fmt::print("{}", evaluation_json(evaluation));
  return {};
}

// What is measured.
void add_data_flags(CLI::App& command, EvaluateArguments& a) {
  std::vector<std::string> tasks = {"arrays", kImageTask, kGanTask};
  for (const NamedTextTask& task : kTextTasks) tasks.emplace_back(task.name);
  command.add_option("--task", a.task, "what to measure [by the data and the model]")
      ->check(CLI::IsMember(tasks));
  command
      .add_option("--data,--test", a.data,
                  "arrays and their target (.npz), a table of texts or pictures and labels (.tsv, .csv, .jsonl), "
                  "a folder with pictures of each class, or with gan one of real pictures")
      ->type_name("FILE");
  collect_flags(command, a.for_labels, [&] {
    command
        .add_option("--target", a.target,
                    "array of labels or targets [labels, targets, y or the only one left]; pictures: column of "
                    "the labels")
        ->type_name("NAME");
  });
  collect_flags(command, a.flags.for_texts, [&] {
    add_tokenizer_flags(command, a.text);
    add_column_flags(command, a.text);
  });
  collect_flags(command, a.flags.for_pictures, [&] {
    command.add_option("--labels", a.names, "pictures: class names, one a line [those of the model's metadata]")
        ->type_name("FILE");
  });
}

// How labelled rows are measured.
void add_measure_flags(CLI::App& command, EvaluateArguments& a) {
  command.add_option("--output", a.measure.output, "the output to measure [the first floating point one]")
      ->type_name("NAME");
  command
      .add_option("--top-k", a.measure.top,
                  "also measure how often the label is among the K likeliest classes, where there are more")
      ->capture_default_str()
      ->type_name("K")
      ->check(CLI::Range(2, 1000));
  command
      .add_option("--threshold", a.thresholds,
                  "several labels: scores above it say yes, one for all or one for each [pictures: those of the "
                  "metadata; 0.5 for probabilities, else 0]")
      ->type_name("T,T,...")
      ->delimiter(',');
  command.add_option("--batch-size", a.measure.batch_size, "rows computed together")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
}

}  // namespace

CLI::App* add_evaluate_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<EvaluateArguments>();
  EvaluateArguments& a = *arguments;
  CLI::App* command =
      add_command(app, "evaluate", "Measure a model, from ONNX or compiled, on labelled data.",
                  "gannet evaluate tuned.onnx --data test.tsv --vocab vocab.txt", run,
                  [&app, arguments] {
                    collect_given(*app.get_subcommand("evaluate"), arguments->flags.given);
                    return evaluate_model(*arguments);
                  });
  add_model_arguments(*command, a.model.model);
  add_data_flags(*command, a);
  command->add_flag("--json", a.json, "print one JSON object with all figures");
  add_threads(*command, a.model.threads);
  const std::vector<CLI::Option*> main = command->get_options(nullptr);
  collect_flags(*command, a.for_labels, [&] { add_measure_flags(*command, a); });
  collect_flags(*command, a.flags.for_texts, [&] { add_token_input_flags(*command, a.text); });
  add_backend_argument(*command, a.model.backend);
  add_compile_arguments(*command, a.model.compile);
  for (CLI::Option* option : command->get_options(nullptr)) {
    if (std::ranges::find(main, option) == main.end()) option->group(kMoreFlags);
  }
  collect_flags(*command, a.flags.for_pictures, [&] { add_picture_measure_arguments(*command, a.pictures); });
  collect_flags(*command, a.of_pixels, [&] { add_image_arguments(*command, a.pictures.image, kMoreFlags); });
  a.flags.for_pictures.insert(a.of_pixels.begin(), a.of_pixels.end());
  collect_flags(*command, a.for_gan, [&] { add_gan_evaluation_flags(*command, a.gan, kMoreFlags); });
  add_help_all(*command);
  return command;
}

}  // namespace gannet
