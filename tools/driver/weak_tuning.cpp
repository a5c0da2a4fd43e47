#include "tools/driver/weak_tuning.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/training/prefetch.h"

namespace gannet {

namespace {

std::string summary_of(const std::vector<int64_t>& hidden, const TuneArguments& arguments) {
  const WeakTuneArguments& weak = arguments.weak;
  const auto known = std::ranges::count_if(hidden, [](int64_t label) { return label >= 0; });
  std::string text = fmt::format("{} rows without labels", hidden.size());
  if (known > 0) text += fmt::format(" ({} have one, which only measures)", known);
  text += fmt::format(": {}, {} for each labelled row, threshold {:g}, weight {:g}", weak.method, weak.ratio,
                      weak_loss_of(weak).threshold, unlabelled_weight_of(weak));
  const bool teacher = method_of(weak) == WeakMethod::kMeanTeacher;
  const double decay =
      teacher && arguments.update.ema_decay == 0 ? kTeacherDecay : arguments.update.ema_decay;
  if (decay == 0) return text;
  text +=
      fmt::format("\naverages of decay {:g}, which grows to it; the {}'s weights are evaluated and written",
                  decay, weak.export_weights);
  return text;
}

}  // namespace

Result<WeakTuning> make_weak_tuning(TuneTask& task, const LabelledRows& labelled,
                                    std::span<const int64_t> chosen, DType weight_dtype,
                                    const TuneArguments& arguments) {
  UnlabelledRows rows = TRY(task.unlabelled_rows(labelled, arguments));
  WeakTuning tuning;
  tuning.summary = summary_of(rows.hidden, arguments);
  WeakBatchOptions options;
  options.batch_size = arguments.batch_size;
  options.ratio = arguments.weak.ratio;
  options.views = views_of(arguments.weak);
  options.weight = unlabelled_weight_of(arguments.weak);
  options.accumulate = arguments.accumulate;
  options.seed = arguments.seed;
  auto batches = std::make_unique<WeakBatches>(WeakBatches::Rows{std::move(rows.views),
                                                                 {chosen.begin(), chosen.end()},
                                                                 labelled.target.values,
                                                                 std::move(rows.hidden),
                                                                 weight_dtype},
                                               options);
  const int64_t updates = (batches->per_epoch() + arguments.accumulate - 1) / arguments.accumulate;
  tuning.ramp =
      TRY(ramp_of(arguments.weak, arguments.steps > 0 ? arguments.steps : arguments.epochs * updates));
  batches->set_ramp(tuning.ramp);
  tuning.batches = std::make_unique<Prefetch>(std::move(batches));
  return tuning;
}

}  // namespace gannet
