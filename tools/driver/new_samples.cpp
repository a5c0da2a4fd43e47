#include "tools/driver/new_samples.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/base/random.h"

namespace gannet {
namespace {

// Streams of the seed that no weight uses.
constexpr uint64_t kLabelStream = uint64_t{1} << 60;
constexpr uint64_t kNoiseStream = uint64_t{2} << 60;
constexpr uint64_t kClassStream = uint64_t{3} << 60;  // plus the class

constexpr double kNoise = 0.5;
constexpr double kContrast = 1.5;  // of the patterns against that noise

// Every class equally often, in random order.
Result<Tensor> balanced_labels(int64_t classes, int64_t samples, uint64_t seed) {
  Tensor labels = TRY(Tensor::allocate(DType::kI64, {samples}));
  std::span<int64_t> values = labels.mutable_data<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(i) % classes;
  Random(seed, kLabelStream).shuffle(values);
  return labels;
}

// A wave of period 1 between -1 and 1, made of exact operations only.
double triangle_wave(double t) { return 4.0 * std::fabs(t - std::floor(t + 0.5)) - 1.0; }

// How often a wave repeats over an extent: 0 to 4 times, with at least four pixels a period.
double random_frequency(int64_t extent, Random& random) {
  return static_cast<double>(random.below(static_cast<uint64_t>(std::clamp<int64_t>(extent / 4, 1, 4)) + 1));
}

// A wave across one channel of an image, within [-scale, scale]; added to what is there.
void add_waves(std::span<float> pixels, int64_t height, int64_t width, double scale, Random& random) {
  double down = random_frequency(height, random), across = random_frequency(width, random);
  if (down == 0.0 && across == 0.0) across = 1.0;
  double phase = random.uniform_double(), offset = random.uniform(-0.3, 0.3);
  size_t i = 0;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      double t = down * static_cast<double>(y) / static_cast<double>(height) +
                 across * static_cast<double>(x) / static_cast<double>(width) + phase;
      pixels[i++] += static_cast<float>(scale * (offset + 0.7 * triangle_wave(t)));
    }
  }
}

void add_class_pattern(std::span<float> pixels, const ImageClassifierOptions& image, uint64_t seed,
                       int64_t label) {
  Random random(seed, kClassStream + static_cast<uint64_t>(label));
  auto plane = static_cast<size_t>(image.height * image.width);
  for (size_t c = 0; c < static_cast<size_t>(image.channels); ++c) {
    add_waves(pixels.subspan(c * plane, plane), image.height, image.width, kContrast, random);
  }
}

std::span<float> row_of(std::span<float> values, size_t row, size_t rows) {
  size_t size = values.size() / rows;
  return values.subspan(row * size, size);
}

NamedTensors regression_samples(Tensor inputs, Tensor targets, uint64_t seed) {
  std::span<float> x = inputs.mutable_data<float>();
  std::span<float> y = targets.mutable_data<float>();
  std::vector<float> slope(x.size() / y.size());
  Random(seed, kClassStream).fill_normal(slope, 0.0, 1.0 / std::sqrt(static_cast<double>(slope.size())));
  Random(seed, kNoiseStream).fill_normal(x, 0.0, 1.0);
  for (size_t i = 0; i < y.size(); ++i) {
    std::span<float> row = row_of(x, i, y.size());
    double sum = 0.0;
    for (size_t k = 0; k < row.size(); ++k) sum += static_cast<double>(row[k]) * slope[k];
    y[i] = static_cast<float>(sum);
  }
  return {{"input", std::move(inputs)}, {"targets", std::move(targets)}};
}

// Which token ids mean something: those of BERT's vocabularies begin with unused and special ones.
struct Tokens {
  int64_t first, count;
  int64_t start = 0, end = 0;  // of a sentence
};

Tokens tokens_of(int64_t vocabulary) {
  if (vocabulary > 2000) return {1000, vocabulary - 1000, 101, 102};
  int64_t first = std::min<int64_t>(1, vocabulary - 1);
  return {first, vocabulary - first, first, first};
}

// One sentence of random length; every third token is one of the eight that belong to the label.
void fill_sentence(std::span<int64_t> ids, std::span<int64_t> mask, const Tokens& tokens, int64_t label,
                   Random& random) {
  size_t shortest = std::max<size_t>(1, ids.size() / 2);
  size_t length = shortest + random.below(ids.size() - shortest + 1);
  for (size_t i = 0; i < length; ++i) {
    bool of_class = random.below(3) == 0;
    auto number = static_cast<int64_t>(random.below(of_class ? 8 : static_cast<uint64_t>(tokens.count)));
    ids[i] = tokens.first + (of_class ? (label * 8 + number) % tokens.count : number);
    mask[i] = 1;
  }
  ids[0] = tokens.start;
  if (length > 2) ids[length - 1] = tokens.end;
}

}  // namespace

