// `gannet evaluate --task gan`: how a set of pictures, or what a generator makes, differs from real ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/deploy/image_arguments.h"
#include "tools/driver/generator.h"
#include "tools/driver/runnable_model.h"

namespace CLI {
class App;
}

namespace gannet {

inline constexpr const char* kGanTask = "gan";

struct GanEvaluationArguments {
  GeneratorArguments generator;
  std::string features, classes;  // of PictureFeatures
  std::string statistics, save_statistics;
  std::optional<int64_t> samples;
  uint64_t seed = 0;
  int64_t subsets = 100, subset_size = 0, splits = 10, neighbors = 0;
};

// Adds --features, --statistics, --save-statistics, --samples and --seed, and under `group` the rest.
void add_gan_evaluation_flags(CLI::App& command, GanEvaluationArguments& arguments, const char* group);

// Measures the generator, or the folder of pictures, that `model` names against the pictures of folder `data`
// or those whose statistics a file holds, and prints what it finds, with `json` as one object. `image` says
// how pictures become the input of the model of features.
Status evaluate_gan(const RunnableOptions& model, const std::string& data,
                    const GanEvaluationArguments& arguments, const ImageArguments& image, bool json);

}  // namespace gannet
