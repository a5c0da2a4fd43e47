#include "tools/driver/image_to_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/base/round_up.h"
#include "ir/op.h"
#include "runtime/data/image_tiles.h"
#include "runtime/data/input_file.h"
#include "tools/driver/value_range.h"

namespace gannet {

namespace {

bool is_picture(const Type& type) {
  return type.is_tensor() && type.rank() == 4 && (is_float(type.dtype) || type.dtype == DType::kU8);
}

// What the flags leave open follows from the input's type; a size that is open on both sides stays 0.
Result<ImageOptions> options_of_input(const RunnableModel& model, const ImageArguments& flags) {
  const Type& type = model.inputs[0].type;
  std::vector<int64_t> extents;
  for (const Dim& dim : *type.shape) extents.push_back(dim.is_constant() ? dim.constant() : -1);
  Result<ImageOptions> options =
      image_options_for(TRY(image_options_of(flags, model.metadata)), type.dtype, extents);
  if (!options.ok()) return with_prefix(model.path + ": ", options.error());
  if (Status status = check_image_options(*options, options->channels); !status.ok()) return with_prefix(model.path + ": ", status.error());
  return options;
}

bool are_means_of_blue_first(const Tensor& constant) {
  constexpr std::array<double, 3> kMeans = {103.939, 116.779, 123.68};  // of Caffe's networks
  if (constant.elements() != 3 || !is_float(constant.dtype())) return false;
  for (int64_t i = 0; i < 3; ++i) {
    if (std::fabs(std::fabs(constant.double_at(i)) - kMeans[static_cast<size_t>(i)]) > 1) return false;
  }
  return true;
}

// Whether the model begins by subtracting means that are known to be those of blue, green and red.
bool takes_blue_first(const Value& input) {
  const Value* value = &input;
  while (value != nullptr && value->uses().size() == 1) {
    const Node& node = *value->uses()[0].node;
    const std::string_view name = node.op().name;
    if (name != "Cast" && name != "Identity" && name != "Mul" && name != "Add" && name != "Sub") return false;
    for (const Value* operand : node.inputs()) {
      const Tensor* constant = operand ? operand->constant() : nullptr;
      if (constant != nullptr && are_means_of_blue_first(*constant)) return true;
    }
    value = node.output();
  }
  return false;
}

// Luma and chroma of JPEG files (ITU-T T.871) from red, green and blue, and back.
Image to_luma_chroma(const Image& image) {
  Image result = image;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const double r = image.pixels[i], g = image.pixels[i + 1], b = image.pixels[i + 2];
    const double y = 0.299 * r + 0.587 * g + 0.114 * b;
    const double values[3] = {y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128};
    for (size_t c = 0; c < 3; ++c)
      result.pixels[i + c] = static_cast<uint8_t>(std::lround(std::clamp(values[c], 0.0, 255.0)));
  }
  return result;
}

Image from_luma_chroma(const Image& image) {
  Image result = image;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const double y = image.pixels[i], cb = image.pixels[i + 1] - 128.0, cr = image.pixels[i + 2] - 128.0;
    const double values[3] = {y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb};
    for (size_t c = 0; c < 3; ++c)
      result.pixels[i + c] = static_cast<uint8_t>(std::lround(std::clamp(values[c], 0.0, 255.0)));
  }
  return result;
}

Image plane_of(const Image& image, int64_t channel) {
  Image plane{image.height, image.width, 1, {}};
  for (size_t i = static_cast<size_t>(channel); i < image.pixels.size();
       i += static_cast<size_t>(image.channels))
    plane.pixels.push_back(image.pixels[i]);
  return plane;
}

// Luma that a model has made, with the chroma of the picture that it came from.
Image with_chroma_of(const Image& luma, const Image& luma_chroma) {
  Image result = resize(luma_chroma, luma.height, luma.width, ResizeFilter::kBicubic);
  for (size_t i = 0; i < luma.pixels.size(); ++i) result.pixels[3 * i] = luma.pixels[i];
  return from_luma_chroma(result);
}

