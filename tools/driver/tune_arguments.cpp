#include "tools/driver/tune_arguments.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "tools/driver/compile.h"
#include "tools/driver/step_flags.h"

namespace gannet {

namespace {

void add_main_flags(CLI::App& command, TuneArguments& a) {
  std::vector<std::string> tasks = {"arrays", "image-classification"};
  for (const NamedTextTask& task : kTextTasks) tasks.emplace_back(task.name);
  command.add_option("--task", a.task, "what to learn [arrays for .npz, text-classification for tables, else image-classification]")
      ->check(CLI::IsMember(tasks));
  command
      .add_option("--train,--data", a.train,
                  "arrays named as the model's inputs, and the target (.npz), a table of texts and labels "
                  "(.tsv, .csv, .jsonl), or a folder with pictures of each class")
      ->type_name("FILE")
      ->required();
  CLI::Option* eval =
      command.add_option("--eval", a.eval, "held-out data of the same form")->type_name("FILE");
  command
      .add_option("--eval-fraction", a.eval_fraction,
                  "share of the training rows to hold out, of each class alike")
      ->type_name("F")
      ->check(held_out_share())
      ->excludes(eval);
  command.add_option("-o,--output", a.output, "the tuned model")->type_name("FILE.onnx")->required();
  collect_flags(command, a.for_texts, [&] { add_tokenizer_flags(command, a.text); });
  command
      .add_option("--target", a.target,
                  "array of labels or targets [labels, targets, y or the only one left]")
      ->type_name("NAME");
  add_main_step_flags(command, a);
  command.add_option("--log", a.log, "write JSON lines, TensorBoard events and curves.html to DIR")
      ->type_name("DIR");
  CLI::Option* checkpoint =
      command.add_option("--checkpoint", a.checkpoint, "keep checkpoints in DIR")->type_name("DIR");
  command.add_flag("--resume", a.resume, "go on from the newest checkpoint, where there is one")
      ->needs(checkpoint);
  add_seed(command, a.seed, "of the order of rows and of random ops");
  add_threads(command, a.threads);
}

void add_run_flags(CLI::App& command, TuneArguments& a) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 40);
  command.add_option("--steps", a.steps, "updates of the run, in place of --epochs")
      ->type_name("N")
      ->check(count);
  command.add_option("--eval-every", a.evaluate_every, "updates between evaluations [an epoch]")
      ->type_name("N")
      ->check(count);
  command
      .add_option("--patience", a.patience, "evaluations without a better one before the run ends [never]")
      ->type_name("N")
      ->check(count);
  command
      .add_option("--best-by", a.best_by,
                  "the measure whose best weights are kept [accuracy for class numbers and pictures, map for pictures "
                  "with --multi-label, else loss]")
      ->type_name("MEASURE");
  command.add_option("--checkpoint-every", a.checkpoint_every, "updates between checkpoints [an epoch]")
      ->type_name("N")
      ->check(count);
  repeatable(command
                 .add_option(
                     "--search", a.search,
                     "a run for each value of lr, batch-size, epochs, weight-decay, warmup or seed; the best "
                     "is kept (repeatable: all combinations)")
                 ->type_name("NAME=VALUE,VALUE"));
  command
      .add_option("--max-memory", a.max_memory,
                  "compute values twice or batches in pieces so that the process stays below SIZE")
      ->type_name("SIZE");
  add_backend_argument(command, a.backend);
  add_compile_arguments(command, a.compile);
}

// What needs more than a step: several programs, or a count of updates that follows from the data.
void add_stage_flags(CLI::App& command, TuneArguments& a) {
  command
      .add_option(
          "--lora", a.lora,
          "train thin matrices of rank 8 beside weights, and the last layer; they become one when written "
          "[of all linear layers, alpha twice the rank]")
      ->type_name("r=8[,alpha=16][,targets=PATTERN|PATTERN]");
  command.add_option("--unfreeze-after", a.unfreeze_after, "epochs in which a new head trains alone")
      ->type_name("EPOCHS")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      .add_option("--co-teaching", a.co_teaching,
                  "train two models that choose each other's rows, all but SHARE of a batch: that of wrong labels")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 0.99));
  command.add_option("--forget-epochs", a.forget_epochs, "co-teaching: epochs in which that share grows from 0")
      ->capture_default_str()
      ->type_name("EPOCHS")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  command
      .add_option("--second-model", a.second_model,
                  "co-teaching: the second model, a file of the same form [the first with another new head]")
      ->type_name("FILE.onnx");
}

void add_text_flags(CLI::App& command, TuneArguments& a) {
  add_column_flags(command, a.text);
  add_token_input_flags(command, a.text);
  command
      .add_option("--padding", a.padding,
                  "bucket: batches of texts of like length; batch: of any; fixed: to --max-length")
      ->capture_default_str()
      ->check(CLI::IsMember({"bucket", "batch", "fixed"}));
  command.add_option("--pad-multiple", a.pad_multiple, "padded lengths are multiples of N")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16));
}

}  // namespace

void add_tune_arguments(CLI::App& command, TuneArguments& arguments) {
  add_main_flags(command, arguments);
  const std::vector<CLI::Option*> main = command.get_options(nullptr);
  add_model_arguments(command, arguments.model);
  collect_flags(command, arguments.for_texts, [&] { add_text_flags(command, arguments); });
  add_run_flags(command, arguments);
  add_more_step_flags(command, arguments);
  add_stage_flags(command, arguments);
  for (CLI::Option* option : command.get_options(nullptr)) {
    const bool shown = std::ranges::find(main, option) != main.end() || option->get_positional();
    if (!shown) option->group(kMoreFlags);
  }
  collect_flags(command, arguments.for_pictures, [&] { add_image_tune_arguments(command, arguments.pictures); });
  collect_flags(command, arguments.for_unlabelled, [&] { add_weak_tune_arguments(command, arguments.weak); });
  collect_flags(command, arguments.for_synthetic,
                [&] { add_synthetic_arguments(command, arguments.synthetic); });
  arguments.for_pictures.insert(arguments.for_synthetic.begin(), arguments.for_synthetic.end());
  add_help_all(command);
}

Status check_flags(const TuneArguments& arguments, RowKind rows) {
  TRY(check_synthetic_flags(arguments.synthetic, arguments.for_synthetic, arguments.given));
  TRY(check_weak_flags(arguments.weak, arguments.for_unlabelled, arguments.given));
  return check_row_flags({arguments.given, arguments.for_texts, arguments.for_pictures}, arguments.train, rows);
}

void fill_in(TuneArguments& arguments, const TuneDefaults& defaults) {
  auto fill = [&](const char* flag, auto& value, const auto& preset) {
    if (!arguments.given.contains(flag)) value = preset;
  };
  fill("--epochs", arguments.epochs, defaults.epochs);
  fill("--batch-size", arguments.batch_size, defaults.batch_size);
  fill("--schedule", arguments.learning.schedule, defaults.schedule);
  fill("--warmup", arguments.learning.warmup, defaults.warmup);
  fill("--lr", arguments.learning.rate, defaults.rate);
  fill("--weight-decay", arguments.update.weight_decay, defaults.weight_decay);
  fill("--no-decay-vectors", arguments.update.decay_vectors, defaults.decay_vectors);
  fill("--clip-norm", arguments.update.clip_norm, defaults.clip_norm);
  fill("--lr-decay-by-depth", arguments.depth_decay, defaults.depth_decay);
  fill("--label-smoothing", arguments.loss_options.label_smoothing, defaults.label_smoothing);
}

}  // namespace gannet
