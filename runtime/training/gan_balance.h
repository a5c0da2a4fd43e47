// Watches whether one side of an adversarial training has collapsed, and says what helps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "ir/base/tensor.h"
#include "runtime/training/gan_engine.h"

namespace gannet {

class GanBalance {
 public:
  // Follows the measures of a round. Gives a warning with advice when the discriminator has told (nearly) all
  // pictures apart, or none, for a good while; then not again before that has changed. In the first rounds,
  // in which a generator that has learned nothing yet is told apart without a collapse, nothing is said.
  std::optional<std::string> follow(const GanMeasures& measures);
  // The same for samples after the rounds that were followed: when pictures of different latents are nearly
  // the same, judged by how much real ones differ.
  std::optional<std::string> follow_samples(const Tensor& generated, double real_variety);

  // What it has seen so far, by name, for a run that goes on elsewhere; what is missing is as at the
  // beginning.
  std::map<std::string, double> state() const;
  void restore(const std::map<std::string, double>& state);

 private:
  int64_t rounds_ = 0;
  double real_ = 0, fake_ = 0;  // accuracies, smoothed
  int64_t won_ = 0, lost_ = 0;  // rounds in a row
  bool same_ = false;           // the last samples were
};

// The mean over all elements of a row of their standard deviation over the rows; 0 for fewer than two rows.
double variety(const Tensor& pictures);

}  // namespace gannet
