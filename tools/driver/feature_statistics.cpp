#include "tools/driver/feature_statistics.h"

#include <fmt/format.h>

#include "runtime/training/safetensors.h"

namespace gannet {

namespace {

constexpr const char* kIdentity = "gannet.features";

Tensor matrix(const FeatureMatrix& features) {
  return Tensor::from<float>({features.rows, features.width}, std::span<const float>(features.values));
}

const Tensor* find(const Safetensors& file, const std::string& name, DType dtype, int64_t rank) {
  for (const auto& [own, tensor] : file.tensors) {
    if (own == name && tensor.dtype() == dtype && tensor.rank() == rank) return &tensor;
  }
  return nullptr;
}

FeatureMatrix matrix_of(const Tensor& tensor) {
  const auto values = tensor.data<float>();
  return {tensor.extent(0), tensor.extent(1), {values.begin(), values.end()}};
}

}  // namespace

Status save_feature_set(const std::string& path, const FeatureSet& set, const std::string& identity) {
  const int64_t width = set.features.width;
  NamedTensors tensors = {
      {"mean", Tensor::from<double>({width}, std::span<const double>(set.moments.mean))},
      {"covariance", Tensor::from<double>({width, width}, std::span<const double>(set.moments.covariance))},
      {"features", matrix(set.features)}};
  if (set.probabilities) tensors.emplace_back("probabilities", matrix(*set.probabilities));
  return write_safetensors(path, tensors, {{kIdentity, identity}});
}

Result<FeatureSet> load_feature_set(const std::string& path, const std::string& identity,
                                    const Limits& limits) {
  const Safetensors file = TRY(read_safetensors(path, limits));
  const auto of = file.metadata.find(kIdentity);
  const Tensor* features = find(file, "features", DType::kF32, 2);
  const Tensor* mean = find(file, "mean", DType::kF64, 1);
  const Tensor* covariance = find(file, "covariance", DType::kF64, 2);
  const bool whole = of != file.metadata.end() && features && mean && covariance && features->extent(0) > 1 &&
                     mean->extent(0) == features->extent(1) && covariance->extent(0) == mean->extent(0) &&
                     covariance->extent(1) == mean->extent(0);
  if (!whole) return invalid_input(path + ": holds no statistics of features");
  if (of->second != identity) {
    return invalid_input(
        fmt::format("{}: holds features of another model or of pictures prepared in another way:\n"
                    "  in the file: {}\n  asked for:   {}",
                    path, of->second, identity));
  }
  FeatureSet set;
  set.features = matrix_of(*features);
  const auto means = mean->data<double>(), covariances = covariance->data<double>();
  set.moments = {features->extent(0), {means.begin(), means.end()}, {covariances.begin(), covariances.end()}};
  const Tensor* probabilities = find(file, "probabilities", DType::kF32, 2);
  if (probabilities && probabilities->extent(0) > 1) set.probabilities = matrix_of(*probabilities);
  return set;
}

}  // namespace gannet
