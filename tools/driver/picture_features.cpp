#include "tools/deploy/picture_input.h"
#include "tools/driver/picture_features.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "ir/base/nearest.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/image_tensor.h"
#include "tools/driver/channel_axis.h"
#include "tools/driver/predictions.h"

namespace gannet {

namespace {

// FILE:TENSOR in two; a file whose name holds a colon is one.
std::pair<std::string, std::string> split_model(const std::string& text) {
  std::error_code error;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text, error)) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool gives_scores(const Type& type) {
  if (!type.is_tensor() || !is_float(type.dtype) || type.rank() < 2) return false;
  for (size_t axis = 2; axis < type.shape->size(); ++axis) {
    if (!(*type.shape)[axis].is_constant(1)) return false;
  }
  const Dim& width = (*type.shape)[1];
  return width.is_constant() && width.constant() > 1;
}

FeatureMatrix distributions(FeatureMatrix scores) {
  Predictions predictions{"", scores.rows, scores.width, std::move(scores.values)};
  make_distributions(predictions);
  scores.values = std::move(predictions.values);
  return scores;
}

}  // namespace

Status PictureFeatures::choose_outputs(Graph& graph, const std::string& tensor, const std::string& classes) {
  std::vector<GraphOutput> chosen, scores;
  std::vector<std::string_view> names;
  const auto consider = [&](const std::string& name, Value* value, bool output) {
    if (!value->type.is_tensor() || !is_float(value->type.dtype)) return;
    names.push_back(name);
    if (chosen.empty() && (tensor.empty() ? output : name == tensor)) chosen.push_back({name, value});
    if (scores.empty() && output && (classes.empty() ? gives_scores(value->type) : name == classes))
      scores.push_back({name, value});
  };
  for (const GraphOutput& output : graph.outputs) consider(output.name, output.value, true);
  for (const auto& node : graph.nodes()) {
    for (Value* value : node->outputs()) {
      if (value != nullptr && value->constant() == nullptr) consider(value->name, value, false);
    }
  }
  const std::string& missing = chosen.empty() ? tensor : classes;
  if (chosen.empty() || (scores.empty() && !classes.empty())) {
    const std::string hint = nearest(missing, names);
    return invalid_input(fmt::format("has no floating point tensor '{}'{}", missing,
                                     hint.empty() ? "" : fmt::format(", did you mean '{}'?", hint)));
  }
  tensor_ = chosen[0].name;
  axis_of_planar_ = channel_axis(*chosen[0].value, ImageLayout::kNchw);
  axis_of_interleaved_ = channel_axis(*chosen[0].value, ImageLayout::kNhwc);
  graph.outputs = chosen;
  if (!scores.empty() && scores[0].value == chosen[0].value) classes_ = 0;
  if (!scores.empty() && scores[0].value != chosen[0].value) {
    classes_ = 1;
    graph.outputs.push_back(scores[0]);
  }
  erase_dead_nodes(graph);
  return {};
}

Result<PictureFeatures> PictureFeatures::load(RunnableOptions options, const Arguments& arguments) {
  PictureFeatures loaded;
  const std::pair<std::string, std::string> place = split_model(arguments.model);
  const std::string &path = place.first, &tensor = place.second;
  options.model.path = path;
  options.inference_form = true;
  options.prepare = [&](Graph& graph) -> Status {
    const Status status = loaded.choose_outputs(graph, tensor, arguments.classes);
    return status.ok() ? status : Status(with_prefix(path + ": ", status.error()));
  };
  loaded.model_ = TRY(load_runnable(options));
  const RunnableModel& model = loaded.model_;
  if (loaded.tensor_.empty())
    return invalid_input(fmt::format("{}: features come from an ONNX file, not from a compiled model", path));
  PictureInput input =
      TRY(picture_input(path, model.inputs, model.metadata, model.normalization, arguments.image));
  if (!input.note.empty()) loaded.model_.notes.push_back(input.note);
  loaded.input_ = std::move(input.options);
  loaded.batch_size_ = model.fixed_rows.value_or(arguments.batch_size);
  loaded.threads_ = options.threads;
  TRY(loaded.settle_axes());
  const ImageOptions& prepared = loaded.input_;
  const std::string classes = loaded.classes_ ? loaded.model_.outputs[*loaded.classes_].name : "none";
  loaded.identity_ =
      fmt::format("{} {} axis {} classes {} {}x{}x{} fit {} {} order {} scale {} mean {} std {}",
                  TRY(file_identity(path)), loaded.tensor_, loaded.channels_, classes, prepared.height,
                  prepared.width, prepared.channels, static_cast<int>(prepared.fit), prepared.shortest_edge,
                  static_cast<int>(prepared.order), prepared.scale.value_or(1.0 / 255),
                  fmt::join(prepared.mean, ","), fmt::join(prepared.std, ","));
  return loaded;
}

Status PictureFeatures::settle_axes() {
  const Type& type = model_.outputs[0].type;
  const int64_t rank = type.rank();
  constexpr int64_t kMostRank = 4;
  if (rank < 1 || rank > kMostRank) {
    return invalid_input(
        fmt::format("{}: tensor '{}' is {}; features are [rows, width], tokens [rows, T, width] or maps",
                    model_.path, tensor_, to_string(type)));
  }
  channels_ = rank == 3 ? 2 : 1;
  if (rank < 4) return {};
  const auto is_one = [&](size_t at) { return (*type.shape)[at].is_constant(1); };
  auto axis = input_.layout == ImageLayout::kNhwc ? axis_of_interleaved_ : axis_of_planar_;
  if (!axis && is_one(1) != is_one(3) && is_one(2)) axis = is_one(1) ? 3 : 1;
  if (!axis) {
    return invalid_input(
        fmt::format("{}: tensor '{}' is {}, and nothing says which axis its channels are: name one behind "
                    "or before it, --features {}:TENSOR",
                    model_.path, tensor_, to_string(type), model_.path));
  }
  channels_ = *axis;
  return {};
}

