// What a model is tuned on. A task reads labelled rows (arrays, texts, pictures), fits the run to them and
// makes batches; the loss, the trainer, the checkpoints and the export are the same for all tasks and know
// none of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontend/import.h"
#include "runtime/training/weak_batches.h"
#include "tools/deploy/label_metadata.h"
#include "tools/deploy/labelled_rows.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_target.h"

namespace gannet {

// Rows of --unlabeled beside labelled ones.
struct UnlabelledRows {
  std::shared_ptr<ViewSource> views;  // of the labelled rows by their numbers, and of these
  std::vector<int64_t> hidden;        // the class of each row where the data tell it after all, else -1
  SyntheticRows synthetic = {};       // rows that a generator makes beside these
  SyntheticRows synthetic_labelled = {};  // and beside the labelled ones
};

// What a tuned model says of the rows that were held out.
struct HeldOut {
  const LabelledRows& rows;
  std::vector<int64_t> numbers;  // of those rows
  Tensor predictions;            // one for each of them, in their order
};

class TuneTask {
 public:
  virtual ~TuneTask() = default;

  virtual RowKind rows_are() const = 0;
  // Called first, with the model as the user's file has it. Fills in what the flags leave open (fill_in of
  // tune_arguments.h): length of the run, rates, and, where the data say so, head and loss. What needs a look
  // at the data reads them here.
  virtual Status settle(const ImportedModel& model, TuneArguments& arguments) = 0;
  // The rows to train on, and those of --eval, for the inputs of the graph that is trained.
  virtual Result<std::unique_ptr<LabelledRows>> training_rows(const Graph& model,
                                                              const TuneArguments& arguments) = 0;
  virtual Result<std::unique_ptr<LabelledRows>> held_out_rows(const Graph& model,
                                                              const TuneArguments& arguments) = 0;
  // The rows of --unlabeled, behind training_rows, whose rows `labelled` are; `count` of them are trained on.
  // An error where the task has none.
  virtual Result<UnlabelledRows> unlabelled_rows(const LabelledRows& labelled, int64_t count,
                                                 const TuneArguments& arguments);
  // Dropout between the features and a new head, where --dropout does not say otherwise.
  virtual double head_dropout() const { return 0; }
  // The same inside a transformer that gets a new head (transformer_places.h).
  virtual double transformer_dropout() const { return 0; }
  // What the tuned file says in its metadata: names of labels and the like. The same keys are replaced.
  virtual Metadata metadata() const { return {}; }
  // Another view of a batch, for evaluation: predictions of both are averaged. Empty: there is none.
  virtual std::function<BatchColumns(const BatchColumns&)> second_view(const TuneArguments&) const { return {}; }
  // Whether examine is to see the predictions of the weights that were chosen; what it gives goes into the metadata of the
  // tuned file.
  virtual bool examines(const TuneArguments&) const { return false; }
  virtual Result<Metadata> examine(const HeldOut&, const TuneArguments&) { return Metadata(); }
  // What decides the batches, by name: a run goes on from a checkpoint only where all of it is the same.
  virtual Result<std::map<std::string, std::string>> identity(const TuneArguments& arguments) const;
};

// The task of --task, or without it the one that the training data are for.
Result<std::unique_ptr<TuneTask>> make_tune_task(const TuneArguments& arguments);

}  // namespace gannet
