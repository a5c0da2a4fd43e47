#include "tools/driver/gan_arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "tools/deploy/arguments.h"
#include "tools/driver/compile.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

// What papers train with. Rates and betas are Adam's.
struct NamedLoss {
  std::string_view name;
  AdversarialLoss kind;
  double rate, beta1, beta2;
  int64_t discriminator_steps;
  double gradient_penalty, clip_weights;
};

constexpr std::array<NamedLoss, 6> kLosses = {{
    {"non-saturating", AdversarialLoss::kNonSaturating, 2e-4, 0.5, 0.999, 1, 0, 0},
    {"minimax", AdversarialLoss::kMinimax, 2e-4, 0.5, 0.999, 1, 0, 0},
    {"hinge", AdversarialLoss::kHinge, 2e-4, 0.5, 0.999, 1, 0, 0},
    {"least-squares", AdversarialLoss::kLeastSquares, 2e-4, 0.5, 0.999, 1, 0, 0},
    {"wasserstein", AdversarialLoss::kWasserstein, 5e-5, 0.0, 0.9, 5, 0, 0.01},
    {"wasserstein-gp", AdversarialLoss::kWasserstein, 1e-4, 0.0, 0.9, 5, 10, 0},
}};

const NamedLoss& named_loss(const GanArguments& arguments) {
  for (const NamedLoss& loss : kLosses) {
    if (loss.name == arguments.loss) return loss;
  }
  CHECK(false, "loss '{}'", arguments.loss);
  __builtin_unreachable();
}

void add_main_flags(CLI::App& command, GanArguments& a) {
  std::vector<std::string> losses;
  for (const NamedLoss& loss : kLosses) losses.emplace_back(loss.name);
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 40);
  command.add_option("--generator", a.generator.path, "makes pictures of random numbers")->type_name("G.onnx")->required();
  command.add_option("--discriminator", a.discriminator.path, "tells real pictures from those")->type_name("D.onnx")->required();
  command.add_option("--images", a.images, "pictures: a folder, a table of paths, or arrays (.npz, .npy)")
      ->type_name("DIR")
      ->required();
  command
      .add_option("-o,--output", a.output,
                  "gets generator.onnx, discriminator.onnx, samples, TensorBoard events and checkpoints")
      ->type_name("DIR")
      ->required();
  command.add_option("--loss", a.loss)->check(CLI::IsMember(losses))->capture_default_str();
  command.add_option("--steps", a.steps, "rounds: updates of the discriminator, then of the generator")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  command.add_option("--batch-size", a.batch_size, "pictures in a batch")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  command.add_option("--lr", a.rate, "learning rate of both sides [0.0002; wasserstein 5e-5, wasserstein-gp 0.0001]")
      ->type_name("RATE")
      ->check(finite_number(true));
  command.add_option("--g-lr", a.generator.rate, "of the generator")->type_name("RATE")->check(finite_number(true));
  command.add_option("--d-lr", a.discriminator.rate, "of the discriminator")->type_name("RATE")->check(finite_number(true));
  command.add_option("--d-steps", a.discriminator.steps, "updates of the discriminator in a round [1; wasserstein 5]")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  command
      .add_option(
          "--ema", a.ema,
          "decay of a moving average of the generator's weights, such as 0.999, to which it grows [none]")
      ->type_name("DECAY")
      ->check(CLI::Range(0.0, 0.9999999));
  command.add_option("--diff-augment", a.diff_augment, "what the discriminator sees is changed by color,translation,cutout")
      ->type_name("PARTS");
  command.add_flag("--spectral-norm", a.spectral_norm, "divide the discriminator's weights by their largest singular values");
  command.add_option("--sample-every", a.sample_every, "rounds between grids of samples")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  command.add_flag("--resume", a.resume, "go on from the newest checkpoint in the output folder, where there is one");
  add_seed(command, a.seed, "of random numbers and of the order of pictures");
  add_threads(command, a.threads);
}

