#include "runtime/training/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gannet {

Trainer::Trainer(TrainingEngine& engine, BatchSource& batches, TrainerOptions options)
    : engine_(engine), batches_(batches), options_(std::move(options)) {
  CHECK(options_.accumulate > 0 && options_.schedule.total_steps > 0, "{} updates of {} batches",
        options_.schedule.total_steps, options_.accumulate);
  CHECK(engine_.accumulates() || (options_.accumulate == 1 && options_.piece_rows == 0),
        "the engine does not accumulate");
  position_.seed = options_.seed;
}

void Trainer::hold_out(BatchSource& batches, Metrics& metrics) {
  held_out_ = &batches;
  metrics_ = &metrics;
}

void Trainer::keep_checkpoints(TrainingStore& store, std::string model,
                               std::map<std::string, std::string> options) {
  store_ = &store;
  position_.model = std::move(model);
  position_.options = std::move(options);
}

int64_t Trainer::updates_per_epoch() const {
  return (batches_.per_epoch() + options_.accumulate - 1) / options_.accumulate;
}

template <class Call>
Status Trainer::tell(const Call& call) {
  for (TrainingObserver* observer : observers_) TRY(call(*observer));
  return {};
}

Status Trainer::resume(const Checkpoint& checkpoint) {
  const TrainingPosition& there = checkpoint.position;
  TRY(check_same_run(there, position_, "another model"));
  if (there.epoch != there.step / updates_per_epoch()) {
    return invalid_input(
        fmt::format("the checkpoint is in epoch {} after {} updates, which is epoch {} of these data",
                    there.epoch + 1, there.step, there.step / updates_per_epoch() + 1));
  }
  TRY(engine_.restore(checkpoint.states));
  const std::map<std::string, std::string> options = position_.options;
  position_ = there;
  position_.options = options;
  saved_step_ = there.step;
  return {};
}

std::vector<BatchColumns> Trainer::pieces_of(BatchColumns batch) const {
  const int64_t rows = batch.at(0).extent(0);
  std::vector<BatchColumns> pieces;
  if (options_.piece_rows == 0 || rows <= options_.piece_rows) {
    pieces.push_back(std::move(batch));
    return pieces;
  }
  // As equal as they can be: few shapes, and no piece of one row where batch statistics need more.
  const int64_t count = (rows + options_.piece_rows - 1) / options_.piece_rows;
  for (int64_t i = 0; i < count; ++i)
    pieces.push_back(rows_of(batch, i * rows / count, (i + 1) * rows / count));
  return pieces;
}

Result<std::vector<BatchColumns>> Trainer::next_batches(int64_t update_of_epoch) {
  std::vector<BatchColumns> result;
  const int64_t first = update_of_epoch * options_.accumulate;
  for (int64_t i = first; i < std::min(first + options_.accumulate, batches_.per_epoch()); ++i) {
    for (BatchColumns& piece : pieces_of(TRY(batches_.read(i)))) result.push_back(std::move(piece));
  }
  return result;
}

// One update; false when it diverged.
Result<bool> Trainer::update() {
  const Clock::time_point start = Clock::now();
  const int64_t epoch = position_.step / updates_per_epoch(),
                update_of_epoch = position_.step % updates_per_epoch();
  if (epoch != started_epoch_) batches_.start_epoch(epoch);
  started_epoch_ = epoch;
  const std::vector<BatchColumns> batches = TRY(next_batches(update_of_epoch));
  int64_t rows = 0;
  for (const BatchColumns& batch : batches) rows += batch.at(0).extent(0);
  const double rate = rate_at(options_.schedule, position_.step);
  Updated updated = TRY(engine_.update(batches, rate, step_seed(options_.seed, position_.step)));
  loss_ = updated.loss;
  busy_ += Clock::now() - start;
  ++position_.step;
  position_.epoch_loss_sum += loss_ * static_cast<double>(rows);
  position_.epoch_rows += rows;
  position_.epoch = position_.step / updates_per_epoch();
  position_.batch = position_.step % updates_per_epoch() * options_.accumulate;
  StepReport report{
      position_.step, epoch, 0, rows, loss_, rate, std::chrono::duration<double>(busy_).count()};
  report.measures = std::move(updated.measures);
  report.epochs_done = static_cast<double>(position_.step) / static_cast<double>(updates_per_epoch());
  TRY(tell([&](TrainingObserver& observer) { return observer.step(report); }));
  return std::isfinite(loss_);
}

Status Trainer::finish_epoch() {
  const double mean = position_.epoch_loss_sum / static_cast<double>(position_.epoch_rows);
  const EpochReport report{position_.step, (position_.step - 1) / updates_per_epoch(), mean};
  position_.epoch_loss_sum = 0;
  position_.epoch_rows = 0;
  return tell([&](TrainingObserver& observer) { return observer.epoch(report); });
}

Result<Evaluated> Trainer::evaluate_piece(const BatchColumns& piece) {
  Evaluated result = TRY(engine_.evaluate(piece));
  if (!options_.second_view) return result;
  Tensor first = TRY(convert(result.prediction, DType::kF64));
  const Evaluated other = TRY(engine_.evaluate(options_.second_view(piece)));
  const std::span<double> values = first.mutable_data<double>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = (values[i] + other.prediction.double_at(static_cast<int64_t>(i))) / 2;
  result.loss = (result.loss + other.loss) / 2;
  result.prediction = TRY(convert(first, result.prediction.dtype()));
  return result;
}

