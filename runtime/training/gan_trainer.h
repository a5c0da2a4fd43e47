// An adversarial training run: updates of both sides in turn, samples of the same latents again and again, checkpoints,
// and what to say when one side has the better of the other.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/training/checkpoint.h"
#include "runtime/training/gan_balance.h"
#include "runtime/training/gan_engine.h"
#include "runtime/training/schedule.h"
#include "runtime/training/training_observer.h"

namespace gannet {

struct GanTrainerOptions {
  RateSchedule discriminator_rate, generator_rate;  // over the rounds: their total_steps are those of the run
  // Updates in a round. The last of the discriminator and the first of the generator are one step.
  int64_t discriminator_steps = 1, generator_steps = 1;
  double instance_noise = 0;  // deviation at the beginning; falls to 0 along a line over the run
  uint64_t seed = 0;
  int64_t sample_every = 0;      // rounds; 0: at the end alone
  int64_t checkpoint_every = 0;  // rounds; 0: at the end alone
  const std::atomic<bool>* stop = nullptr;
};

enum class GanEnd { kComplete, kInterrupted, kDiverged };

struct GanOutcome {
  GanEnd end = GanEnd::kComplete;
  int64_t round = 0;  // rounds done
  GanMeasures measures;  // of the last one
};

// Gets what the generator makes of the fixed latents after so many rounds (0: before the first).
using SampleSink = std::function<Status(int64_t round, const Tensor& pictures)>;

class GanTrainer {
 public:
  // All of them outlive the trainer. Batches are those of a source in its order, but for a last one that is smaller.
  GanTrainer(GanEngine& engine, BatchSource& batches, GanTrainerOptions options);

  void keep_checkpoints(CheckpointStore& store, std::string model, std::map<std::string, std::string> options);
  void add_observer(TrainingObserver& observer) { observers_.push_back(&observer); }
  // `inputs` are those of the generation, the same for every sample.
  void show_samples(std::vector<Datum> inputs, SampleSink sink);
  // Continues where `checkpoint` stands: the end has the bits of a run that was not interrupted. An error names what
  // differs from the run that wrote it.
  Status resume(const Checkpoint& checkpoint);

  // Runs to the end. Divergence and interruption are outcomes; errors come from data, files and graphs.
  Result<GanOutcome> run();
  int64_t batches_per_epoch() const { return per_epoch_; }

 private:
  using Clock = std::chrono::steady_clock;

  Result<GanMeasures> round();
  Result<GanMeasures> update(const GanProgram& step, int64_t number, bool wants_batch);
  Result<BatchColumns> read(int64_t number);
  Status sample();
  Status save(bool finished);
  Status report(const GanMeasures& measures);
  Status summarize();
  Status note(const std::string& text);
  bool due(int64_t every) const { return every > 0 && position_.step % every == 0; }

  GanEngine& engine_;
  BatchSource& batches_;
  GanTrainerOptions options_;
  CheckpointStore* store_ = nullptr;
  std::vector<TrainingObserver*> observers_;
  std::vector<Datum> sample_inputs_;
  SampleSink sink_;
  TrainingPosition position_;
  GanBalance balance_;
  int64_t per_epoch_ = 1, epoch_ = -1, saved_ = -1, sampled_ = -1;
  int64_t rows_ = 0;           // of a batch
  double real_variety_ = -1;  // of the first one
  GanMeasures sums_;  // of the rounds since the last summary
  int64_t summed_ = 0;
  Clock::duration busy_{};
};

}  // namespace gannet
