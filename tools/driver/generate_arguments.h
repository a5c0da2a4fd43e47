// The flags of `gannet generate`, and which of them go together.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tools/driver/generator.h"
#include "tools/driver/image_to_image.h"
#include "tools/driver/runnable_model.h"

namespace gannet {

struct GenerateArguments {
  RunnableOptions model;
  GeneratorArguments generator;
  ImageToImageArguments image_to_image;
  std::optional<int64_t> count;
  uint64_t seed = 0;
  std::vector<uint64_t> interpolate;
  int64_t steps = 8, columns = 0, delay_ms = 100;
  std::string classes, grid, gif, output;
  std::vector<std::string> images;
  std::set<std::string> given;                    // names of the flags of the command line
  std::set<std::string> of_latents, of_pictures;  // flags that mean something without or with --image alone
};

// Adds all flags of the command and fills in `of_latents` and `of_pictures`.
void add_generate_flags(CLI::App& command, GenerateArguments& arguments);
// An error names a flag of `given` that would be without effect: one of pictures from latents beside --image,
// or the other way round, or one that belongs to a flag that is not given.
Status check_generate_flags(const GenerateArguments& arguments);

}  // namespace gannet