// The planes of a batch of one, less what lies beyond `height` x `width`.
Tensor cut_planes(const Tensor& planes, int64_t height, int64_t width) {
  if (planes.extent(2) == height && planes.extent(3) == width) return planes;
  Tensor result = Tensor::zeros(DType::kF32, {1, planes.extent(1), height, width});
  const std::span<const float> from = planes.data<float>();
  const std::span<float> to = result.mutable_data<float>();
  for (int64_t row = 0; row < planes.extent(1) * height; ++row) {
    const int64_t source = row / height * planes.extent(2) + row % height;
    std::copy_n(from.begin() + source * planes.extent(3), width, to.begin() + row * width);
  }
  return result;
}

}  // namespace

Result<ImageToImage> ImageToImage::load(const RunnableOptions& options,
                                        const ImageToImageArguments& arguments) {
  ImageToImage loaded;
  std::vector<std::optional<ValueRange>> ranges;
  bool blue_first = false;
  RunnableOptions prepared = options;
  prepared.prepare = [&](Graph& graph) -> Status {
    blue_first = graph.inputs().size() == 1 && takes_blue_first(*graph.inputs()[0]);
    for (const GraphOutput& output : graph.outputs) ranges.push_back(find_output_range(*output.value));
    return {};
  };
  loaded.model_ = TRY(load_runnable(prepared));
  const RunnableModel& model = loaded.model_;
  const auto output =
      std::ranges::find_if(model.outputs, [](const OutputSpec& spec) { return is_picture(spec.type); });
  if (model.inputs.size() != 1 || !is_picture(model.inputs[0].type) || output == model.outputs.end()) {
    return invalid_input(fmt::format(
        "{}: --image is for models with one input and an output that are pictures of rank 4", model.path));
  }
  loaded.output_ = static_cast<size_t>(output - model.outputs.begin());
  const auto of_output = loaded.output_ < ranges.size() ? ranges[loaded.output_] : std::nullopt;
  loaded.input_ = TRY(options_of_input(model, arguments.image));
  if (loaded.input_.channels != 1 && loaded.input_.channels != 3) {
    return invalid_input(fmt::format("{}: input '{}' is {}; a picture has 1 or 3 channels", model.path,
                                     model.inputs[0].name, to_string(model.inputs[0].type)));
  }
  TRY(loaded.settle_ranges(of_output, arguments));
  if (blue_first || metadata_value(model.metadata, "Image.BitmapPixelFormat").value_or("").starts_with("Bgr"))
    loaded.input_.order = ChannelOrder::kBgr;
  ImageOptions& input = loaded.input_;
  const Shape& shape = *model.inputs[0].type.shape;
  const size_t rows = input.layout == ImageLayout::kNchw ? 2 : 1;
  const auto known = [&](size_t axis) { return shape[axis].is_constant() ? shape[axis].constant() : 0; };
  loaded.fixed_ = {known(rows), known(rows + 1)};
  TRY(loaded.check_parts(arguments));
  if (!arguments.image.size.empty()) loaded.resized_ = input;
  input.height = input.width = 0;
  loaded.tile_ = arguments.tile;
  loaded.overlap_ = arguments.overlap;
  return loaded;
}

// --tile and --overlap must not be without effect.
Status ImageToImage::check_parts(const ImageToImageArguments& arguments) const {
  if (arguments.tile && fixed_.height > 0 && fixed_.width > 0) {
    return invalid_input(fmt::format("{}: takes pictures of {} x {}; --tile is for models of any size",
                                     model_.path, fixed_.height, fixed_.width));
  }
  if (arguments.overlap && !arguments.tile && fixed_.height == 0 && fixed_.width == 0)
    return invalid_input(model_.path +
                         ": takes pictures of any size as a whole; --overlap is of the parts of --tile");
  return {};
}

