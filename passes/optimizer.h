// How a training step changes weights: gradients in, new weights and optimizer slots out. Everything about
// one weight is elementwise over it, with scalars that all weights share, so that the compiler makes one
// kernel of it.
#pragma once

#include <string>
#include <vector>

#include "ir/builder.h"

namespace gannet {

enum class Optimizer { kSgd, kAdam, kAdamW, kAdagrad, kLamb };

struct RateRule {
  std::string pattern;    // of weight names: '*' and '?'
  double multiplier = 1;  // of the learning rate; 0: the weight does not change
  int64_t after = 0;      // updates during which the rate is 0: the weight is still, its slots are not
};

// Formulas and defaults are PyTorch's (torch.optim), bias corrections in f64. kLamb, which PyTorch lacks: You
// et al., "Large batch optimization for deep learning" (2020), with bias correction; the trust ratio is |w| /
// |update|, and 1 where either is 0 or the weight is excluded from decay.
struct OptimizerOptions {
  Optimizer kind = Optimizer::kSgd;
  double momentum = 0;    // kSgd; 0: no slot
  bool nesterov = false;  // kSgd with momentum
  double beta1 = 0.9;     // kAdam, kAdamW, kLamb
  double beta2 = 0.999;
  double epsilon = 0;  // 0: the optimizer's own, 1e-8 (kAdagrad 1e-10, kLamb 1e-6)
  // kSgd, kAdam, kAdagrad: added to the gradient as weight_decay * w. kAdamW: w shrinks by learning_rate *
  // weight_decay. kLamb: part of the update.
  double weight_decay = 0;
  std::vector<std::string> no_decay = {};  // patterns of weight names without decay
  bool decay_vectors = true;               // false: no decay of weights of rank 0 or 1 (biases, norms)
  std::vector<RateRule> rates = {};        // the first that matches counts
  double clip_value = 0;                   // gradients are clamped to [-clip_value, clip_value]; 0: not
  double clip_norm = 0;  // then scaled by min(1, clip_norm / (norm + 1e-6)), norm over all of them; 0: not
  // 0: none. Else shadow = ema_decay * shadow + (1 - ema_decay) * weight after each update.
  double ema_decay = 0;
  // The decay is no more than 1 - 1 / (updates + 1), so that the first averages follow the weights (Tarvainen
  // and Valpola 2017, the released code).
  bool ema_warmup = false;
  std::string prefix = {};  // of "train.step", where a graph holds several optimizers
};

std::string_view name_of(Optimizer optimizer);  // "AdamW"

// Appends the update of the first gradients.size() States of the builder's graph, which are weights: sets
// `out` of those that have a gradient (not null, of the weight's type) and appends the States of the
// optimizer, with zeros (EMA: the weight) to begin with:
//   PREFIXtrain.step     i64 scalar, updates so far (kAdam, kAdamW, kLamb; RateRule::after; ema_warmup)
//   sgd.momentum/W       kSgd with momentum
//   adam.m/W adam.v/W    kAdam, kAdamW; lamb.m/W lamb.v/W
//   adagrad.sum/W
//   ema/W                with ema_decay
// `rate` is a float scalar. Returns the norm of all gradients (f64 scalar; after clip_value, before
// clip_norm), of which nothing is left after dead nodes are erased unless it is used. Errors: options out of
// range.
Result<Value*> build_update(GraphBuilder& b, const OptimizerOptions& options,
                            const std::vector<Value*>& gradients, Value* rate);

}  // namespace gannet
