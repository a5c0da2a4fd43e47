// The loss of a batch in which most rows have no label: that of the labelled ones, and what the model itself
// says of the others. Targets that the model gives are constants of the gradient; a least probability says
// which of them count.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/builder.h"
#include "passes/training_loss.h"

namespace gannet {

enum class WeakMethod {
  // Lee, "Pseudo-Label" (2013): cross entropy of a row with the class that is likeliest for it.
  kPseudoLabel,
  // Sohn et al., "FixMatch" (2020): cross entropy of a strongly changed row with the likeliest class of the
  // weakly changed one.
  kFixMatch,
  // Tarvainen and Valpola, "Mean teachers are better role models" (2017): squared difference of the
  // probabilities, mean over the classes, from those that the model with averaged weights gives for another
  // view of the rows, labelled ones included.
  kMeanTeacher,
};

struct WeakLossOptions {
  WeakMethod method = WeakMethod::kFixMatch;
  int64_t ratio = 3;     // rows without a label for each labelled one; at least 1
  double threshold = 0;  // least probability of the class that a target names; 0 to 1
};

// Rows of the model's input for each labelled row. They stand together: the labelled row, `ratio` others, and
// for kFixMatch the same ones once more, strongly changed.
int64_t rows_for_each_label(const WeakLossOptions& options);

struct WeakLoss {
  Value* loss = nullptr;  // rank 0
  // "measure/NAME": [2] of f64 or f32, a sum and what it is to be divided by (0: there is nothing to
  // measure), so that those of several batches can be added up.
  //   unlabeled_loss         before weights
  //   above_threshold        share of rows without a label whose target counts
  //   pseudo_label_accuracy  of those that count and whose label is known after all
  std::vector<GraphOutput> measures;
};

// `prediction` and, for kMeanTeacher, `teacher` are logits [rows, classes] in the order above. Adds inputs to
// the builder's graph, in this order: "hidden_label" i64 [labelled, ratio], -1 where nobody knows;
// "unlabeled_weight" [labelled] of the dtype of `prediction`, a factor of the terms of the rows behind each
// labelled one; "target" as build_loss does, for the labelled rows. The loss is that of build_loss plus the
// mean over all rows without a label (kMeanTeacher: all rows) of weight * term, terms of targets below the
// threshold being 0. Errors name what does not fit: a loss other than cross entropy, an output with positions
// beside its classes, a batch that is no symbol.
Result<WeakLoss> build_weak_loss(GraphBuilder& b, const LossOptions& loss, const WeakLossOptions& options,
                                 Value* prediction, Value* teacher);

}  // namespace gannet
