#include "runtime/training/gan_inputs.h"

#include "ir/base/random.h"
#include "runtime/core/crc32c.h"

namespace gannet {

namespace {

uint64_t stream_of(const std::string& name) {
  return crc32c({reinterpret_cast<const uint8_t*>(name.data()), name.size()});
}

template <class T>
void fill(std::span<T> values, GanSource source, Random& random) {
  for (T& value : values) {
    if (source == GanSource::kNormal) value = static_cast<T>(random.normal());
    else if (source == GanSource::kUniform) value = static_cast<T>(random.uniform());
    else value = static_cast<T>(2 * static_cast<double>(random.uniform()) - 1);
  }
}

}  // namespace

Result<Tensor> draw(const GanInputSpec& spec, int64_t rows, uint64_t seed) {
  std::vector<int64_t> extents = {rows};
  const Shape& shape = *spec.type.shape;
  for (size_t i = 1; i < shape.size(); ++i) extents.push_back(shape[i].constant());
  Random random(seed, stream_of(spec.name));
  if (spec.type.dtype == DType::kF32) {
    Tensor tensor = TRY(Tensor::allocate(DType::kF32, std::move(extents)));
    fill(tensor.mutable_data<float>(), spec.source, random);
    return tensor;
  }
  Tensor tensor = TRY(Tensor::allocate(DType::kF64, std::move(extents)));
  fill(tensor.mutable_data<double>(), spec.source, random);
  return convert(tensor, spec.type.dtype);
}

Result<std::vector<Datum>> gan_inputs(const std::vector<GanInputSpec>& specs, const BatchColumns& batch, int64_t rows,
                                      const GanScalars& scalars, uint64_t seed) {
  std::vector<Datum> inputs;
  for (const GanInputSpec& spec : specs) {
    const auto scalar = [&](double value) { inputs.emplace_back(Tensor::scalar_of(spec.type.dtype, value)); };
    switch (spec.source) {
      case GanSource::kPictures:
        inputs.emplace_back(TRY(convert(batch.at(0), spec.type.dtype)));
        break;
      case GanSource::kClasses:
        inputs.emplace_back(TRY(convert(batch.at(1), spec.type.dtype)));
        break;
      case GanSource::kDiscriminatorRate:
        scalar(scalars.discriminator_rate);
        break;
      case GanSource::kGeneratorRate:
        scalar(scalars.generator_rate);
        break;
      case GanSource::kNoiseScale:
        scalar(scalars.noise_scale);
        break;
      default:
        inputs.emplace_back(TRY(draw(spec, rows, seed)));
    }
  }
  return inputs;
}

}  // namespace gannet
