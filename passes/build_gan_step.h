// Adversarial training as a graph: a generator, a discriminator, their losses and their optimizers become one step. The two
// models are joined, so that what the generator gives flows into the discriminator, and the gradient with respect to the
// discriminator's input flows back into the generator. As in training.h, whatever survives is State known by its name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "passes/adversarial_loss.h"
#include "passes/diff_augment.h"
#include "passes/optimizer.h"

namespace gannet {

// Two models whose weights are State (weights_to_state.h), and how they fit together. Both outlive what is built.
struct GanPair {
  const Graph* generator = nullptr;
  const Graph* discriminator = nullptr;
  size_t generated = 0;  // which output of the generator is the pictures,
  size_t pictures = 0;   // which input of the discriminator takes them,
  size_t scores = 0;     // and which of its outputs is the score
  // Inputs that take the class of a row: integers [rows] or [rows, 1], or floats [rows, classes], 1 for the class.
  std::optional<size_t> generator_class = {}, discriminator_class = {};
  // A row of pictures between the two, without the batch: what is generated is brought into this form, after the
  // permutation (of all axes; empty: none), and what the discriminator takes is made of it.
  Shape form;
  std::vector<int64_t> generated_permutation = {};
};

// Which side a step updates. kBoth is the discriminator's update, then the generator's against the new discriminator on the
// same latents, as in PyTorch's DCGAN example; the generator runs forward once.
enum class GanUpdate { kDiscriminator, kGenerator, kBoth };

struct GanStepOptions {
  AdversarialLossOptions loss = {};
  double gradient_penalty = 0;  // factor of distance_from_unit_slope (gradient_penalty.h); 0: none
  double r1 = 0;                // gamma of R1 on real pictures; 0: none
  double clip_weights = 0;      // the discriminator's weights are clamped to [-c, c] after an update; 0: not
  bool spectral_norm = false;   // of the discriminator (spectral_norm.h); its directions start from `seed`
  uint64_t seed = 0;
  double flip_labels = 0;  // share of rows that count as the other kind in the discriminator's loss
  bool instance_noise = false;
  DiffAugmentOptions augment = {};
  // Both updates from the discriminator as it was: it sees the generated pictures once.
  bool simultaneous = false;
  OptimizerOptions generator = {}, discriminator = {};
  double batch_norm_momentum = 0.9;  // build_train_step.h
};

enum class GanInput {
  kPictures,  // floats [batch, form...]
  kClasses,   // i64 [batch]
  kNormal,    // random numbers, standard normal
  kUniform,   // random numbers of [0, 1)
  kLatent,    // random numbers of the caller's choice, as the generator wants them
  kDiscriminatorRate,
  kGeneratorRate,
  kNoiseScale,  // deviation of the instance noise
};

struct GanStep {
  // Random inputs are called by what they are for ("mix", "flip", "noise_real", "noise_fake", "augment"), latents as in the
  // generator. Outputs by name: where the discriminator is updated "d_loss" (with penalties), "real_score",
  // "fake_score" (means), "real_accuracy", "fake_accuracy" and, with a penalty, "penalty" (before its factor); where the
  // generator is, "g_loss". States: those of the models under "generator/" and "discriminator/", the optimizers' of
  // these ("adam.m/generator/W"), "generator/train.step", and "spectral/W". Steps of one pair share them by name.
  std::unique_ptr<Graph> graph;
  std::vector<GanInput> inputs;  // of the graph, in its order
};

// Normalizations by the batch see real and generated pictures apart, in this order, and their running statistics follow
// each forward pass, as in PyTorch. A discriminator that ends in Sigmoid is trained on the logits before it. An error names
// what does not fit, or the node without gradient.
Result<GanStep> build_gan_step(const GanPair& pair, const GanStepOptions& options, GanUpdate update);

// The generator alone, in its form for inference: the same States "generator/...", which do not change. Inputs: the
// generator's but its class input, in order, then "classes" where it has one. Output "pictures" [batch, form...].
Result<std::unique_ptr<Graph>> build_generation(const GanPair& pair);

}  // namespace gannet