Status ImageToImage::settle_ranges(std::optional<ValueRange> of_output,
                                   const ImageToImageArguments& arguments) {
  ImageOptions& input = input_;
  const bool bytes = input.dtype == DType::kU8;
  const bool known = input.scale || !input.mean.empty() || !input.std.empty();
  const ImageOptions& flags = arguments.image.options;
  const bool given = flags.scale || !flags.mean.empty() || !flags.std.empty();
  std::optional<ValueRange> of_input;
  if (!arguments.input_range.empty()) {
    if (given || bytes)
      return invalid_input(
          "--input-range does not go together with --scale, --mean and --std, or an input of bytes");
    of_input = TRY(parse_value_range(arguments.input_range, "--input-range"));
  }
  const bool stands = bytes || (known && !of_input);
  const std::optional<ValueRange> of_metadata = range_of_metadata(model_.metadata);
  if (!of_input && model_.normalization && !stands)
    of_input = ValueRange{0, 255 * model_.normalization->scale};
  // Where nothing else says so, a model that gives 0..255 takes it.
  const bool gives_bytes = of_output && of_output->low == 0 && of_output->high == 255;
  const ValueRange usual = {0, bytes || gives_bytes ? 255.0 : 1.0};
  input_range_ = of_input ? *of_input : of_metadata ? *of_metadata : usual;
  if (!stands) {
    input.scale = (input_range_.high - input_range_.low) / 255;
    input.mean = {-input_range_.low};
    input.std.clear();
  }
  output_range_ = of_output ? *of_output : of_metadata ? *of_metadata : input_range_;
  if (!arguments.output_range.empty())
    output_range_ = TRY(parse_value_range(arguments.output_range, "--output-range"));
  return {};
}

std::string ImageToImage::description() const {
  return fmt::format(
      "input '{}' {} of {}{}, output '{}' {} of {}", model_.inputs[0].name, to_string(model_.inputs[0].type),
      to_string(input_range_), input_.order == ChannelOrder::kBgr ? " (blue, green, red)" : "",
      model_.outputs[output_].name, to_string(model_.outputs[output_].type), to_string(output_range_));
}

Result<Tensor> ImageToImage::planes_of(const Tensor& output) const {
  const Tensor values = TRY(convert(output, DType::kF32));
  if (values.rank() != 4 || values.elements() == 0)
    return invalid_input(fmt::format("{}: output '{}' is {}, no picture", model_.path,
                                     model_.outputs[output_].name, type_string(output)));
  const auto is_channels = [&](int64_t axis) { return values.extent(axis) == 1 || values.extent(axis) == 3; };
  const bool planar = is_channels(1) && (input_.layout == ImageLayout::kNchw || !is_channels(3));
  if (!planar && !is_channels(3))
    return invalid_input(fmt::format("{}: output '{}' is {}; a picture has 1 or 3 channels", model_.path,
                                     model_.outputs[output_].name, type_string(output)));
  const int64_t channels = values.extent(planar ? 1 : 3), height = values.extent(planar ? 2 : 1),
                width = values.extent(planar ? 3 : 2);
  Tensor planes = TRY(Tensor::allocate(DType::kF32, {1, channels, height, width}));
  const float* from = values.data<float>().data();  // the first of a batch
  float* to = planes.mutable_data<float>().data();
  for (int64_t i = 0; i < height * width; ++i) {
    for (int64_t c = 0; c < channels; ++c)
      to[c * height * width + i] = from[planar ? c * height * width + i : i * channels + c];
  }
  return planes;
}

Result<Tensor> ImageToImage::run_cut(const Image& cut) const {
  const int64_t rows = model_.fixed_rows.value_or(1);
  ImageOptions options = input_;
  Tensor one = TRY(image_to_tensor(cut, options));
  if (rows > 1) {
    std::vector<int64_t> extents = one.extents();
    extents[0] = rows;
    Tensor all = TRY(Tensor::allocate(one.dtype(), extents));
    for (int64_t i = 0; i < rows; ++i)
      std::copy_n(static_cast<const std::byte*>(one.raw()), one.bytes(),
                  static_cast<std::byte*>(all.mutable_raw()) + i * one.bytes());
    one = std::move(all);
  }
  const std::vector<Datum> outputs = TRY(model_.run({Datum(one)}));
  return planes_of(outputs[output_].tensor());
}

