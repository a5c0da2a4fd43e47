#include "tools/driver/step_flags.h"

#include <CLI/CLI.hpp>

#include "tools/driver/tune_options.h"
#include "tools/driver/tune_target.h"

namespace gannet {

CLI::Option* repeatable(CLI::Option* option) {
  return option->take_all()->expected(1)->allow_extra_args(false);
}

void add_main_step_flags(CLI::App& command, TuneArguments& a) {
  command.add_option("--loss", a.loss, "[cross-entropy for integer labels, mse for floats]")
      ->check(CLI::IsMember(loss_names()));
  command.add_option("--epochs", a.epochs, "passes over the data [10; texts 3, pictures with a new head 20]")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--batch-size", a.batch_size, "rows in a batch [32; fewer than 1,000 pictures with a new head 16]")->check(CLI::Range(1, 1'000'000));
  command.add_option("--optimizer", a.optimizer, "how weights follow gradients")
      ->capture_default_str()
      ->check(CLI::IsMember(optimizer_names()));
  add_rate_arguments(command, a.learning, "[0.001 for adam and adamw, 0.05 for sgd; texts by the width of the encoder]",
                     "[constant; texts linear, pictures with a new head cosine]");
  repeatable(command.add_option("--freeze", a.freeze, "weights to leave alone, by name pattern (repeatable)")
                 ->type_name("PATTERN"));
}

namespace {

void add_rate_flags(CLI::App& command, TuneArguments& a) {
  command.add_option("--accumulate", a.accumulate, "batches in an update")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  add_warmup_argument(command, a.learning, "[0; texts, and pictures with a new head, 10%]");
  command.add_option("--final-lr", a.learning.final_share, "linear, cosine: the last rate as a share of --lr")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--step-every", a.learning.step_every, "step: updates between falls [a third of the run]")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--step-factor", a.learning.step_factor, "step: what the rate is multiplied by")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--lr-decay-by-depth", a.depth_decay, "factor of the rate for each layer further from the output [1; pictures with a new head 0.85]")
      ->check(CLI::Range(0.0, 1.0));
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
                             "transformers have it [none; texts with a new head, but for regression: that] (repeatable)")
                 ->type_name("PATTERN=RATIO"));
}

}  // namespace

void add_more_step_flags(CLI::App& command, TuneArguments& arguments) {
  add_model_flags(command, arguments);
  add_rate_flags(command, arguments);
  add_optimizer_flags(command, arguments);
  add_loss_flags(command, arguments);
}

}  // namespace gannet
