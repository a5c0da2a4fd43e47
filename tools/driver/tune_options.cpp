#include "tools/driver/tune_options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

namespace gannet {

namespace {

struct NamedOptimizer {
  std::string_view name;
  Optimizer kind;
  double rate;      // where no --lr is given
  double momentum;  // where no --momentum is given
};

constexpr std::array<NamedOptimizer, 6> kOptimizers = {{{"sgd", Optimizer::kSgd, 0.05, 0},
                                                        {"nesterov", Optimizer::kSgd, 0.05, 0.9},
                                                        {"adam", Optimizer::kAdam, 1e-3, 0},
                                                        {"adamw", Optimizer::kAdamW, 1e-3, 0},
                                                        {"adagrad", Optimizer::kAdagrad, 1e-2, 0},
                                                        {"lamb", Optimizer::kLamb, 2e-3, 0}}};

const NamedOptimizer& named_optimizer(std::string_view name) {
  for (const NamedOptimizer& optimizer : kOptimizers) {
    if (optimizer.name == name) return optimizer;
  }
  CHECK(false, "optimizer '{}'", name);
  __builtin_unreachable();
}

Result<std::pair<std::string, double>> pattern_and_number(const std::string& text, std::string_view flag,
                                                          std::string_view form) {
  const size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0)
    return invalid_input(fmt::format("{} takes {}, got '{}'", flag, form, text));
  return std::pair(text.substr(0, at), TRY(parse_number(std::string_view(text).substr(at + 1), flag, text)));
}

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const NamedOptimizer& optimizer : kOptimizers) names.emplace_back(optimizer.name);
  return names;
}

OptimizerOptions named_optimizer_options(std::string_view name) {
  const NamedOptimizer& named = named_optimizer(name);
  return {.kind = named.kind, .momentum = named.momentum, .nesterov = named.name == "nesterov"};
}

Result<OptimizerOptions> optimizer_of(const TuneArguments& arguments) {
  OptimizerOptions options = arguments.update;
  const OptimizerOptions named = named_optimizer_options(arguments.optimizer);
  options.kind = named.kind;
  options.ema_warmup = true;
  if (arguments.weak.used()) {
    const bool teacher = method_of(arguments.weak) == WeakMethod::kMeanTeacher;
    if (teacher && options.ema_decay == 0) options.ema_decay = kTeacherDecay;
  }
  options.nesterov = named.nesterov;
  if (options.momentum == 0) options.momentum = named.momentum;
  if (options.momentum > 0 && named.kind != Optimizer::kSgd)
    return invalid_input(fmt::format("--momentum: {} has none", arguments.optimizer));
  for (const std::string& text : arguments.rates_by_name) {
    auto [pattern, factor] = TRY(pattern_and_number(text, "--lr-for", "PATTERN=FACTOR"));
    options.rates.push_back({std::move(pattern), factor});
  }
  return options;
}

Result<std::vector<DropoutRule>> dropout_of(const TuneArguments& arguments) {
  std::vector<DropoutRule> rules;
  for (const std::string& text : arguments.dropout) {
    auto [pattern, ratio] = TRY(pattern_and_number(text, "--dropout", "PATTERN=RATIO"));
    if (ratio >= 1) return invalid_input(fmt::format("--dropout {}: the ratio must be below 1", text));
    rules.push_back({std::move(pattern), ratio});
  }
  return rules;
}

Result<LowRankOptions> low_rank_of(const TuneArguments& arguments) {
  LowRankOptions options;
  options.seed = arguments.seed;
  std::optional<double> alpha;
  double rank = static_cast<double>(options.rank);
  for (const std::string& part : CLI::detail::split(arguments.lora, ',')) {
    const size_t at = part.find('=');
    const std::string name = part.substr(0, at), value = at == std::string::npos ? "" : part.substr(at + 1);
    if (name == "r")
      rank = TRY(parse_number(value, "--lora", arguments.lora));
    else if (name == "alpha")
      alpha = TRY(parse_number(value, "--lora", arguments.lora));
    else if (name == "targets")
      options.targets = CLI::detail::split(value, '|');
    else
      return invalid_input(
          fmt::format("--lora takes r=8,alpha=16,targets=PATTERN|PATTERN, got '{}'", arguments.lora));
  }
  constexpr double kLargest = 4096;
  if (rank < 1 || rank > kLargest || rank != std::floor(rank))
    return invalid_input(
        fmt::format("--lora {}: the rank is a whole number of 1 to {}", arguments.lora, kLargest));
  options.rank = static_cast<int64_t>(rank);
  options.alpha = alpha.value_or(2 * rank);
  return options;
}

