// Small synthetic tasks that fit the templates: arrays named as the model's inputs, and `labels` (i64
// [samples], every class equally often) or `targets` (f32 [samples, 1]). They are easy on purpose: a model
// that learns at all learns them in seconds. The same seed gives the same bits everywhere.
#pragma once

#include <cstdint>

#include "frontend/templates.h"
#include "ir/base/error.h"
#include "runtime/data/npy.h"

namespace gannet {

// A pattern of waves for each class, plus noise.
Result<NamedTensors> image_samples(const ImageClassifierOptions& image, int64_t samples, uint64_t seed);
// A random point for each class, plus noise; with one output, a linear function of random points.
Result<NamedTensors> vector_samples(const MlpOptions& mlp, int64_t samples, uint64_t seed);
// Sentences of up to 32 random tokens, in which the tokens of one class are frequent. Without labels for an
// encoder.
Result<NamedTensors> token_samples(const BertOptions& bert, int64_t samples, uint64_t seed, bool with_labels);
// Latent vectors of a generator, and its classes where it has them.
Result<NamedTensors> latent_samples(const DcganOptions& dcgan, int64_t samples, uint64_t seed);
// Smooth images (label 1) and noise (label 0), within [-1, 1]; with classes image_samples of them.
Result<NamedTensors> discriminator_samples(const DcganOptions& dcgan, int64_t samples, uint64_t seed);

}  // namespace gannet