void add_side_flags(CLI::App& command, GanSideArguments& side, const std::string& letter, const std::string& name) {
  const auto flag = [&](std::string_view rest) { return fmt::format("--{}-{}", letter, rest); };
  command.add_option(flag("optimizer"), side.optimizer, fmt::format("of the {} [that of --optimizer]", name))
      ->check(CLI::IsMember(optimizer_names()));
  command.add_option(flag("beta1"), side.beta1, fmt::format("of the {}", name))->check(CLI::Range(0.0, 0.9999999));
  command.add_option(flag("beta2"), side.beta2, fmt::format("of the {}", name))->check(CLI::Range(0.0, 0.9999999));
  command.add_option(flag("weight-decay"), side.weight_decay, fmt::format("of the {} [0]", name))->check(finite_number(false));
  command.add_option(flag("shape"), side.shapes, fmt::format("NAME=batchx100x1x1: the shape of an input of the {} (repeatable)", name))
      ->type_name("NAME=SHAPE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  command.add_option(flag("class-input"), side.class_input, fmt::format("input of the {} that takes the class", name))
      ->type_name("NAME");
}

void add_loss_flags(CLI::App& command, GanArguments& a) {
  command.add_option("--gradient-penalty", a.gradient_penalty, "factor of (|slope| - 1)^2 between real and generated [wasserstein-gp 10]")
      ->check(finite_number(false));
  command.add_option("--clip-weights", a.clip_weights, "bound of the discriminator's weights [wasserstein 0.01]")
      ->check(finite_number(false));
  command.add_option("--r1", a.r1, "gamma of the R1 penalty on real pictures, such as 10")->check(finite_number(false));
  command.add_option("--label-smoothing", a.label_smoothing, "labels of real pictures are 1 less this")->check(CLI::Range(0.0, 0.5));
  command.add_option("--flip-labels", a.flip_labels, "share of labels that are wrong on purpose")->check(CLI::Range(0.0, 0.5));
  command.add_option("--instance-noise", a.instance_noise, "deviation of noise on what the discriminator sees; falls to 0 over the run")
      ->check(finite_number(false));
  command.add_flag("--simultaneous", a.simultaneous, "update both sides from the discriminator as it was: faster");
}

void add_run_flags(CLI::App& command, GanArguments& a) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 40);
  command.add_option("--optimizer", a.optimizer, "of both sides")->check(CLI::IsMember(optimizer_names()))->capture_default_str();
  command.add_option("--beta1", a.beta1, "of both sides [0.5; wasserstein 0]")->check(CLI::Range(0.0, 0.9999999));
  command.add_option("--beta2", a.beta2, "of both sides [0.999; wasserstein 0.9]")->check(CLI::Range(0.0, 0.9999999));
  command.add_option("--schedule", a.schedule, "the learning rates over the run")
      ->check(CLI::IsMember({"constant", "linear", "cosine", "step", "one-cycle"}))
      ->capture_default_str();
  command.add_option("--g-steps", a.generator.steps, "updates of the generator in a round [1]")->check(CLI::Range(1, 1000));
  command.add_option("--batch-norm", a.batch_norm, "train: normalize by the batch and follow it; frozen: by what the files say")
      ->check(CLI::IsMember({"train", "frozen"}))
      ->capture_default_str();
  command.add_option("--batch-norm-momentum", a.batch_norm_momentum, "share that running statistics keep")
      ->check(CLI::Range(0.0, 0.9999999))
      ->capture_default_str();
  command.add_option("--latent", a.latent, "distribution of the generator's random numbers: normal, or uniform from -1 to 1")
      ->check(CLI::IsMember({"normal", "uniform"}))
      ->capture_default_str();
  command.add_option("--augment", a.augment, "of real pictures alone, such as flip (gannet augment --list)")
      ->type_name("LINE")
      ->capture_default_str();
  command.add_option("--target", a.target, "array of labels, or column of a table")->type_name("NAME");
  command.add_option("--image-cache", a.cache, "memory for pictures that are kept")->type_name("SIZE")->capture_default_str();
  command.add_flag("--strict", a.strict, "a picture that cannot be read is an error");
  command.add_option("--samples", a.samples, "pictures in a grid of samples")->check(CLI::Range(1, 4096))->capture_default_str();
  command.add_option("--checkpoint-every", a.checkpoint_every, "rounds between checkpoints")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  add_backend_argument(command, a.backend);
  add_compile_arguments(command, a.compile);
  add_limit_argument(command, a.limits);
}

Result<OptimizerOptions> side_optimizer(const GanArguments& arguments, const GanSideArguments& side) {
  const NamedLoss& loss = named_loss(arguments);
  OptimizerOptions options = named_optimizer_options(side.optimizer.empty() ? arguments.optimizer : side.optimizer);
  options.beta1 = side.beta1.value_or(arguments.beta1.value_or(loss.beta1));
  options.beta2 = side.beta2.value_or(arguments.beta2.value_or(loss.beta2));
  options.weight_decay = side.weight_decay.value_or(0);
  return options;
}

}  // namespace

void add_gan_arguments(CLI::App& command, GanArguments& arguments) {
  add_main_flags(command, arguments);
  const std::vector<CLI::Option*> main = command.get_options(nullptr);
  add_loss_flags(command, arguments);
  add_run_flags(command, arguments);
  add_side_flags(command, arguments.generator, "g", "generator");
  add_side_flags(command, arguments.discriminator, "d", "discriminator");
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(main, option) == main.end()) option->group(kMoreFlags);
  }
  add_image_arguments(command, arguments.image, kMoreFlags);
  add_help_all(command);
}

