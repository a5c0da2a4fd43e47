// Twenty rounds of adversarial training against PyTorch: same weights, same latents, same batches, the same losses of both
// sides in every round, for each loss, penalty and normalization.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "frontend/templates.h"
#include "tests/training/gan_pair.h"
#include "tests/training/recorded_batches.h"

namespace gannet::test {
namespace {

#include "tests/training/recorded_gan.inc"

constexpr int64_t kRounds = 20, kRows = 6, kSize = 28, kLatent = 8;
constexpr double kRate = 0.0002;

// The two models of record_gan.py.
struct Models {
  std::unique_ptr<Graph> generator, discriminator;
  GanPair pair;

  Models(DType dtype, bool compiled, int64_t channels) {
    const DcganOptions dcgan{.image_size = kSize, .channels = channels, .features = 4, .latent = kLatent};
    generator = trainable(make_dcgan_generator(dcgan, {}), dtype, compiled);
    discriminator = trainable(make_dcgan_discriminator(dcgan, {}), dtype, compiled);
    pair.generator = generator.get();
    pair.discriminator = discriminator.get();
    pair.form = {channels, kSize, kSize};
  }
};

GanStepOptions with_adam() {
  GanStepOptions options;
  options.generator.kind = options.discriminator.kind = Optimizer::kAdam;
  options.generator.beta1 = options.discriminator.beta1 = 0.5;
  return options;
}

Tensor numbers_of(DType dtype, std::vector<int64_t> extents, const std::function<double(int64_t)>& number) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.mutable_data<double>()[static_cast<size_t>(i)] = number(i);
  return *convert(tensor, dtype);
}

// The inputs of record_gan.py.
Datum input_of(const Value& input, GanInput kind, int64_t step) {
  const DType dtype = input.type.dtype;
  switch (kind) {
    case GanInput::kPictures: {
      const int64_t channels = (*input.type.shape)[1].constant(), of_picture = channels * kSize * kSize;
      return numbers_of(dtype, {kRows, channels, kSize, kSize}, [&](int64_t i) {
        const int64_t pattern = mixed_number((int64_t{7} << 27) + i % of_picture) % 2048 - 1024;
        return static_cast<double>(recorded_number(6, step, i) % 2048 - 1024 + pattern) / 2048;
      });
    }
    case GanInput::kLatent:
      return numbers_of(dtype, {kRows, kLatent, 1, 1}, [&](int64_t i) {
        return static_cast<double>(recorded_number(5, step, i) % 2048 - 1024) / 512;
      });
    case GanInput::kUniform: {
      const bool mix = input.name == "mix";
      const std::vector<int64_t> extents = mix ? std::vector<int64_t>{kRows} : std::vector<int64_t>{kRows, kDiffAugmentDraws};
      return numbers_of(dtype, extents, [&](int64_t i) {
        return static_cast<double>(recorded_number(mix ? 8 : 9, step, i) % 1024) / 1024;
      });
    }
    default:
      return Tensor::scalar_of(dtype, kRate);
  }
}

// Directions of spectral normalization begin as in the recording.
void level_directions(GraphRunner& runner) {
  for (size_t i = 0; i < runner.state_names().size(); ++i) {
    if (!runner.state_names()[i].starts_with("spectral/")) continue;
    const Tensor& present = runner.state(i);
    const double element = 1 / std::sqrt(static_cast<double>(present.elements()));
    ASSERT_TRUE(runner.set_state(i, numbers_of(present.dtype(), present.extents(), [&](int64_t) { return element; })).ok());
  }
}

double statistics_of(const GraphRunner& runner, const std::string& prefix) {
  double sum = 0;
  for (size_t i = 0; i < runner.state_names().size(); ++i) {
    const std::string& name = runner.state_names()[i];
    if (!name.starts_with(prefix) || name.find("running_") == std::string::npos) continue;
    for (int64_t k = 0; k < runner.state(i).elements(); ++k) sum += runner.state(i).double_at(k);
  }
  return sum;
}

void expect_rounds(const GanStepOptions& options, DType dtype, bool compiled, std::span<const double> expected, int64_t channels = 1) {
  ASSERT_EQ(expected.size(), static_cast<size_t>(2 * kRounds + 2));
  const Models models(dtype, compiled, channels);
  Result<GanStep> step = build_gan_step(models.pair, options, GanUpdate::kBoth);
  ASSERT_TRUE(step.ok()) << step.error().message;
  const std::vector<GanInput> kinds = step->inputs;
  const std::unique_ptr<Graph> graph = step->graph->clone();  // for the types of its inputs
  Result<std::unique_ptr<GraphRunner>> runner = runner_of(std::move(step->graph), compiled);
  ASSERT_TRUE(runner.ok()) << runner.error().message;
  level_directions(**runner);
  const double tolerance = dtype == DType::kF64 ? 1e-8 : 1e-3;
  for (int64_t round = 0; round < kRounds; ++round) {
    std::vector<Datum> inputs;
    for (size_t i = 0; i < kinds.size(); ++i) inputs.push_back(input_of(*graph->inputs()[i], kinds[i], round));
    const auto outputs = (*runner)->run(inputs, 0);
    ASSERT_TRUE(outputs.ok()) << outputs.error().message;
    for (const auto& [name, place] : {std::pair("d_loss", 2 * round), {"g_loss", 2 * round + 1}}) {
      const double wanted = expected[static_cast<size_t>(place)];
      ASSERT_NEAR(output_named(**runner, *outputs, name), wanted, tolerance * std::max(std::abs(wanted), 0.1)) << name << " of round " << round;
    }
  }
  const double generator = expected[2 * kRounds], discriminator = expected[2 * kRounds + 1];
  EXPECT_NEAR(statistics_of(**runner, "generator/"), generator, tolerance * std::abs(generator));
  EXPECT_NEAR(statistics_of(**runner, "discriminator/"), discriminator, tolerance * std::max(std::abs(discriminator), 0.1));
}

#define EXPECT_ROUNDS(options, name)                                  \
  expect_rounds(options, DType::kF64, /*compiled=*/true, name##F64);  \
  expect_rounds(options, DType::kF32, /*compiled=*/true, name##F32)

GanStepOptions of_loss(AdversarialLoss loss) {
  GanStepOptions options = with_adam();
  options.loss.kind = loss;
  return options;
}

TEST(RecordedGan, Minimax) { EXPECT_ROUNDS(of_loss(AdversarialLoss::kMinimax), kMinimax); }
TEST(RecordedGan, NonSaturating) { EXPECT_ROUNDS(of_loss(AdversarialLoss::kNonSaturating), kNonSaturating); }
TEST(RecordedGan, Hinge) { EXPECT_ROUNDS(of_loss(AdversarialLoss::kHinge), kHinge); }
TEST(RecordedGan, LeastSquares) { EXPECT_ROUNDS(of_loss(AdversarialLoss::kLeastSquares), kLeastSquares); }

TEST(RecordedGan, SmoothedLabels) {
  GanStepOptions options = with_adam();
  options.loss.label_smoothing = 0.1;
  EXPECT_ROUNDS(options, kSmoothed);
}

TEST(RecordedGan, WassersteinWithClippedWeights) {
  GanStepOptions options = of_loss(AdversarialLoss::kWasserstein);
  options.clip_weights = 0.01;
  EXPECT_ROUNDS(options, kClipped);
}

// Through batch normalizations twice.
TEST(RecordedGan, WassersteinWithGradientPenalty) {
  GanStepOptions options = of_loss(AdversarialLoss::kWasserstein);
  options.gradient_penalty = 10;
  EXPECT_ROUNDS(options, kPenalized);
}

TEST(RecordedGan, R1) {
  GanStepOptions options = with_adam();
  options.r1 = 5;
  EXPECT_ROUNDS(options, kR1);
}

TEST(RecordedGan, SpectralNormalization) {
  GanStepOptions options = of_loss(AdversarialLoss::kHinge);
  options.spectral_norm = true;
  EXPECT_ROUNDS(options, kSpectral);
}

TEST(RecordedGan, DifferentiableAugmentation) {
  GanStepOptions options = with_adam();
  options.augment = {.color = true, .translation = true, .cutout = true};
  EXPECT_ROUNDS(options, kAugmented);
}

// In one channel there is no saturation to change.
TEST(RecordedGan, DifferentiableAugmentationOfColors) {
  GanStepOptions options = with_adam();
  options.augment = {.color = true, .translation = true, .cutout = true};
  expect_rounds(options, DType::kF64, /*compiled=*/true, kAugmentedColorsF64, 3);
  expect_rounds(options, DType::kF32, /*compiled=*/true, kAugmentedColorsF32, 3);
}

// The reference evaluator, which nothing was compiled for.
TEST(RecordedGan, TheReferenceAgrees) {
  expect_rounds(of_loss(AdversarialLoss::kNonSaturating), DType::kF64, /*compiled=*/false, kNonSaturatingF64);
}

}  // namespace
}  // namespace gannet::test
