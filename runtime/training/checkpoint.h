// Where a training run can go on after it was stopped, also by kill -9 or a power cut. A checkpoint is two
// files, `step-N.safetensors` with every State by name and `step-N.json`, written last, with the rest and the
// first one's checksum. Both appear whole or not at all, and older ones go only when a newer one is complete;
// so the newest valid one is always what some moment of the run was.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/file.h"
#include "ir/base/limits.h"
#include "runtime/data/npy.h"

namespace gannet {

struct TrainingPosition {
  std::string model;                           // identity of the user's file
  std::map<std::string, std::string> options;  // those that decide the result, as text
  uint64_t seed = 0;
  int64_t step = 0;   // updates done
  int64_t epoch = 0;  // the place in the data: epoch, and batches of it that are done
  int64_t batch = 0;
  double epoch_loss_sum = 0;  // of the rows of the epoch so far
  int64_t epoch_rows = 0;
  std::optional<double> best;  // measure of the best evaluation
  int64_t best_step = 0;
  int64_t evaluations_since_best = 0;
  bool finished = false;  // nothing is left to do
  std::map<std::string, double> watched;  // what warnings are made of, finite, by names of the trainer's own

  bool operator==(const TrainingPosition&) const = default;
};

struct Checkpoint {
  TrainingPosition position;
  NamedTensors states;
};

// Where a trainer keeps what it would lose.
class TrainingStore {
 public:
  virtual ~TrainingStore() = default;
  virtual Status save(const TrainingPosition& position, const NamedTensors& states) = 0;
  // Weights of the best evaluation so far: call it before the save whose position names it.
  virtual Status save_best(int64_t step, const NamedTensors& weights) = 0;
  virtual Result<NamedTensors> read_best(int64_t step, const Limits& limits) const = 0;
};

class CheckpointStore final : public TrainingStore {
 public:
  // Makes the folder where it is missing and holds it for this process: a second run in the same folder is an
  // error.
  static Result<CheckpointStore> open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  // Steps of the checkpoints that the folder names, newest first; they may be damaged.
  std::vector<int64_t> steps() const;
  // Writes a checkpoint, then removes all but the newest two and the best weights that neither names.
  Status save(const TrainingPosition& position, const NamedTensors& states) override;
  // In `best-N.safetensors`.
  Status save_best(int64_t step, const NamedTensors& weights) override;
  Result<NamedTensors> read_best(int64_t step, const Limits& limits = {}) const override;
  // The newest valid checkpoint; nothing when there is none. `damaged` gets a sentence for each that was
  // passed over.
  Result<std::optional<Checkpoint>> latest(std::vector<std::string>& damaged,
                                           const Limits& limits = {}) const;

 private:
  explicit CheckpointStore(std::string folder) : folder_(std::move(folder)) {}
  std::string path(std::string_view kind, int64_t step, std::string_view extension) const;
  Result<Checkpoint> read(int64_t step, const Limits& limits) const;
  void rotate();

  std::string folder_;
  FileDescriptor lock_;
};

// An error where `there`, of a checkpoint, is of other models, options or another seed than the run `here`; `other` says
// which models in the message: "another model".
Status check_same_run(const TrainingPosition& there, const TrainingPosition& here, std::string_view other);

// One identity for equal files: CRC-32C and length of the file at `path`, as text.
Result<std::string> file_identity(const std::string& path);

}  // namespace gannet