Result<Tensor> Trainer::predict(BatchSource& batches, const NamedTensors& weights) {
  TRY(engine_.evaluate_with(weights));
  batches.start_in_order();
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    for (const BatchColumns& piece : pieces_of(TRY(batches.read(i)))) parts.push_back(TRY(evaluate_piece(piece)).prediction);
  }
  if (&batches == &batches_) started_epoch_ = -1;
  std::vector<int64_t> extents = parts.at(0).extents();
  extents[0] = 0;
  for (const Tensor& part : parts) extents[0] += part.extent(0);
  Tensor all = Tensor::zeros(parts[0].dtype(), std::move(extents));
  auto* out = static_cast<std::byte*>(all.mutable_raw());
  for (const Tensor& part : parts) {
    std::memcpy(out, part.raw(), static_cast<size_t>(part.bytes()));
    out += part.bytes();
  }
  return all;
}

Result<std::vector<Measure>> Trainer::evaluate(BatchSource& batches, Metrics& metrics) {
  metrics.clear();
  batches.start_in_order();
  double loss = 0, rows = 0;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    for (const BatchColumns& piece : pieces_of(TRY(batches.read(i)))) {
      const Evaluated result = TRY(evaluate_piece(piece));
      const auto count = static_cast<double>(piece.at(0).extent(0));
      loss += result.loss * count;
      rows += count;
      metrics.add(result.prediction, piece.at(options_.target_column));
    }
  }
  if (&batches == &batches_) started_epoch_ = -1;
  std::vector<Measure> measures = {{"loss", loss / rows}};
  std::ranges::move(metrics.measures(), std::back_inserter(measures));
  return measures;
}

// The measures of the model in hand; of two those of the better one, which the engine is about until the weights are kept.
Result<std::vector<Measure>> Trainer::evaluate_better() {
  std::vector<Measure> first = TRY(evaluate(*held_out_, *metrics_));
  if (!engine_.has_second()) return first;
  engine_.choose_second(true);
  std::vector<Measure> second = TRY(evaluate(*held_out_, *metrics_));
  const double sign = higher_is_better(options_.choose_by) ? 1 : -1;
  auto rank = [&](const std::vector<Measure>& measures) {
    const auto found = std::ranges::find(measures, options_.choose_by, &Measure::name);
    return found == measures.end() || std::isnan(found->value) ? -HUGE_VAL : sign * found->value;
  };
  if (rank(second) > rank(first)) return second;
  engine_.choose_second(false);
  return first;
}

Status Trainer::evaluate_held_out() {
  EvaluationReport report{position_.step, (position_.step - 1) / updates_per_epoch(),
                          TRY(evaluate_better()), options_.choose_by, false};
  const auto found = std::ranges::find(report.measures, options_.choose_by, &Measure::name);
  if (found == report.measures.end()) {
    std::string all;
    for (const Measure& measure : report.measures) all += (all.empty() ? "" : ", ") + measure.name;
    return invalid_input(fmt::format("there is no measure '{}'; there are {}", options_.choose_by, all));
  }
  const double sign = higher_is_better(options_.choose_by) ? 1 : -1;
  report.best =
      std::isfinite(found->value) && (!position_.best || sign * found->value > sign * *position_.best);
  ++position_.evaluations_since_best;
  if (report.best) {
    position_.best = found->value;
    position_.best_step = position_.step;
    position_.evaluations_since_best = 0;
    if (store_)
      TRY(store_->save_best(position_.step, engine_.weights()));
    else
      best_weights_ = engine_.weights();
  }
  engine_.choose_second(false);
  return tell([&](TrainingObserver& observer) { return observer.evaluation(report); });
}

Status Trainer::save() {
  if (store_ == nullptr || saved_step_ == position_.step) return {};
  TRY(store_->save(position_, engine_.states()));
  saved_step_ = position_.step;
  return {};
}

bool Trainer::due(int64_t every) const { return every > 0 ? position_.step % every == 0 : at_epoch_end(); }

Result<NamedTensors> Trainer::chosen_weights(bool diverged) {
  if (position_.best && store_) return store_->read_best(position_.best_step, Limits());
  if (position_.best) return best_weights_;
  return diverged ? NamedTensors() : engine_.weights();
}

Result<TrainingOutcome> Trainer::run() {
  const int64_t total = options_.schedule.total_steps;
  const int64_t epochs = (total + updates_per_epoch() - 1) / updates_per_epoch();
  TRY(tell([&](TrainingObserver& observer) {
    return observer.begin({position_.step, total, epochs, batches_.rows()});
  }));
  TrainingOutcome outcome;
  auto out_of_patience = [&] {
    return options_.patience > 0 && position_.evaluations_since_best >= options_.patience;
  };
  bool over = out_of_patience() || stopped();
  while (position_.step < total && !over) {
    if (!TRY(update())) {
      outcome.end = TrainingEnd::kDiverged;
      break;
    }
    const bool last = position_.step == total;
    if (at_epoch_end()) TRY(finish_epoch());
    if (held_out_ && (last || due(options_.evaluate_every))) TRY(evaluate_held_out());
    over = last || stopped() || out_of_patience();
    position_.finished = last || out_of_patience();
    if (over || due(options_.checkpoint_every)) TRY(save());
  }
  if (outcome.end == TrainingEnd::kComplete && position_.step < total) {
    outcome.end = out_of_patience() ? TrainingEnd::kNoProgress : TrainingEnd::kInterrupted;
  }
  outcome.step = position_.step;
  outcome.loss = loss_;
  outcome.best = position_.best;
  outcome.best_step = position_.best_step;
  const bool unchanged = outcome.end == TrainingEnd::kInterrupted && position_.step == 0;
  if (!unchanged) outcome.weights = TRY(chosen_weights(outcome.end == TrainingEnd::kDiverged));
  return outcome;
}

}  // namespace gannet
