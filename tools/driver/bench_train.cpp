#include "tools/driver/bench_train.h"

#include "passes/build_train_step.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "tools/driver/model_inputs.h"

namespace gannet {
namespace {

int64_t classes_of(const Graph& model, const std::string& output) {
  for (const GraphOutput& candidate : model.outputs) {
    const auto& shape = candidate.value->type.shape;
    if (candidate.name == output && shape && shape->size() > 1 && (*shape)[1].is_constant()) return (*shape)[1].constant();
  }
  return 2;
}

}  // namespace

Result<BenchStep> bench_training_step(Graph& model, const OptimizerOptions& optimizer, bool batch_statistics,
                                      std::vector<DropoutRule> dropout) {
  TRY(weights_to_state(model, {.running_statistics = batch_statistics}));
  PassContext context;
  TRY(run_passes(model, find_pipeline("before_gradient"), context));
  TrainStepOptions options;
  options.optimizer = optimizer;
  options.dropout = std::move(dropout);
  TrainStep step = TRY(build_train_step(model, options));
  BenchStep made;
  made.inputs = input_specs(*step.graph);
  for (InputSpec& input : made.inputs) {
    if (input.name == "target") input.index_bound = classes_of(model, step.trained_output);
  }
  made.graph = std::move(step.graph);
  return made;
}

}  // namespace gannet
