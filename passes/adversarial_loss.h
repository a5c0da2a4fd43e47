// What the two sides of a GAN minimize, given the discriminator's scores of real and generated pictures: logits, or what
// a critic gives. Scores may have any shape [rows, ...] (one number a picture, or a map of patches); losses are means over
// all of them.
#pragma once

#include <string_view>

#include "ir/builder.h"

namespace gannet {

// With s the score of a real and t that of a generated picture:
//   kMinimax        D: softplus(-s) + softplus(t)          G: -softplus(t)       Goodfellow et al. 2014
//   kNonSaturating  D: the same                            G: softplus(-t)       the same paper
//   kHinge          D: max(0, 1 - s) + max(0, 1 + t)       G: -t                 Lim and Ye 2017
//   kLeastSquares   D: (s - 1)^2 / 2 + t^2 / 2             G: (t - 1)^2 / 2      Mao et al. 2017
//   kWasserstein    D: t - s                               G: -t                 Arjovsky et al. 2017
enum class AdversarialLoss { kMinimax, kNonSaturating, kHinge, kLeastSquares, kWasserstein };

std::string_view name_of(AdversarialLoss loss);  // "non-saturating"

struct AdversarialLossOptions {
  AdversarialLoss kind = AdversarialLoss::kNonSaturating;
  double label_smoothing = 0;  // the label of real pictures is 1 minus this; of losses that have labels
};

// The discriminator's loss, a scalar. `real_flipped` and `fake_flipped` (null: none) are bools [rows]: those rows count as
// the other kind. An error names an option that the loss does not have, or scores without rows.
Result<Value*> discriminator_loss(GraphBuilder& b, const AdversarialLossOptions& options, Value* real, Value* fake,
                                  Value* real_flipped = nullptr, Value* fake_flipped = nullptr);
// The generator's, a scalar.
Result<Value*> generator_loss(GraphBuilder& b, const AdversarialLossOptions& options, Value* fake);

// The share of real scores on the real side, and of generated ones on the other, f32 scalars. The border is 0 for logits
// and hinge, 1/2 for least squares, and halfway between both means for a critic.
struct Accuracies {
  Value* real = nullptr;
  Value* fake = nullptr;
};
Accuracies discriminator_accuracies(GraphBuilder& b, AdversarialLoss loss, Value* real, Value* fake);

// The mean of all elements of `x`, a scalar of rank 0.
Value* mean_of_all(GraphBuilder& b, Value* x);

// What a discriminator's output is before a Sigmoid at its end, looking through reshapes and a Cast between floats there;
// the output itself, before such a Cast, where it has none.
Value* logit_of(Value* output);

}  // namespace gannet
