#include "tools/driver/picture_conversion.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/picture_targets.h"

namespace gannet {

namespace {

// Where the results go, one for each picture.
Result<std::vector<std::string>> targets_of(const GenerateArguments& arguments) {
  const std::string& output = arguments.output;
  std::vector<std::string> targets = {output};
  if (arguments.images.size() == 1) {
    TRY(check_picture_file(output, ".png"));
  } else {
    if (is_image_name(output) || output.ends_with(".npy"))
      return invalid_input(
          fmt::format("-o {} is a file, {} pictures go into a folder", output, arguments.images.size()));
    TRY(check_output_folder(output));
    targets.clear();
    std::map<std::string, std::string> of_stem;
    for (const std::string& file : arguments.images) {
      const std::string stem = std::filesystem::path(file).stem().string();
      targets.push_back((std::filesystem::path(output) / (stem + ".png")).string());
      const auto [other, is_new] = of_stem.emplace(stem, file);
      if (!is_new)
        return invalid_input(
            fmt::format("{} and {} would both become {}", other->second, file, targets.back()));
    }
  }
  std::vector<std::string> sources = arguments.images;
  sources.push_back(arguments.model.model.path);
  TRY(check_targets(targets, sources));
  return targets;
}

}  // namespace

Status convert_pictures(const GenerateArguments& arguments) {
  const std::vector<std::string> targets = TRY(targets_of(arguments));
  ImageToImageArguments settled = arguments.image_to_image;
  settled.output_range = arguments.generator.range;
  const ImageToImage model = TRY(ImageToImage::load(arguments.model, settled));
  fmt::print("{}: {}\n", printable(arguments.model.model.path), printable(model.description()));
  if (targets.size() > 1) TRY(make_folder(arguments.output));
  for (size_t i = 0; i < targets.size(); ++i) {
    const std::string &file = arguments.images[i], &path = targets[i];
    const Image image = TRY(read_image(file));
    Result<ImageToImage::Output> output = model.run(image);
    if (!output.ok()) return with_prefix(file + ": ", output.error());
    TRY(path.ends_with(".npy") ? write_npy(path, output->values) : write_png(path, output->picture));
    fmt::print("wrote {}: {} x {} from {} x {}", path, output->picture.height, output->picture.width,
               image.height, image.width);
    fmt::print("{}\n", output->parts > 1 ? fmt::format(", in {} parts", output->parts) : "");
  }
  return {};
}

}  // namespace gannet