Result<GanStepOptions> gan_step_options(const GanArguments& arguments) {
  const NamedLoss& loss = named_loss(arguments);
  GanStepOptions options;
  options.loss = {loss.kind, arguments.label_smoothing};
  const bool has_labels = loss.kind != AdversarialLoss::kWasserstein && loss.kind != AdversarialLoss::kHinge;
  if (arguments.label_smoothing > 0 && !has_labels)
    return invalid_input(fmt::format("--label-smoothing: the {} loss has no labels", loss.name));
  options.gradient_penalty = arguments.gradient_penalty.value_or(loss.gradient_penalty);
  options.clip_weights = arguments.clip_weights.value_or(loss.clip_weights);
  options.r1 = arguments.r1;
  if (options.gradient_penalty > 0 && options.r1 > 0)
    return invalid_input("--gradient-penalty and --r1 are two penalties on the same slope: choose one");
  options.spectral_norm = arguments.spectral_norm;
  options.seed = arguments.seed;
  options.flip_labels = arguments.flip_labels;
  options.instance_noise = arguments.instance_noise > 0;
  const Result<DiffAugmentOptions> augment = parse_diff_augment(arguments.diff_augment);
  if (!augment.ok()) return with_prefix("--diff-augment: ", augment.error());
  options.augment = *augment;
  options.simultaneous = arguments.simultaneous;
  options.generator = TRY(side_optimizer(arguments, arguments.generator));
  options.generator.ema_decay = arguments.ema;
  options.generator.ema_warmup = true;
  options.discriminator = TRY(side_optimizer(arguments, arguments.discriminator));
  options.batch_norm_momentum = arguments.batch_norm_momentum;
  return options;
}

double gan_rate(const GanArguments& arguments, const GanSideArguments& side) {
  return side.rate.value_or(arguments.rate.value_or(named_loss(arguments).rate));
}

RateSchedule gan_schedule(const GanArguments& arguments, const GanSideArguments& side) {
  RateSchedule schedule;
  const auto names = schedule_names();
  schedule.kind = static_cast<ScheduleKind>(std::ranges::find(names, arguments.schedule) - names.begin());
  schedule.rate = gan_rate(arguments, side);
  schedule.total_steps = arguments.steps;
  return schedule;
}

int64_t discriminator_steps(const GanArguments& arguments) {
  return arguments.discriminator.steps.value_or(named_loss(arguments).discriminator_steps);
}

int64_t generator_steps(const GanArguments& arguments) { return arguments.generator.steps.value_or(1); }

std::map<std::string, std::string> deciding_flags(const GanArguments& a) {
  std::map<std::string, std::string> flags = {
      {"--loss", a.loss},
      {"--gradient-penalty", a.gradient_penalty ? fmt::to_string(*a.gradient_penalty) : ""},
      {"--clip-weights", a.clip_weights ? fmt::to_string(*a.clip_weights) : ""},
      {"--r1", fmt::to_string(a.r1)},
      {"--spectral-norm", a.spectral_norm ? "yes" : "no"},
      {"--simultaneous", a.simultaneous ? "yes" : "no"},
      {"--batch-size", fmt::to_string(a.batch_size)},
      {"--schedule", a.schedule},
      {"--label-smoothing", fmt::to_string(a.label_smoothing)},
      {"--flip-labels", fmt::to_string(a.flip_labels)},
      {"--instance-noise", fmt::to_string(a.instance_noise)},
      {"--ema", fmt::to_string(a.ema)},
      {"--diff-augment", a.diff_augment},
      {"--augment", a.augment},
      {"--batch-norm", fmt::format("{} {}", a.batch_norm, a.batch_norm_momentum)},
      {"--latent", a.latent},
      {"--target", a.target},
      {"--d-steps", fmt::to_string(discriminator_steps(a))},
      {"--g-steps", fmt::to_string(generator_steps(a))},
      {"--backend", a.backend},
      {"--image-size, --resize, --shortest-edge, --layout, --bgr",
       fmt::format("{} {} {} {} {}", a.image.size, a.image.resize, a.image.options.shortest_edge, a.image.layout, a.image.bgr)},
      {"--scale, --mean, --std", fmt::format("{} {} {}", a.image.options.scale.value_or(-1),
                                             fmt::join(a.image.options.mean, ","), fmt::join(a.image.options.std, ","))}};
  if (a.compile.product_dtype != DType::kF32) flags["--dtype"] = name_of(a.compile.product_dtype);
  for (const auto& [letter, side] : {std::pair("g", &a.generator), {"d", &a.discriminator}}) {
    const auto options = side_optimizer(a, *side);
    flags[fmt::format("--{}-optimizer", letter)] = side->optimizer.empty() ? a.optimizer : side->optimizer;
    flags[fmt::format("--{}-lr", letter)] = fmt::to_string(gan_rate(a, *side));
    flags[fmt::format("--{}-beta1, --{}-beta2", letter, letter)] = fmt::format("{} {}", options->beta1, options->beta2);
    flags[fmt::format("--{}-weight-decay", letter)] = fmt::to_string(options->weight_decay);
    flags[fmt::format("--{}-class-input", letter)] = side->class_input;
    flags[fmt::format("--{}-shape", letter)] = fmt::format("{}", fmt::join(side->shapes, " "));
  }
  // Rates and noise that do not change can go on for longer.
  if (a.schedule != "constant" || a.instance_noise > 0) flags["--steps"] = fmt::to_string(a.steps);
  return flags;
}

}  // namespace gannet
