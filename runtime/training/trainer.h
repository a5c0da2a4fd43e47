// A training run: updates over epochs, evaluation on held-out data, the best weights kept, checkpoints, and
// an end that loses nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/training/batch_source.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/metrics.h"
#include "runtime/training/schedule.h"
#include "runtime/training/training_engine.h"
#include "runtime/training/training_observer.h"

namespace gannet {

struct TrainerOptions {
  RateSchedule schedule;  // its total_steps are the updates of the run
  uint64_t seed = 0;
  size_t target_column = 1;        // of a batch, for measures
  int64_t accumulate = 1;          // batches in an update; the last update of an epoch takes what is left
  int64_t piece_rows = 0;          // a batch is computed in pieces of at most so many rows; 0: whole
  int64_t evaluate_every = 0;      // updates; 0: after each epoch. The last update is always followed by one
  int64_t checkpoint_every = 0;    // updates; 0: after each epoch
  int64_t patience = 0;            // evaluations without a better one before the run ends; 0: never
  std::string choose_by = "loss";  // the measure that says which weights are best
  // Another view of a batch for evaluation: predictions of both are averaged, and losses. Empty: there is none.
  std::function<BatchColumns(const BatchColumns&)> second_view = {};
  const std::atomic<bool>* stop = nullptr;  // set by a signal: the run ends after the update it is in, or before its first
};

enum class TrainingEnd {
  kComplete,
  kNoProgress,  // patience is over
  kInterrupted,
  kDiverged,  // the loss is NaN or infinite
};

struct TrainingOutcome {
  TrainingEnd end = TrainingEnd::kComplete;
  int64_t step = 0;            // updates done
  double loss = 0;             // of the last one
  std::optional<double> best;  // the measure choose_by at its best
  int64_t best_step = 0;
  // The best ones; without held-out data those of the last update. Empty after a divergence that nothing came
  // before, and where no update was done.
  NamedTensors weights;
};

class Trainer {
 public:
  // All of them outlive the trainer. With more than one batch or piece in an update the engine must
  // accumulate.
  Trainer(TrainingEngine& engine, BatchSource& batches, TrainerOptions options);

  // Data to evaluate on and what to measure beside the loss.
  void hold_out(BatchSource& batches, Metrics& metrics);
  // `model` and `options` (as text) identify the run in its checkpoints.
  void keep_checkpoints(TrainingStore& store, std::string model,
                        std::map<std::string, std::string> options);
  void add_observer(TrainingObserver& observer) { observers_.push_back(&observer); }
  // Continues where `checkpoint` stands: the end has the bits of a run that was not interrupted. An error
  // names what differs from the run that wrote it.
  Status resume(const Checkpoint& checkpoint);

  // The loss and the measures of `metrics` over all rows of `batches` in order.
  Result<std::vector<Measure>> evaluate(BatchSource& batches, Metrics& metrics);

  // What the model with `weights` (TrainingEngine::weights) gives for all rows of `batches` in order.
  Result<Tensor> predict(BatchSource& batches, const NamedTensors& weights);

  int64_t updates_per_epoch() const;
  // Runs to the end. Divergence and interruption are outcomes; errors come from data, files and graphs.
  Result<TrainingOutcome> run();

 private:
  using Clock = std::chrono::steady_clock;

  Result<bool> update();
  Result<Evaluated> evaluate_piece(const BatchColumns& piece);
  Status finish_epoch();
  Result<std::vector<Measure>> evaluate_better();
  Status evaluate_held_out();
  Status save();
  Result<std::vector<BatchColumns>> next_batches(int64_t update_of_epoch);
  std::vector<BatchColumns> pieces_of(BatchColumns batch) const;
  Result<NamedTensors> chosen_weights(bool diverged);
  bool due(int64_t every) const;
  bool at_epoch_end() const { return position_.step % updates_per_epoch() == 0; }
  bool stopped() const { return options_.stop && options_.stop->load(std::memory_order_relaxed); }
  template <class Call>
  Status tell(const Call& call);

  TrainingEngine& engine_;
  BatchSource& batches_;
  TrainerOptions options_;
  BatchSource* held_out_ = nullptr;
  Metrics* metrics_ = nullptr;
  TrainingStore* store_ = nullptr;
  std::vector<TrainingObserver*> observers_;
  TrainingPosition position_;
  int64_t started_epoch_ = -1;
  int64_t saved_step_ = -1;
  double loss_ = 0;
  Clock::duration busy_{};     // time of updates
  NamedTensors best_weights_;  // where no store keeps them
};

}  // namespace gannet
