#include "tools/deploy/picture_input.h"
#include "tools/driver/evaluate_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/data/text_lists.h"
#include "tools/driver/image_report.h"
#include "tools/deploy/image_rows.h"

namespace gannet {

namespace {

constexpr int64_t kCacheBytes = int64_t{2} << 30;

// A vector of numbers in metadata; empty where there is none.
std::vector<double> stored_thresholds(const Metadata& metadata) {
  std::vector<double> thresholds;
  const std::string text = metadata_value(metadata, "thresholds").value_or("");
  for (const char* at = text.data(); at < text.data() + text.size();) {
    double value = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), value);
    if (error != std::errc()) return {};
    thresholds.push_back(value);
    at = end + 1;
  }
  return thresholds;
}

// "0", "1", ... where all of `names` are among them.
std::vector<std::string> numbers_as_names(const std::vector<std::string>& names, int64_t classes) {
  std::vector<std::string> numbers;
  for (int64_t i = 0; i < classes; ++i) numbers.push_back(fmt::to_string(i));
  const bool all = std::ranges::all_of(names, [&](const std::string& name) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    return error == std::errc() && number >= 0 && number < classes && fmt::to_string(number) == name;
  });
  return all ? numbers : std::vector<std::string>();
}

// What is measured: the pictures, and what their labels are called.
struct PictureData {
  std::unique_ptr<PictureRows> rows;
  std::vector<std::string> classes;
  ImageLabels labels = ImageLabels::kOne;
};

class PictureReader {
 public:
  PictureReader(const RunnableModel& model, const PictureEvaluation& arguments, ImageReading reading)
      : model_(model), arguments_(arguments), reading_(std::move(reading)) {}

  Result<PictureData> read() {
    const auto output = choose_output(model_.outputs, arguments_.measure.output);
    if (!output)
      return invalid_input(fmt::format("{}: there is no floating point output{}", model_.path,
                                       arguments_.measure.output.empty() ? "" : " '" + arguments_.measure.output + "'"));
    output_ = output->name;
    if (output->rank == 1) width_ = 1;
    if (output->rank > 1) width_ = output->classes;
    several_ = arguments_.pictures.several_labels ||
               metadata_value(model_.metadata, "problem_type") == "multi_label_classification";
    known_ = arguments_.names.empty() ? label_names_of(model_.metadata) : TRY(read_lines(arguments_.names));
    if (!known_.empty()) TRY(check_classes(arguments_.names.empty() ? model_.path : arguments_.names, known_));
    return arguments_.data.ends_with(".npz") ? read_archive() : read_list();
  }

 private:
  Status check_classes(const std::string& where, const std::vector<std::string>& classes) const {
    const auto count = static_cast<int64_t>(classes.size());
    if (!width_ || count == *width_ || (*width_ == 1 && count == 2)) return {};
    return invalid_input(fmt::format("{}: {} classes, output '{}' of {} has {}{}", where, count, output_,
                                     model_.path, *width_,
                                     known_.empty() ? "; --labels FILE says what they are called, one a line" : ""));
  }

  Result<PictureData> read_list() {
    ImageListOptions options{known_, several_, arguments_.target};
    ImageList list = TRY(list_images(arguments_.data, options));
    if (known_.empty() && width_) {
      options.classes = numbers_as_names(list.classes, std::max<int64_t>(*width_, 2));
      if (!options.classes.empty()) list = TRY(list_images(arguments_.data, options));
      TRY(check_classes(arguments_.data, list.classes));
    }
    PictureData data{nullptr, list.classes, list.labels};
    if (several_ && list.labels == ImageLabels::kOne) {
      // A folder says one of the labels that a picture may have.
      Tensor flags = Tensor::zeros(
          DType::kF32, {static_cast<int64_t>(list.files.size()), static_cast<int64_t>(list.classes.size())});
      for (int64_t i = 0; i < flags.extent(0); ++i)
        flags.mutable_data<float>()[static_cast<size_t>(i * flags.extent(1) + list.target.int_at(i))] = 1;
      list.target = std::move(flags);
      data.labels = ImageLabels::kSeveral;
    }
    data.rows = TRY(open_pictures(list, reading_));
    return data;
  }

