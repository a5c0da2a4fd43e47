#include "tools/driver/picture_features.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "ir/base/nearest.h"
#include "runtime/core/crc32c.h"
#include "runtime/training/checkpoint.h"
#include "tools/driver/picture_input.h"
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

// A vector for each row: the mean over places of maps, else all elements.
void append_rows(const Tensor& values, int64_t rows, FeatureMatrix& matrix) {
  const int64_t all = values.elements() / values.extent(0);
  const int64_t places = values.rank() == 4 ? values.extent(2) * values.extent(3) : 1;
  matrix.width = all / places;
  const std::span<const float> data = values.data<float>();
  for (int64_t i = 0; i < rows * matrix.width; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < places; ++k)
      sum += static_cast<double>(data[static_cast<size_t>(i * places + k)]);
    matrix.values.push_back(static_cast<float>(sum / static_cast<double>(places)));
  }
  matrix.rows += rows;
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
  const ImageOptions& prepared = loaded.input_;
  loaded.identity_ = fmt::format("{} {} {}x{}x{} fit {} {} order {} scale {} mean {} std {}",
                                 TRY(file_identity(path)), loaded.tensor_, prepared.height, prepared.width,
                                 prepared.channels, static_cast<int>(prepared.fit), prepared.shortest_edge,
                                 static_cast<int>(prepared.order), prepared.scale.value_or(1.0 / 255),
                                 fmt::join(prepared.mean, ","), fmt::join(prepared.std, ","));
  return loaded;
}

std::string PictureFeatures::description(int64_t width) const {
  return fmt::format("{} features of '{}' of {}", width, tensor_, model_.path);
}

Status PictureFeatures::fill_batch(std::span<const Image> images, Tensor& batch,
                                   std::vector<uint32_t>& checksums) const {
  const PixelWriter writer = TRY(PixelWriter::make(input_, input_.channels));
  auto* out = static_cast<std::byte*>(batch.mutable_raw());
  const int64_t bytes = batch.bytes() / batch.extent(0);
  const size_t before = checksums.size();
  checksums.resize(before + images.size());
  std::vector<std::optional<Error>> errors(images.size());
  const Threads threads(threads_);
  threads.parallel_for(static_cast<int64_t>(images.size()), threads.count(),
                       [&](int64_t begin, int64_t end, int) {
                         for (int64_t i = begin; i < end; ++i) {
                           const auto place = static_cast<size_t>(i);
                           const Result<Image> fitted = fit_image(images[place], input_);
                           if (fitted.ok()) {
                             checksums[before + place] = crc32c(fitted->pixels);
                             writer.write(*fitted, out + i * bytes);
                           } else {
                             errors[place] = fitted.error();
                           }
                         }
                       });
  for (const std::optional<Error>& error : errors) {
    if (error) return *error;
  }
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
  std::vector<uint32_t> checksums;
  // The last batch keeps the rows of the one before it where it has none of its own.
  Tensor batch = Tensor::zeros(input_.dtype, extents);
  for (int64_t first = 0; first < count; first += batch_size_) {
    const int64_t rows = std::min(batch_size_, count - first);
    TRY(fill_batch(TRY(pictures(first, rows)), batch, checksums));
    const std::vector<Datum> outputs = TRY(model_.run({Datum(batch)}));
    const size_t before = set.features.values.size();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Tensor values = TRY(convert(outputs[i].tensor(), DType::kF32));
      if (values.rank() < 1 || values.extent(0) != batch_size_)
        return invalid_input(fmt::format("{}: tensor '{}' is {}, which has no row for each of {} pictures",
                                         model_.path, model_.outputs[i].name, type_string(values),
                                         batch_size_));
      if (i == 0) append_rows(values, rows, set.features);
      if (i == classes_) append_rows(values, rows, scores);
    }
    if (!moments) moments.emplace(set.features.width, threads_);
    moments->add(std::span(set.features.values).subspan(before));
  }
  set.moments = moments->moments();
  if (classes_ && scores.width > 1) set.probabilities = distributions(std::move(scores));
  const auto* bytes = reinterpret_cast<const uint8_t*>(checksums.data());
  set.content =
      fmt::format("{} pictures, {:08x}", count, crc32c({bytes, checksums.size() * sizeof(uint32_t)}));
  return set;
}

}  // namespace gannet
