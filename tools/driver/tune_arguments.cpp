#include "tools/driver/tune_arguments.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "tools/driver/compile.h"
#include "tools/driver/tune_options.h"
#include "tools/driver/tune_target.h"

namespace gannet {

namespace {

CLI::Option* repeatable(CLI::Option* option) {
  return option->take_all()->expected(1)->allow_extra_args(false);
}

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
      ->check(CLI::Range(0.0, 1.0))
      ->excludes(eval);
  command.add_option("-o,--output", a.output, "the tuned model")->type_name("FILE.onnx")->required();
  collect_flags(command, a.for_texts, [&] { add_tokenizer_flags(command, a.text); });
  command
      .add_option("--target", a.target,
                  "array of labels or targets [labels, targets, y or the only one left]")
      ->type_name("NAME");
  command.add_option("--loss", a.loss, "[cross-entropy for integer labels, mse for floats]")
      ->check(CLI::IsMember(loss_names()));
  command.add_option("--epochs", a.epochs, "passes over the data [10; texts 3, pictures with a new head 20]")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--batch-size", a.batch_size, "rows in a batch [32; fewer than 1,000 pictures with a new head 16]")->check(CLI::Range(1, 1'000'000));
  command.add_option("--optimizer", a.optimizer, "how weights follow gradients")
      ->capture_default_str()
      ->check(CLI::IsMember(optimizer_names()));
  command
      .add_option("--lr", a.rate,
                  "learning rate [0.001 for adam and adamw, 0.05 for sgd; texts by the width of the encoder]")
      ->type_name("RATE")
      ->check(finite_number(true));
  command.add_option("--schedule", a.schedule, "the learning rate over the run [constant; texts linear, pictures with a new head cosine]")
      ->check(CLI::IsMember({"constant", "linear", "cosine", "step", "one-cycle"}));
  repeatable(command.add_option("--freeze", a.freeze, "weights to leave alone, by name pattern (repeatable)")
                 ->type_name("PATTERN"));
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
  command.add_option("--accumulate", a.accumulate, "batches in an update")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
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

void add_rate_flags(CLI::App& command, TuneArguments& a) {
  command
      .add_option("--warmup", a.warmup,
                  "updates of rising rate before the schedule: N, or a share such as 5% [0; texts, and pictures with a new head, 10%]")
      ->type_name("N|P%");
  command.add_option("--final-lr", a.final_share, "linear, cosine: the last rate as a share of --lr")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--step-every", a.step_every, "step: updates between falls [a third of the run]")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--step-factor", a.step_factor, "step: what the rate is multiplied by")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--lr-decay-by-depth", a.depth_decay, "factor of the rate for each layer further from the output [1; pictures with a new head 0.85]")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--unfreeze-after", a.unfreeze_after, "epochs in which a new head trains alone")
      ->type_name("EPOCHS")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  repeatable(command
                 .add_option("--lr-for", a.rates_by_name,
                             "PATTERN=FACTOR of the rate of some weights; 0 freezes (repeatable)")
                 ->type_name("PATTERN=FACTOR"));
}

void add_optimizer_flags(CLI::App& command, TuneArguments& a) {
  OptimizerOptions& update = a.update;
  const auto share = CLI::Range(0.0, 1.0);
  command.add_option("--momentum", update.momentum, "sgd [0], nesterov [0.9]")->check(share);
  command.add_option("--beta1", update.beta1, "adam, adamw, lamb")->capture_default_str()->check(share);
  command.add_option("--beta2", update.beta2, "adam, adamw, lamb")->capture_default_str()->check(share);
  command.add_option("--epsilon", update.epsilon, "[the optimizer's own]")->check(finite_number(true));
  command.add_option("--weight-decay", update.weight_decay, "of weights [0; texts 0.01, of matrices]")
      ->check(finite_number(false));
  repeatable(
      command
          .add_option("--no-decay", update.no_decay, "weights without decay, by name pattern (repeatable)")
          ->type_name("PATTERN"));
  command.add_flag("--no-decay-vectors{false}", update.decay_vectors,
                   "no decay of biases and norms: weights of one dimension");
  command
      .add_option("--clip-norm", update.clip_norm,
                  "scale gradients to at most this norm over all of them; 0: not [0; texts 1]")
      ->check(finite_number(false));
  command.add_option("--clip-value", update.clip_value, "clamp each element of a gradient")
      ->check(finite_number(true));
  command
      .add_option("--ema", update.ema_decay,
                  "evaluate and write moving averages of the weights, such as 0.999")
      ->check(share);
}

