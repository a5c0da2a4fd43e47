// Features of a set of pictures in a file, so that they are computed once.
#pragma once

#include <string>

#include "ir/base/limits.h"
#include "tools/driver/picture_features.h"

namespace gannet {

// A safetensors file with features, probabilities, mean and covariance, and with what they depend on as
// metadata.
Status save_feature_set(const std::string& path, const FeatureSet& set, const std::string& identity);
// An error where the file holds something else, or features of another model or of pictures prepared in
// another way.
Result<FeatureSet> load_feature_set(const std::string& path, const std::string& identity,
                                    const Limits& limits);

}  // namespace gannet