  Result<PictureData> read_archive() {
    const PictureArrays arrays =
        TRY(read_picture_arrays(arguments_.data, model_.inputs[0].name, arguments_.target, arguments_.limits));
    PictureData data{nullptr, known_, ImageLabels::kOne};
    if (is_float(arrays.target.dtype()) && arrays.target.rank() == 2)
      data.labels = several_ ? ImageLabels::kSeveral : ImageLabels::kShares;
    else if (!is_int(arrays.target.dtype()) || arrays.target.rank() != 1)
      return invalid_input(fmt::format("{}: labels are class numbers [rows] or numbers [rows, classes], not {}",
                                       arguments_.data, type_string(arrays.target)));
    data.rows = TRY(open_arrays(arrays, arguments_.data, static_cast<int64_t>(known_.size()), reading_));
    return data;
  }

  const RunnableModel& model_;
  const PictureEvaluation& arguments_;
  ImageReading reading_;
  std::string output_;
  std::optional<int64_t> width_;  // of the output, where it is known
  std::vector<std::string> known_;
  bool several_ = false;
};

// The report of the command line, from predictions that have been averaged.
Status write_report(const RunnableModel& model, const PictureData& data, const Predictions& predictions,
                    std::span<const double> thresholds, const PictureEvaluation& arguments) {
  HeldOut held_out{*data.rows, {}, {}};
  for (int64_t i = 0; i < predictions.rows; ++i) held_out.numbers.push_back(i);
  held_out.predictions =
      Tensor::from<float>({predictions.rows, predictions.width}, std::span<const float>(predictions.values));
  std::vector<std::string> classes = data.classes;
  while (static_cast<int64_t>(classes.size()) < predictions.width) classes.push_back(fmt::to_string(classes.size()));
  const double middle = are_probabilities(predictions) ? 0.5 : 0;
  const bool several = data.labels == ImageLabels::kSeveral;
  if (several && thresholds.empty()) thresholds = std::span(&middle, 1);
  const Examination examination = TRY(examine_pictures(held_out, *data.rows, classes, several, thresholds));
  return write_image_report(arguments.pictures.report, model.path, examination, held_out, *data.rows, classes);
}

}  // namespace

Status evaluate_pictures(const RunnableModel& model, const PictureEvaluation& arguments, Evaluation& evaluation) {
  const PictureInput input = TRY(picture_input(model.path, model.inputs, model.metadata, model.normalization,
                                               arguments.pictures.image));
  if (!input.note.empty()) evaluation.notes += input.note + "\n";
  ImageReading reading;
  reading.options = input.options;
  reading.strict = arguments.pictures.strict;
  reading.cache_bytes = kCacheBytes;
  reading.threads = arguments.threads;
  const PictureData data = TRY(PictureReader(model, arguments, reading).read());
  evaluation.notes += left_out_text(*data.rows);
  evaluation.left_out = static_cast<int64_t>(data.rows->left_out.size());
  evaluation.names = data.classes;
  MeasureOptions options = arguments.measure;
  if (arguments.pictures.flip_views) {
    options.second_view = [layout = *input.options.layout](const BatchColumns& batch) {
      return BatchColumns{mirrored_pictures(batch[0], layout)};
    };
  }
  Measured measured = TRY(measure_rows(model, *data.rows, options));
  evaluation.output = measured.predictions.output;
  const TargetColumn& target = data.rows->target;
  std::vector<double> thresholds;
  switch (data.labels) {
    case ImageLabels::kOne:
      TRY(report_classes(measured, target, options.top, evaluation));
      break;
    case ImageLabels::kShares:
      TRY(check_shares(target, 1));
      TRY(report_shares(measured, target, options.top, evaluation));
      break;
    case ImageLabels::kSeveral:
      thresholds = arguments.thresholds.empty() ? stored_thresholds(model.metadata) : arguments.thresholds;
      TRY(report_labels(measured, target, thresholds, evaluation));
      break;
  }
  if (arguments.pictures.report.empty()) return {};
  TRY(write_report(model, data, measured.predictions, thresholds, arguments));
  evaluation.notes += fmt::format("report in {}\n", arguments.pictures.report);
  return {};
}

}  // namespace gannet