std::string PictureFeatures::description(int64_t width) const {
  const int64_t rank = model_.outputs[0].type.rank();
  std::string averaged;
  if (rank == 3) averaged = ", averaged over tokens";
  if (rank == 4) averaged = fmt::format(", averaged over places{}", channels_ == 3 ? " (channels last)" : "");
  return fmt::format("{} features of '{}' of {}{}", width, tensor_, model_.path, averaged);
}

Status PictureFeatures::fill_batch(std::span<const Image> images, Tensor& batch) const {
  const PixelWriter writer = TRY(PixelWriter::make(input_, input_.channels));
  const Threads threads(threads_);
  const auto count = static_cast<int64_t>(images.size());
  const int64_t pixels = input_.height * input_.width,
                nanoseconds = count * pixels * kNanosecondsToDecodePixel;
  const std::vector<Image> fitted = TRY(make_images(count, nanoseconds, threads, [&](int64_t i) {
    return fit_image(images[static_cast<size_t>(i)], input_);
  }));
  auto* out = static_cast<std::byte*>(batch.mutable_raw());
  const int64_t bytes = batch.bytes() / batch.extent(0);
  threads.parallel_for(count, threads.workers_for(count * pixels * kNanosecondsToCopyPixel),
                       [&](int64_t begin, int64_t end, int) {
                         for (int64_t i = begin; i < end; ++i)
                           writer.write(fitted[static_cast<size_t>(i)], out + i * bytes);
                       });
  return {};
}

// A vector for each row: the mean over all places before and behind the axis of channels.
Status PictureFeatures::append_features(const Tensor& values, int64_t rows, FeatureMatrix& matrix) const {
  const int64_t width = values.rank() > channels_ ? values.extent(channels_) : 1;
  constexpr int64_t kMostWidth = 16'384;  // whose covariance takes 2 GiB
  if (width > kMostWidth) {
    return invalid_input(
        fmt::format("{}: tensor '{}' is {}, {} features a picture of at most {}: name a narrower one, "
                    "--features {}:TENSOR",
                    model_.path, tensor_, type_string(values), width, kMostWidth, model_.path));
  }
  matrix.width = width;
  int64_t before = 1, behind = 1;
  for (int64_t axis = 1; axis < values.rank(); ++axis) {
    if (axis < channels_) before *= values.extent(axis);
    if (axis > channels_) behind *= values.extent(axis);
  }
  const float* data = values.data<float>().data();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t a = 0; a < before; ++a) {
        for (int64_t b = 0; b < behind; ++b)
          sum += static_cast<double>(data[((row * before + a) * width + c) * behind + b]);
      }
      matrix.values.push_back(static_cast<float>(sum / static_cast<double>(before * behind)));
    }
  }
  matrix.rows += rows;
  return {};
}

Status PictureFeatures::append_scores(const Tensor& values, int64_t rows, FeatureMatrix& matrix) const {
  const int64_t width = values.elements() / values.extent(0);
  if (values.rank() > 1 && width != values.extent(1)) {
    return invalid_input(fmt::format("{}: output '{}' is {}; scores of classes are [rows, classes]",
                                     model_.path, model_.outputs[*classes_].name, type_string(values)));
  }
  matrix.width = width;
  const std::span<const float> data = values.data<float>().first(static_cast<size_t>(rows * width));
  matrix.values.insert(matrix.values.end(), data.begin(), data.end());
  matrix.rows += rows;
  return {};
}

Result<FeatureSet> PictureFeatures::of(int64_t count, const Pictures& pictures) const {
  if (count < 2) return invalid_input(fmt::format("{} pictures; a comparison takes at least two", count));
  const bool planar = input_.layout == ImageLayout::kNchw;
  std::vector<int64_t> extents = {batch_size_, input_.height, input_.width, input_.channels};
  if (planar) extents = {batch_size_, input_.channels, input_.height, input_.width};
  FeatureSet set;
  FeatureMatrix scores;
  std::optional<FeatureMoments> moments;
  // The last batch keeps the rows of the one before it where it has none of its own.
  Tensor batch = Tensor::zeros(input_.dtype, extents);
  for (int64_t first = 0; first < count; first += batch_size_) {
    const int64_t rows = std::min(batch_size_, count - first);
    TRY(fill_batch(TRY(pictures(first, rows)), batch));
    const std::vector<Datum> outputs = TRY(model_.run({Datum(batch)}));
    const size_t before = set.features.values.size();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Tensor values = TRY(convert(outputs[i].tensor(), DType::kF32));
      if (values.rank() < 1 || values.extent(0) != batch_size_)
        return invalid_input(fmt::format("{}: tensor '{}' is {}, which has no row for each of {} pictures",
                                         model_.path, model_.outputs[i].name, type_string(values),
                                         batch_size_));
      if (values.elements() == 0)
        return invalid_input(fmt::format("{}: tensor '{}' is {}, which is empty", model_.path,
                                         model_.outputs[i].name, type_string(values)));
      if (i == 0) TRY(append_features(values, rows, set.features));
      if (i == classes_) TRY(append_scores(values, rows, scores));
    }
    if (!moments) moments.emplace(set.features.width, threads_);
    moments->add(std::span(set.features.values).subspan(before));
  }
  set.moments = moments->moments();
  if (classes_ && scores.width > 1) set.probabilities = distributions(std::move(scores));
  return set;
}

}  // namespace gannet
