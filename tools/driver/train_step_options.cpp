#include "tools/driver/train_step_options.h"

#include <fmt/format.h>

#include "passes/transformer_places.h"
#include "tools/driver/rates_by_layer.h"
#include "tools/driver/tune_options.h"

namespace gannet {

Result<TrainStepOptions> step_options_of(const TuneArguments& arguments) {
  TrainStepOptions options;
  options.optimizer = TRY(optimizer_of(arguments));
  options.output_name = arguments.trained_output;
  options.accumulate = arguments.accumulate > 1;
  if (arguments.weak.used()) options.weak = weak_loss_of(arguments.weak);
  options.batch_norm_momentum = arguments.batch_norm_momentum;
  return options;
}

Status set_dropout(TrainStepOptions& options, const TuneModel& model, const DropoutDefaults& defaults, TuneArguments& arguments) {
  const std::optional<HeadReport>& head = model.head;
  const double inside = defaults.transformer;
  if (head && inside > 0 && arguments.dropout.empty() && !transformer_places(model.graph()).empty())
    arguments.dropout.push_back(fmt::format("{}={}", kTransformerDropout, inside));
  std::vector<DropoutRule>& rules = options.dropout;
  rules = TRY(dropout_of(arguments));
  const double head_dropout = arguments.head_dropout.value_or(defaults.head);
  const bool takes_dropout = head && !head->features.empty();
  if (arguments.head_dropout && !takes_dropout)
    return invalid_input("--head-dropout: the model gets no new head");
  if (takes_dropout && head_dropout > 0) rules.push_back({head->features, head_dropout});
  return {};
}

Status set_rates(TrainStepOptions& options, const TuneModel& model, int64_t updates_per_epoch, const TuneArguments& arguments) {
  if (arguments.unfreeze_after == 0 && arguments.depth_decay == 1) return {};
  const std::optional<HeadReport>& head = model.head;
  if (arguments.unfreeze_after > 0 && !head)
    return invalid_input("--unfreeze-after trains a new head first, and the model keeps its own");
  OptimizerOptions& optimizer = options.optimizer;
  optimizer.rates = rates_by_layer(model.graph(), optimizer.rates, arguments.depth_decay,
                                   head ? head->weights : std::vector<std::string>(),
                                   arguments.unfreeze_after * updates_per_epoch);
  return {};
}

}  // namespace gannet
