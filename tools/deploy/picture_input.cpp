#include "tools/deploy/picture_input.h"

#include <fmt/format.h>

#include "runtime/data/input_file.h"

namespace gannet {

namespace {

std::optional<std::vector<int64_t>> extents_of(const Type& type) {
  if (!type.shape) return std::nullopt;
  std::vector<int64_t> extents;
  for (const Dim& dim : *type.shape) extents.push_back(dim.is_constant() ? dim.constant() : -1);
  return extents;
}

Status check_extents(const std::string& path, const InputSpec& input, const ImageOptions& options) {
  const std::optional<std::vector<int64_t>> extents = extents_of(input.type);
  if (!extents || extents->size() != 4)
    return invalid_input(fmt::format("{}: input '{}' is {}; pictures take [N, C, H, W] or [N, H, W, C]", path,
                                     input.name, to_string(input.type)));
  if (options.height == 0 || options.width == 0)
    return invalid_input(
        fmt::format("{}: input '{}' is {}: give --image-size HxW", path, input.name, to_string(input.type)));
  const bool planar = options.layout == ImageLayout::kNchw;
  const std::vector<int64_t> wanted = {-1, planar ? options.channels : options.height,
                                       planar ? options.height : options.width,
                                       planar ? options.width : options.channels};
  for (size_t axis = 1; axis < 4; ++axis) {
    if ((*extents)[axis] >= 0 && (*extents)[axis] != wanted[axis])
      return invalid_input(fmt::format(
          "{}: input '{}' is {}, pictures of {} x {} with {} channels as {} do not fit", path, input.name,
          to_string(input.type), options.height, options.width, options.channels, planar ? "NCHW" : "NHWC"));
  }
  return {};
}

}  // namespace

Result<PictureInput> picture_input(const std::string& path, std::span<const InputSpec> inputs,
                                   const Metadata& metadata,
                                   const std::optional<InputNormalization>& normalization,
                                   const ImageArguments& flags) {
  if (inputs.size() != 1)
    return invalid_input(fmt::format("{}: has {} inputs; a model of pictures has one", path, inputs.size()));
  const InputSpec& input = inputs[0];
  PictureInput result;
  ImageOptions& options = result.options;
  options = TRY(image_options_of(flags, metadata));
  Result<ImageOptions> completed = image_options_for(options, input.type.dtype, extents_of(input.type));
  if (!completed.ok()) return with_prefix(path + ": ", completed.error());
  options = *completed;
  TRY(check_extents(path, input, options));
  if (Status status = check_image_options(options, options.channels); !status.ok()) return with_prefix(path + ": ", status.error());
  const bool known =
      options.scale || !options.mean.empty() || !options.std.empty() || options.dtype == DType::kU8;
  if (!normalization || known) return result;
  options.scale = normalization->scale;
  result.note = fmt::format("the model normalizes its input itself ({}): pixels as 0 to {}",
                            normalization->description, normalization->scale == 1 ? 255 : 1);
  return result;
}

}  // namespace gannet
