#include "runtime/training/gan_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/core/session.h"

namespace gannet {

namespace {

// In the order in which they are shown.
constexpr const char* kReported[] = {"d_loss",     "g_loss",     "real_accuracy", "fake_accuracy",
                                     "real_score", "fake_score", "penalty"};

bool all_finite(const NamedTensors& states) {
  return std::ranges::all_of(states, [](const auto& state) {
    if (state.second.dtype() != DType::kF32) return true;
    return std::ranges::all_of(state.second.template data<float>(), [](float x) { return std::isfinite(x); });
  });
}

}  // namespace

GanTrainer::GanTrainer(GanEngine& engine, BatchSource& batches, GanTrainerOptions options)
    : engine_(engine), batches_(batches), options_(std::move(options)) {
  CHECK(options_.discriminator_steps > 0 && options_.generator_steps > 0, "{} and {} updates in a round",
        options_.discriminator_steps, options_.generator_steps);
  position_.seed = options_.seed;
}

void GanTrainer::keep_checkpoints(CheckpointStore& store, std::string model, std::map<std::string, std::string> options) {
  store_ = &store;
  position_.model = std::move(model);
  position_.options = std::move(options);
}

void GanTrainer::show_samples(std::vector<Datum> inputs, SampleSink sink) {
  sample_inputs_ = std::move(inputs);
  sink_ = std::move(sink);
}

Status GanTrainer::resume(const Checkpoint& checkpoint) {
  const TrainingPosition& there = checkpoint.position;
  TRY(check_same_run(there, position_, "other models"));
  TRY(engine_.restore(checkpoint.states));
  const std::map<std::string, std::string> options = position_.options;
  position_ = there;
  position_.options = options;
  balance_.restore(there.watched);
  saved_ = there.step;
  return {};
}

Status GanTrainer::note(const std::string& text) {
  for (TrainingObserver* observer : observers_) TRY(observer->note(text));
  return {};
}

// Batch `number` of the run. A smaller one at the end of an epoch is passed over: each epoch has another order.
Result<BatchColumns> GanTrainer::read(int64_t number) {
  const int64_t epoch = number / per_epoch_;
  if (epoch != epoch_) batches_.start_epoch(epoch);
  epoch_ = epoch;
  return batches_.read(number % per_epoch_);
}

Result<GanMeasures> GanTrainer::update(const GanProgram& step, int64_t number, bool wants_batch) {
  const int64_t round = position_.step, updates = options_.discriminator_steps + options_.generator_steps;
  const int64_t batch_number = round * options_.discriminator_steps + std::min(number, options_.discriminator_steps - 1);
  BatchColumns batch;
  if (wants_batch) batch = TRY(read(batch_number));
  GanScalars scalars;
  scalars.discriminator_rate = rate_at(options_.discriminator_rate, round);
  scalars.generator_rate = rate_at(options_.generator_rate, round);
  const double done = static_cast<double>(round) / static_cast<double>(options_.generator_rate.total_steps);
  scalars.noise_scale = options_.instance_noise * std::max(1 - done, 0.0);
  return engine_.update(step, batch, wants_batch ? batch.at(0).extent(0) : rows_, scalars,
                        step_seed(options_.seed, round * updates + number));
}

Result<GanMeasures> GanTrainer::round() {
  const GanPrograms& programs = engine_.programs();
  const int64_t first = options_.discriminator_steps - 1;
  for (int64_t i = 0; i < first; ++i) TRY(update(programs.discriminator, i, true));
  GanMeasures measures = TRY(update(programs.both, first, true));
  const bool has_classes = std::ranges::any_of(programs.generator.inputs, [](const GanInputSpec& spec) {
    return spec.source == GanSource::kClasses;
  });
  for (int64_t i = 1; i < options_.generator_steps; ++i) {
    for (const auto& [name, value] : TRY(update(programs.generator, first + i, has_classes))) measures[name] = value;
  }
  return measures;
}

Status GanTrainer::report(const GanMeasures& measures) {
  const int64_t seen = position_.step * options_.discriminator_steps;
  StepReport report;
  report.step = position_.step;
  report.epoch = (seen - 1) / per_epoch_;
  report.epochs_done = static_cast<double>(seen) / static_cast<double>(per_epoch_);
  report.rows = rows_ * options_.discriminator_steps;
  report.rate = rate_at(options_.generator_rate, position_.step - 1);
  report.seconds = std::chrono::duration<double>(busy_).count();
  for (const char* name : kReported) {
    const auto found = measures.find(name);
    if (found != measures.end()) report.measures.push_back({name, found->second});
  }
  report.loss = measures.at("d_loss");
  report.has_loss = false;
  for (TrainingObserver* observer : observers_) TRY(observer->step(report));
  for (const Measure& measure : report.measures) sums_[measure.name] += measure.value;
  ++summed_;
  if (const auto warning = balance_.follow(measures)) TRY(note(*warning));
  return {};
}

// The means since the last one.
Status GanTrainer::summarize() {
  if (summed_ == 0) return {};
  std::string text = fmt::format("round {}/{}", position_.step, options_.generator_rate.total_steps);
  for (const char* name : kReported) {
    const auto found = sums_.find(name);
    if (found != sums_.end()) text += fmt::format("  {} {:.4g}", name, found->second / static_cast<double>(summed_));
  }
  sums_.clear();
  summed_ = 0;
  for (TrainingObserver* observer : observers_) TRY(observer->summary(text));
  return {};
}

Status GanTrainer::sample() {
  if (!sink_ || sampled_ == position_.step) return {};
  sampled_ = position_.step;
  const Tensor pictures = TRY(engine_.generate(sample_inputs_));
  TRY(sink_(position_.step, pictures));
  if (position_.step == 0 || real_variety_ < 0) return {};
  if (const auto warning = balance_.follow_samples(pictures, real_variety_)) TRY(note(*warning));
  return {};
}

Status GanTrainer::save(bool finished) {
  if (store_ == nullptr || saved_ == position_.step) return {};
  position_.finished = finished;
  position_.watched = balance_.state();
  TRY(store_->save(position_, engine_.states()));
  saved_ = position_.step;
  return {};
}

Result<GanOutcome> GanTrainer::run() {
  const int64_t total = options_.generator_rate.total_steps;
  batches_.start_epoch(0);
  epoch_ = 0;
  const BatchColumns first = TRY(batches_.read(0));
  rows_ = first.at(0).extent(0);
  real_variety_ = variety(first.at(0));
  per_epoch_ = std::max<int64_t>(batches_.rows() / rows_, 1);
  const int64_t epochs = (total * options_.discriminator_steps + per_epoch_ - 1) / per_epoch_;
  for (TrainingObserver* observer : observers_)
    TRY(observer->begin({position_.step, total, epochs, batches_.rows()}));
  GanOutcome outcome;
  if (position_.step == 0) TRY(sample());
  while (position_.step < total) {
    const Clock::time_point start = Clock::now();
    outcome.measures = TRY(round());
    busy_ += Clock::now() - start;
    ++position_.step;
    TRY(report(outcome.measures));
    const bool finite = std::ranges::all_of(outcome.measures, [](const auto& measure) { return std::isfinite(measure.second); });
    if (!finite) {
      outcome.end = GanEnd::kDiverged;
      break;
    }
    const bool last = position_.step == total;
    if (last || due(options_.sample_every)) {
      TRY(summarize());
      TRY(sample());
    }
    const bool stopped = options_.stop && options_.stop->load(std::memory_order_relaxed);
    if (last || stopped || due(options_.checkpoint_every)) {
      // A loss is that of the weights before the update.
      if (!all_finite(engine_.states())) {
        outcome.end = GanEnd::kDiverged;
        break;
      }
      TRY(save(last));
    }
    if (stopped && !last) {
      outcome.end = GanEnd::kInterrupted;
      break;
    }
  }
  outcome.round = position_.step;
  return outcome;
}

}  // namespace gannet
