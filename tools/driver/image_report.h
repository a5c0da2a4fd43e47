// What a model says of held-out pictures: which classes it takes for which, and where it is most wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/deploy/image_rows.h"
#include "tools/driver/tune_task.h"

namespace gannet {

struct Mistake {
  size_t row = 0;  // in HeldOut::numbers
  size_t label = 0, predicted = 0;
  double confidence =
      0;  // share that the model gives to what it predicts; of several labels, of the wrong one
};

struct Examination {
  double accuracy = 0;             // of one label each
  std::vector<int64_t> confusion;  // [label, predicted], of one label each
  std::vector<Mistake> mistakes;   // the most confident first
  // Of several labels: the score above which each class is said to be there.
  std::vector<double> thresholds, f1;
  double micro_f1 = 0, macro_f1 = 0;
};

// With several labels a class is there above its threshold: one for all classes or one for each, or where none is
// given the best of these rows.
Result<Examination> examine_pictures(const HeldOut& held_out, const PictureRows& rows,
                                     const std::vector<std::string>& classes, bool several,
                                     std::span<const double> thresholds = {});

// The least score that counts as yes for the best F1 against labels 0 or 1, halfway to the next lower one;
// the best F1 is written to `f1`. Without a positive label 1 above the largest score.
double best_threshold(std::vector<std::pair<double, bool>> scores, double& f1);

// One HTML page: measures, the matrix of confusions as a picture, and the worst mistakes with their pictures.
Status write_image_report(const std::string& path, const std::string& title, const Examination& examination,
                          const HeldOut& held_out, const PictureRows& rows,
                          const std::vector<std::string>& classes);

}  // namespace gannet