Result<Tensor> ImageToImage::run_whole(const Image& image) const {
  constexpr int64_t kLargestMultiple = 64;
  std::optional<Error> first;
  Size before;
  for (int64_t multiple = 1; multiple <= kLargestMultiple; multiple *= 2) {
    const Size size = {rounded_up(image.height, multiple), rounded_up(image.width, multiple)};
    if (size.height == before.height && size.width == before.width) continue;
    before = size;
    const Result<Tensor> planes = run_cut(mirrored_cut(image, 0, 0, size.height, size.width));
    if (!planes.ok()) {
      if (!first) first = planes.error();
      continue;
    }
    return cut_planes(*planes, image.height * planes->extent(2) / size.height,
                      image.width * planes->extent(3) / size.width);
  }
  return *first;
}

Result<Tensor> ImageToImage::run_parts(const Image& image, Size part, int64_t& parts) const {
  const int64_t shorter = std::min(part.height, part.width);
  const int64_t overlap = overlap_.value_or(shorter / 8);
  if (overlap >= shorter)
    return invalid_input(fmt::format("--overlap {} of parts of {} x {}", overlap, part.height, part.width));
  const std::vector<int64_t> tops = tile_starts(image.height, part.height, overlap),
                             lefts = tile_starts(image.width, part.width, overlap);
  parts = static_cast<int64_t>(tops.size() * lefts.size());
  std::optional<TileCanvas> canvas;
  Size whole;
  int64_t channels = 0;
  for (size_t y = 0; y < tops.size(); ++y) {
    for (size_t x = 0; x < lefts.size(); ++x) {
      const Tensor planes = TRY(run_cut(mirrored_cut(image, tops[y], lefts[x], part.height, part.width)));
      const int64_t height = planes.extent(2), width = planes.extent(3);
      const auto down = [&](int64_t length) { return length * height / part.height; };
      const auto across = [&](int64_t length) { return length * width / part.width; };
      if (!canvas) {
        whole = {down(image.height), across(image.width)};
        channels = planes.extent(1);
        canvas.emplace(channels, whole.height, whole.width);
      }
      TileCanvas::Place place{down(tops[y]), across(lefts[x]), height, width};
      if (y > 0) place.above = down(tops[y - 1] + part.height - tops[y]);
      if (y + 1 < tops.size()) place.below = down(tops[y] + part.height - tops[y + 1]);
      if (x > 0) place.before = across(lefts[x - 1] + part.width - lefts[x]);
      if (x + 1 < lefts.size()) place.behind = across(lefts[x] + part.width - lefts[x + 1]);
      canvas->add(planes.data<float>(), place);
    }
  }
  const std::vector<float> values = std::move(*canvas).finish();
  return Tensor::from<float>({1, channels, whole.height, whole.width}, std::span<const float>(values));
}

Result<ImageToImage::Output> ImageToImage::run(const Image& original) const {
  ImageOptions size = resized_.value_or(ImageOptions{});
  size.channels = 0;
  const Image resized = TRY(fit_image(original, size));
  const bool luma = input_.channels == 1 && resized.channels == 3;
  const Image luma_chroma = luma ? to_luma_chroma(resized) : Image{};
  const Image image = luma ? plane_of(luma_chroma, 0) : with_channels(resized, input_.channels);
  Size part = fixed_;
  if (tile_ && part.height == 0) part.height = *tile_;
  if (tile_ && part.width == 0) part.width = *tile_;
  if (part.height > 0 && part.width == 0) part.width = image.width;
  if (part.width > 0 && part.height == 0) part.height = image.height;
  Output output;
  output.values = part.height > 0 ? TRY(run_parts(image, part, output.parts)) : TRY(run_whole(image));
  TensorImageOptions pictures;
  pictures.range = output_range_;
  pictures.layout = ImageLayout::kNchw;
  pictures.order = input_.order;
  output.picture = TRY(images_of(output.values, pictures))[0];
  if (luma && output.picture.channels == 1) output.picture = with_chroma_of(output.picture, luma_chroma);
  return output;
}

}  // namespace gannet