Result<NamedTensors> image_samples(const ImageClassifierOptions& image, int64_t samples, uint64_t seed) {
  Tensor labels = TRY(balanced_labels(image.classes, samples, seed));
  Tensor images = TRY(Tensor::allocate(DType::kF32, {samples, image.channels, image.height, image.width}));
  std::span<float> values = images.mutable_data<float>();
  Random(seed, kNoiseStream).fill_normal(values, 0.0, kNoise);
  std::span<const int64_t> classes = labels.data<int64_t>();
  for (size_t i = 0; i < classes.size(); ++i) {
    add_class_pattern(row_of(values, i, classes.size()), image, seed, classes[i]);
  }
  return NamedTensors{{"input", std::move(images)}, {"labels", std::move(labels)}};
}

Result<NamedTensors> vector_samples(const MlpOptions& mlp, int64_t samples, uint64_t seed) {
  Tensor inputs = TRY(Tensor::allocate(DType::kF32, {samples, mlp.inputs}));
  if (mlp.outputs == 1)
    return regression_samples(inputs, TRY(Tensor::allocate(DType::kF32, {samples, 1})), seed);
  Tensor labels = TRY(balanced_labels(mlp.outputs, samples, seed));
  std::span<float> values = inputs.mutable_data<float>();
  Random(seed, kNoiseStream).fill_normal(values, 0.0, kNoise);
  std::span<const int64_t> classes = labels.data<int64_t>();
  std::vector<float> centre(static_cast<size_t>(mlp.inputs));
  for (size_t i = 0; i < classes.size(); ++i) {
    Random(seed, kClassStream + static_cast<uint64_t>(classes[i])).fill_normal(centre, 0.0, 1.0);
    std::span<float> row = row_of(values, i, classes.size());
    for (size_t k = 0; k < row.size(); ++k) row[k] += centre[k];
  }
  return NamedTensors{{"input", std::move(inputs)}, {"labels", std::move(labels)}};
}

Result<NamedTensors> token_samples(const BertOptions& bert, int64_t samples, uint64_t seed,
                                   bool with_labels) {
  int64_t length = std::min<int64_t>(32, bert.max_positions);
  Tensor labels = TRY(balanced_labels(with_labels ? bert.labels : 1, samples, seed));
  Tensor ids = Tensor::zeros(DType::kI64, {samples, length});
  Tensor mask = Tensor::zeros(DType::kI64, {samples, length});
  Tensor types = Tensor::zeros(DType::kI64, {samples, length});
  Random random(seed, kNoiseStream);
  Tokens tokens = tokens_of(bert.vocabulary);
  std::span<int64_t> all_ids = ids.mutable_data<int64_t>(), all_masks = mask.mutable_data<int64_t>();
  std::span<const int64_t> classes = labels.data<int64_t>();
  auto size = static_cast<size_t>(length);
  for (size_t i = 0; i < classes.size(); ++i) {
    fill_sentence(all_ids.subspan(i * size, size), all_masks.subspan(i * size, size), tokens, classes[i],
                  random);
  }
  NamedTensors result = {{"input_ids", std::move(ids)},
                         {"attention_mask", std::move(mask)},
                         {"token_type_ids", std::move(types)}};
  if (with_labels) result.emplace_back("labels", std::move(labels));
  return result;
}

Result<NamedTensors> latent_samples(const DcganOptions& dcgan, int64_t samples, uint64_t seed) {
  Tensor z = TRY(Tensor::allocate(DType::kF32, {samples, dcgan.latent, 1, 1}));
  Random(seed, kNoiseStream).fill_normal(z.mutable_data<float>(), 0.0, 1.0);
  NamedTensors result = {{"z", std::move(z)}};
  if (dcgan.classes > 0) result.emplace_back("label", TRY(balanced_labels(dcgan.classes, samples, seed)));
  return result;
}

Result<NamedTensors> discriminator_samples(const DcganOptions& dcgan, int64_t samples, uint64_t seed) {
  if (dcgan.classes > 0) {
    NamedTensors result = TRY(
        image_samples({dcgan.image_size, dcgan.image_size, dcgan.channels, dcgan.classes}, samples, seed));
    result[0].first = "image";
    return result;
  }
  Tensor labels = TRY(balanced_labels(2, samples, seed));
  int64_t size = dcgan.image_size;
  Tensor images = TRY(Tensor::allocate(DType::kF32, {samples, dcgan.channels, size, size}));
  std::span<float> values = images.mutable_data<float>();
  Random(seed, kNoiseStream).fill_uniform(values, -1.0, 1.0);
  std::span<const int64_t> classes = labels.data<int64_t>();
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] == 0) continue;
    std::span<float> pixels = row_of(values, i, classes.size());
    std::fill(pixels.begin(), pixels.end(), 0.0f);
    Random random(seed, kClassStream + i);
    for (size_t c = 0; c < static_cast<size_t>(dcgan.channels); ++c) {
      add_waves(row_of(pixels, c, static_cast<size_t>(dcgan.channels)), size, size, 1.0, random);
    }
  }
  return NamedTensors{{"image", std::move(images)}, {"labels", std::move(labels)}};
}

}  // namespace gannet
