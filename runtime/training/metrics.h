// How good predictions are, gathered batch by batch.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/training/training_observer.h"

namespace gannet {

class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void clear() = 0;
  virtual void add(const Tensor& prediction, const Tensor& target) = 0;
  // The measures so far; NaN where nothing was added.
  virtual std::vector<Measure> measures() const = 0;
};

// Class numbers against scores with a class axis: accuracy (share of labels whose class has the largest
// score, the first among equals), macro_f1 (mean over the classes that occur as label or prediction of 2 TP /
// (2 TP + FP + FN)), mcc (Gorodkin's R_K, Matthews' coefficient for two classes; 0 where it is not defined),
// and topK_accuracy for `top` K of more than K classes (K > 1). Labels equal to `ignore_index` count for nothing. Beyond 2,048 classes
// macro_f1 and mcc are left out.
std::unique_ptr<Metrics> make_class_metrics(int64_t class_axis, std::optional<int64_t> ignore_index,
                                            int64_t top = 5);
// As above, with the class of the largest target probability as the label.
std::unique_ptr<Metrics> make_soft_class_metrics(int64_t class_axis, int64_t top = 5);
// 0 or 1 for each of several labels against scores, which say 1 above `threshold`: accuracy (of all
// elements), micro_f1, macro_f1 over the elements of a row, and map: the mean over them of the average
// precision, the area below precision over recall without interpolation, equal scores taken together.
std::unique_ptr<Metrics> make_label_metrics(double threshold);
// Numbers against numbers: mae, rmse, r2 (1 - squared error over that of the mean target; over all elements
// together).
std::unique_ptr<Metrics> make_number_metrics();

// Whether more is better: all but loss, mae and rmse.
bool higher_is_better(std::string_view measure);

}  // namespace gannet