void add_loss_flags(CLI::App& command, TuneArguments& a) {
  LossOptions& loss = a.loss_options;
  command
      .add_option("--trained-output", a.trained_output, "output that the loss reads [the first float one]")
      ->type_name("NAME");
  command.add_option("--label-smoothing", loss.label_smoothing,
                     "losses of classes [0; pictures with a new head 0.1]")->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--class-weights", a.class_weights,
                  "one for each class, 1,2,0.5; or balanced: by how rare it is")
      ->type_name("W,W,...");
  command.add_option("--ignore-index", loss.ignore_index, "label of positions that count for nothing")
      ->type_name("N");
  command.add_option("--top-k", a.top, "also measure how often the label is among the K likeliest classes")
      ->capture_default_str()
      ->type_name("K")
      ->check(CLI::Range(2, 1000));
  command.add_option("--class-axis", loss.class_axis, "which axis of the output holds the classes")
      ->capture_default_str();
  command
      .add_option("--bootstrap-beta", loss.beta,
                  "bootstrap-soft, bootstrap-hard: share of the given label, the rest is what the model says [0.95, 0.8]")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--q", loss.q,
                  "generalized-cross-entropy: from 0 to 1; the larger, the less wrong labels count [0.7]")
      ->type_name("POWER")
      ->check(CLI::Range(0.0, 1.0));
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
  command.add_option("--huber-delta", loss.huber_delta, "where huber turns linear")
      ->capture_default_str()
      ->check(finite_number(true));
}

void add_model_flags(CLI::App& command, TuneArguments& a) {
  const auto classes = CLI::Range(int64_t{1}, int64_t{1} << 24);
  CLI::Option* replaced = command
                              .add_option("--new-head", a.new_head,
                                          "give the last layer N classes; it starts from random weights")
                              ->type_name("N")
                              ->check(classes);
  command.add_option("--head-layer", a.head_layer, "the layer that --new-head replaces [the last one]")
      ->type_name("NODE")
      ->needs(replaced);
  command.add_option("--add-head", a.added_head, "put a layer of N classes behind an encoder")
      ->type_name("N")
      ->check(classes)
      ->excludes(replaced);
  command.add_option("--features", a.features, "the output that an added head reads [the first float one]")
      ->type_name("OUTPUT");
  command
      .add_option("--pooling", a.pooling,
                  "of tokens, for an added head: the first, or their mean [first; texts with a mask mean]")
      ->check(CLI::IsMember({"first", "mean"}));
  command.add_option("--head-dropout", a.head_dropout, "dropout in front of a new head [0; texts 0.1]")
      ->check(CLI::Range(0.0, 0.99));
  command
      .add_option(
          "--lora", a.lora,
          "train thin matrices of rank 8 beside weights, and the last layer; they become one when written "
          "[of all linear layers, alpha twice the rank]")
      ->type_name("r=8[,alpha=16][,targets=PATTERN|PATTERN]");
  command
      .add_option("--batch-norm", a.batch_norm,
                  "train: by the batch, running statistics follow; frozen: as in inference")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "frozen"}));
  command
      .add_option("--batch-norm-momentum", a.batch_norm_momentum,
                  "share of the running statistics that stays")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  repeatable(command
                 .add_option("--dropout", a.dropout,
                             "PATTERN=RATIO: dropout behind nodes or values of these names; transformer=0.1: where "
                             "transformers have it [texts with a new head, but for regression: that] (repeatable)")
                 ->type_name("PATTERN=RATIO"));
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
  add_model_flags(command, arguments);
  add_run_flags(command, arguments);
  add_rate_flags(command, arguments);
  add_optimizer_flags(command, arguments);
  add_loss_flags(command, arguments);
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
  fill("--schedule", arguments.schedule, defaults.schedule);
  fill("--warmup", arguments.warmup, defaults.warmup);
  fill("--lr", arguments.rate, defaults.rate);
  fill("--weight-decay", arguments.update.weight_decay, defaults.weight_decay);
  fill("--no-decay-vectors", arguments.update.decay_vectors, defaults.decay_vectors);
  fill("--clip-norm", arguments.update.clip_norm, defaults.clip_norm);
  fill("--lr-decay-by-depth", arguments.depth_decay, defaults.depth_decay);
  fill("--label-smoothing", arguments.loss_options.label_smoothing, defaults.label_smoothing);
}

}  // namespace gannet