double rate_of(const TuneArguments& arguments) {
  return arguments.learning.rate.value_or(named_optimizer(arguments.optimizer).rate);
}

Result<int64_t> parse_bytes(const std::string& text, std::string_view flag) {
  double value = 0;
  size_t end = text.find_first_not_of("0123456789.");
  if (end == std::string::npos) end = text.size();
  std::string unit = text.substr(end);
  if (unit.ends_with("iB"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with("B"))
    unit.resize(unit.size() - 1);
  constexpr std::string_view kUnits = "KMGT";
  const size_t power =
      unit.empty() ? 0
                   : kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0])))) + 1;
  const bool known = unit.size() <= 1 && (unit.empty() || power > 0);
  const bool number = end > 0 && CLI::detail::lexical_cast(text.substr(0, end), value) && value > 0;
  const double bytes = value * std::pow(1024, power);
  if (!known || !number || bytes > 1e18)
    return invalid_input(fmt::format("{} takes a size such as 512M or 4G, got '{}'", flag, text));
  return static_cast<int64_t>(bytes);
}

std::map<std::string, std::string> deciding_flags(const TuneArguments& a, int64_t total_steps) {
  const OptimizerOptions& update = a.update;
  const LossOptions& loss = a.loss_options;
  std::map<std::string, std::string> flags = {
      {"--target", a.target},
      {"--loss", a.loss},
      {"--trained-output", a.trained_output},
      {"--freeze", fmt::format("{}", fmt::join(a.freeze, " "))},
      {"--batch-size", fmt::to_string(a.batch_size)},
      {"--accumulate", fmt::to_string(a.accumulate)},
      {"--optimizer", a.optimizer},
      {"--lr", fmt::to_string(rate_of(a))},
      {"--schedule", a.learning.schedule},
      {"--warmup", a.learning.warmup},
      {"--lr-for", fmt::format("{}", fmt::join(a.rates_by_name, " "))},
      {"--momentum", fmt::to_string(update.momentum)},
      {"--beta1", fmt::to_string(update.beta1)},
      {"--beta2", fmt::to_string(update.beta2)},
      {"--epsilon", fmt::to_string(update.epsilon)},
      {"--weight-decay", fmt::to_string(update.weight_decay)},
      {"--no-decay", fmt::format("{}", fmt::join(update.no_decay, " "))},
      {"--no-decay-vectors", update.decay_vectors ? "no" : "yes"},
      {"--clip-norm", fmt::to_string(update.clip_norm)},
      {"--clip-value", fmt::to_string(update.clip_value)},
      {"--ema", fmt::to_string(update.ema_decay)},
      {"--label-smoothing", fmt::to_string(loss.label_smoothing)},
      {"--class-weights", a.class_weights},
      {"--ignore-index", loss.ignore_index ? fmt::to_string(*loss.ignore_index) : ""},
      {"--class-axis", fmt::to_string(loss.class_axis)},
      {"--huber-delta", fmt::to_string(loss.huber_delta)},
      {"--bootstrap-beta", fmt::to_string(loss.beta.value_or(-1))},
      {"--q", fmt::to_string(loss.q.value_or(-1))},
      {"--co-teaching and --forget-epochs", fmt::format("{} {}", a.co_teaching, a.forget_epochs)},
      {"--eval-fraction", a.eval_fraction ? fmt::to_string(*a.eval_fraction) : ""},
      {"--eval-every", fmt::to_string(a.evaluate_every)},
      {"--best-by", a.best_by},
      {"--batch-norm", fmt::format("{} {}", a.batch_norm, a.batch_norm_momentum)},
      {"--dropout", fmt::format("{}", fmt::join(a.dropout, " "))},
      {"--new-head or --add-head", fmt::format("{} {} {} {} {} {}", a.new_head, a.head_layer, a.added_head,
                                               a.features, a.pooling, a.head_dropout.value_or(-1))},
      {"--unfreeze-after and --lr-decay-by-depth", fmt::format("{} {}", a.unfreeze_after, a.depth_decay)},
      {"--lora", a.lora},
      {"--backend", a.backend}};
  if (a.compile.product_dtype != DType::kF32) flags["--dtype"] = name_of(a.compile.product_dtype);
  // A constant rate can go on for longer; the others are stretched over the run.
  if (a.learning.schedule != "constant" || a.learning.warmup.ends_with('%'))
    flags["--steps or --epochs"] = fmt::format("{} updates", total_steps);
  if (a.learning.schedule == "linear" || a.learning.schedule == "cosine") flags["--final-lr"] = fmt::to_string(a.learning.final_share);
  if (a.learning.schedule == "step") flags["--step-every"] = fmt::format("{} {}", a.learning.step_every, a.learning.step_factor);
  return flags;
}

}  // namespace gannet
