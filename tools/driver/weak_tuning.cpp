#include "tools/driver/weak_tuning.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/training/prefetch.h"

namespace gannet {

namespace {

std::string summary_of(const UnlabelledRows& rows, const TuneArguments& arguments) {
  const WeakTuneArguments& weak = arguments.weak;
  const std::vector<int64_t>& hidden = rows.hidden;
  const int64_t synthetic = rows.synthetic.per_pass;
  const auto known = std::ranges::count_if(hidden, [](int64_t label) { return label >= 0; });
  std::string text = fmt::format("{} rows without labels", static_cast<int64_t>(hidden.size()) + synthetic);
  if (synthetic > 0) text += fmt::format(", {} of them synthetic", synthetic);
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
  UnlabelledRows rows = TRY(task.unlabelled_rows(labelled, static_cast<int64_t>(chosen.size()), arguments));
  WeakTuning tuning;
  tuning.summary = summary_of(rows, arguments);
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
                                                                 weight_dtype,
                                                                 std::move(rows.synthetic_labelled),
                                                                 std::move(rows.synthetic),
                                                                 labelled.target_of_class.values},
                                               options);
  const int64_t updates = (batches->per_epoch() + arguments.accumulate - 1) / arguments.accumulate;
  tuning.ramp =
      TRY(ramp_of(arguments.weak, arguments.steps > 0 ? arguments.steps : arguments.epochs * updates));
  batches->set_ramp(tuning.ramp);
  tuning.batches = std::make_unique<Prefetch>(std::move(batches));
  return tuning;
}

}  // namespace gannet
