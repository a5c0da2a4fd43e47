#include "tools/deploy/picture_input.h"
#include "tools/driver/image_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "ir/op.h"
#include "runtime/core/crc32c.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/image_views.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/image_rows.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/image_report.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/model_output.h"
#include "tools/driver/model_pictures.h"
#include "tools/driver/synthetic_pictures.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

bool is_archive(const std::string& path) { return path.ends_with(".npz"); }

std::optional<ChosenOutput> trained_output(const Graph& model, const TuneArguments& arguments) {
  return choose_output(output_specs(model), arguments.trained_output);
}

// Several labels, and classes that exclude each other.
std::string softmax_note(const Graph& model, const ChosenOutput& chosen) {
  for (const GraphOutput& output : model.outputs) {
    const Node* node = output.value->producer();
    if (output.name == chosen.name && node && node->op().name == "Softmax")
      return fmt::format("'{}' is a Softmax, whose classes share 1: a model of several labels ends in scores or in Sigmoid\n",
                         printable(chosen.name));
  }
  return "";
}

class ImageTask final : public TuneTask {
 public:
  RowKind rows_are() const override { return RowKind::kPictures; }
  Status settle(const ImportedModel& model, TuneArguments& arguments) override {
    PictureInput input = TRY(picture_input(arguments.model.path, input_specs(*model.graph), model.info.metadata,
                                           normalization_of(*model.graph), arguments.pictures.image));
    if (!input.note.empty()) fmt::print("{}\n", input.note);
    reading_.options = std::move(input.options);
    reading_.augmentation = TRY(Augmentation::parse(arguments.pictures.augment));
    reading_.balanced = arguments.pictures.balanced;
    reading_.strict = arguments.pictures.strict;
    reading_.threads = arguments.threads;
    reading_.cache_bytes = TRY(parse_bytes(arguments.pictures.cache, "--image-cache"));
    if (!arguments.max_memory.empty() && !arguments.given.contains("--image-cache"))
      reading_.cache_bytes = std::min(reading_.cache_bytes, TRY(parse_bytes(arguments.max_memory, "--max-memory")) / 4);
    known_ = label_names_of(model.info.metadata);
    TRY(is_archive(arguments.train) ? read_arrays(*model.graph, arguments)
                                    : read_lists(*model.graph, arguments));
    TRY(settle_head(*model.graph, arguments));
    if (arguments.weak.used()) TRY(read_unlabelled(*model.graph, arguments));
    if (arguments.synthetic.used()) TRY(load_generators(arguments));
    settle_run(arguments);
    if (arguments.best_by.empty()) arguments.best_by = labels_ == ImageLabels::kSeveral ? "map" : "accuracy";
    return {};
  }

  Result<std::unique_ptr<LabelledRows>> training_rows(const Graph& model,
                                                      const TuneArguments& arguments) override {
    reading_.options.dtype = model.inputs()[0]->type.dtype;
    std::unique_ptr<PictureRows> rows = TRY(open(train_, train_arrays_));
    reading_.cache_bytes = std::max<int64_t>(reading_.cache_bytes - rows->images.store->kept_bytes(), 0);
    if (arguments.synthetic.labelled()) {
      add_synthetic(*rows, static_cast<int64_t>(classes_.size()),
                    [generators = *generators_](int64_t files) { return generators.rows_beside(files); });
    }
    return std::unique_ptr<LabelledRows>(std::move(rows));
  }

  Result<std::unique_ptr<LabelledRows>> held_out_rows(const Graph&, const TuneArguments&) override {
    ImageReading reading = reading_;
    reading.balanced = false;
    std::swap(reading, reading_);
    Result<std::unique_ptr<PictureRows>> rows = open(eval_, eval_arrays_);
    std::swap(reading, reading_);
    if (!rows.ok()) return rows.error();
    reading_.cache_bytes = std::max<int64_t>(reading_.cache_bytes - (*rows)->images.store->kept_bytes(), 0);
    return std::unique_ptr<LabelledRows>(*std::move(rows));
  }

  Result<UnlabelledRows> unlabelled_rows(const LabelledRows& labelled, int64_t count,
                                         const TuneArguments& arguments) override;

  Metadata metadata() const override {
    return classifier_metadata(classes_, labels_ == ImageLabels::kSeveral, reading_.options);
  }

  Result<std::map<std::string, std::string>> identity(const TuneArguments& arguments) const override {
    std::map<std::string, std::string> all;
    all["--task"] = kImageTask;
    all["data"] = TRY(identity_of(arguments.train, train_));
    if (!arguments.eval.empty()) all["held-out data"] = TRY(identity_of(arguments.eval, eval_));
    if (arguments.weak.used()) {
      const std::string& path = arguments.weak.unlabelled;
      all["unlabeled data"] = path.empty() ? "none" : TRY(identity_of(path, unlabelled_));
      all["--weak-augment and --strong-augment"] = weak_changes_.text() + " " + strong_changes_.text();
    }
    all.merge(TRY(deciding_synthetic_flags(arguments.synthetic, synthetic_)));
    const ImageOptions& image = reading_.options;
    all["--augment"] = reading_.augmentation.text();
    all["--balanced-sampling"] = reading_.balanced ? "yes" : "no";
    all["--tta"] = arguments.pictures.flip_views ? "yes" : "no";
    all["size, --resize, --shortest-edge"] =
        fmt::format("{}x{} {} {}", image.height, image.width,
                    image.fit == ImageFit::kCenterCrop ? "crop" : "stretch", image.shortest_edge);
    all["--scale, --mean, --std, --bgr"] =
        fmt::format("{} {} {} {}", image.scale.value_or(-1), fmt::join(image.mean, ","),
                    fmt::join(image.std, ","), image.order == ChannelOrder::kBgr);
    return all;
  }

  std::function<BatchColumns(const BatchColumns&)> second_view(
      const TuneArguments& arguments) const override {
    if (!arguments.pictures.flip_views) return {};
    return [layout = *reading_.options.layout](const BatchColumns& batch) {
      BatchColumns view = batch;
      view[0] = mirrored_pictures(batch[0], layout);
      return view;
    };
  }

  bool examines(const TuneArguments& arguments) const override {
    return !arguments.pictures.report.empty() || labels_ == ImageLabels::kSeveral;
  }
  Result<Metadata> examine(const HeldOut& held_out, const TuneArguments& arguments) override;

 private:
  Status read_lists(const Graph& model, const TuneArguments& arguments);
  Status read_arrays(const Graph& model, const TuneArguments& arguments);
  Status settle_head(const Graph& model, TuneArguments& arguments);
  void settle_run(TuneArguments& arguments) const;
  Status read_unlabelled(const Graph& model, const TuneArguments& arguments);
  Status load_generators(const TuneArguments& arguments);

  Result<std::unique_ptr<PictureRows>> open(const ImageList& list, const PictureArrays& arrays) const {
    auto rows = arrays.pixels.defined()
                    ? open_arrays(arrays, list.path, static_cast<int64_t>(classes_.size()), reading_)
                    : open_pictures(list, reading_);
    if (rows.ok()) fmt::print("{}", left_out_text(**rows));
    return rows;
  }

  // Of a folder: names and sizes of its pictures. Of a table also what it says of them.
  static Result<std::string> identity_of(const std::string& path, const ImageList& list) {
    if (is_archive(path)) return file_identity(path);
    std::string text;
    for (const std::string& file : list.files) {
      std::error_code error;
      const auto size = std::filesystem::file_size(file, error);
      text += fmt::format("{} {}\n", std::filesystem::path(file).lexically_relative(path).string(),
                          error ? 0 : size);
    }
    text.append(static_cast<const char*>(list.target.raw()), static_cast<size_t>(list.target.bytes()));
    const uint32_t checksum = crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return fmt::format("{} pictures, {:08x}", list.files.size(), checksum);
  }

  ImageReading reading_;
  std::vector<std::string> known_, classes_;
  ImageLabels labels_ = ImageLabels::kOne;
  ImageList train_, eval_;
  PictureArrays train_arrays_, eval_arrays_;
  ImageList unlabelled_;
  PictureArrays unlabelled_arrays_;
  Augmentation weak_changes_, strong_changes_;
  std::vector<SyntheticSpec> synthetic_;
  std::optional<SyntheticGenerators> generators_;
};

// Names that the model brings count where the data keep to them: then a class keeps its number.
Status ImageTask::read_lists(const Graph& model, const TuneArguments& arguments) {
  ImageListOptions options;
  options.several = arguments.pictures.several_labels;
  options.label_column = arguments.target;
  train_ = TRY(list_images(arguments.train, options));
  const auto output = trained_output(model, arguments);
  const bool fits = output && output->classes == static_cast<int64_t>(known_.size()) &&
                    arguments.new_head == 0 && arguments.added_head == 0;
  const bool keeps = fits && std::ranges::all_of(train_.classes, [&](const std::string& name) {
                       return std::ranges::find(known_, name) != known_.end();
                     });
  options.classes = keeps ? known_ : train_.classes;
  if (keeps) train_ = TRY(list_images(arguments.train, options));
  classes_ = options.classes;
  labels_ = train_.labels;
  if (arguments.eval.empty()) return {};
  eval_ = TRY(list_images(arguments.eval, options));
  if (eval_.labels == labels_) return {};
  return invalid_input(
      fmt::format("{} and {} have labels of different kinds", arguments.train, arguments.eval));
}

constexpr int64_t kFewClasses = 100;  // that a few rows may name

Status ImageTask::read_arrays(const Graph& model, const TuneArguments& arguments) {
  const Limits limits = TRY(limits_of(arguments.model));
  const std::string& input = model.inputs()[0]->name;
  train_.path = arguments.train;
  train_arrays_ = TRY(read_picture_arrays(arguments.train, input, arguments.target, limits));
  const Tensor& target = train_arrays_.target;
  int64_t classes = 0;
  if (target.rank() == 2 && is_float(target.dtype())) {
    labels_ = arguments.pictures.several_labels ? ImageLabels::kSeveral : ImageLabels::kShares;
    classes = target.extent(1);
  } else if (is_int(target.dtype()) && target.rank() == 1) {
    const std::vector<int64_t> labels = target.ints();
    const auto largest = std::ranges::max_element(labels);
    const auto output = trained_output(model, arguments);
    const int64_t given = std::max(arguments.new_head, arguments.added_head);
    const int64_t of_model = given == 0 && output && output->classes ? *output->classes : given;
    const int64_t most = std::max({kFewClasses, of_model, target.elements()});
    if (largest != labels.end() && *largest >= most)
      return invalid_input(fmt::format("{}: label {} in row {} of '{}' is more than {} rows can have taught", arguments.train, *largest,
                                       largest - labels.begin(), train_arrays_.target_name, labels.size()));
    if (largest != labels.end()) classes = std::max<int64_t>(*largest + 1, 0);
    if (of_model > classes && given == 0) classes = of_model;
  } else {
    return invalid_input(fmt::format("{}: labels are class numbers [rows] or numbers [rows, classes], not {}",
                                     arguments.train, type_string(target)));
  }
  if (static_cast<int64_t>(known_.size()) == classes) classes_ = known_;
  for (int64_t i = static_cast<int64_t>(classes_.size()); i < classes; ++i)
    classes_.push_back(fmt::to_string(i));
  if (arguments.eval.empty()) return {};
  eval_.path = arguments.eval;
  if (!is_archive(arguments.eval))
    return invalid_input(arguments.eval + ": held-out data of the form of --train, a .npz archive");
  eval_arrays_ = TRY(read_picture_arrays(arguments.eval, input, arguments.target, limits));
  return {};
}

Status ImageTask::settle_head(const Graph& model, TuneArguments& arguments) {
  const auto output = trained_output(model, arguments);
  if (!output)
    return invalid_input(
        fmt::format("{}: has no floating point output '{}'", arguments.model.path, arguments.trained_output));
  if (labels_ == ImageLabels::kSeveral) fmt::print("{}", softmax_note(model, *output));
  const int64_t given = std::max(arguments.new_head, arguments.added_head);
  // Arrays need not hold a picture of every class.
  while (is_archive(arguments.train) && static_cast<int64_t>(classes_.size()) < given)
    classes_.push_back(fmt::to_string(classes_.size()));
  const auto classes = static_cast<int64_t>(classes_.size());
  if (given > 0 && given != classes)
    return invalid_input(
        fmt::format("{}: {} classes, the head of the flags has {}", arguments.train, classes, given));
  if (classes < 2 && labels_ == ImageLabels::kOne)
    return invalid_input(fmt::format("{}: all pictures are of the class '{}'; a classifier needs two", arguments.train,
                                     classes_.empty() ? "" : classes_[0]));
  if (given == 0 && output->classes && *output->classes != classes) arguments.new_head = classes;
  return {};
}

// Behind a new head stands what other pictures have taught: it is to be kept, most of all in the first layers. The rates
// were found on halves of 200 photographs.
void ImageTask::settle_run(TuneArguments& arguments) const {
  const bool several = labels_ == ImageLabels::kSeveral;
  const bool shares = labels_ == ImageLabels::kShares || !reading_.augmentation.mixing().empty();
  if (several && arguments.loss.empty()) arguments.loss = "binary-cross-entropy";
  if (shares && arguments.loss.empty()) arguments.loss = "cross-entropy";
  TuneDefaults defaults;
  if (arguments.new_head > 0 || arguments.added_head > 0) {
    constexpr int64_t kFewRows = 1000;
    const int64_t rows = train_arrays_.pixels.defined() ? train_arrays_.pixels.extent(0)
                                                        : static_cast<int64_t>(train_.files.size());
    if (rows < kFewRows) defaults.batch_size = 16;
    defaults.epochs = 20;
    defaults.depth_decay = 0.85;
    if (!several && (arguments.loss.empty() || arguments.loss == "cross-entropy")) defaults.label_smoothing = 0.1;
    if (!arguments.given.contains("--schedule")) {
      defaults.schedule = "cosine";
      defaults.warmup = "10%";
    }
  }
  fill_in(arguments, defaults);
}

Status ImageTask::read_unlabelled(const Graph& model, const TuneArguments& arguments) {
  const WeakTuneArguments& weak = arguments.weak;
  const ImageOptions& image = reading_.options;
  const int64_t side = std::min(image.height, image.width);
  std::string changes = weak.weak_changes;
  if (changes.empty() && !reading_.augmentation.empty()) changes = arguments.pictures.augment;
  if (changes.empty()) changes = fmt::format("crop={}", std::max<int64_t>(side / 8, 1));
  weak_changes_ = TRY(Augmentation::parse(changes));
  const std::string before = weak_changes_.empty() ? "" : changes + ",";
  strong_changes_ = TRY(Augmentation::parse(weak.strong_changes.empty()
                                                ? fmt::format("{}randaugment,cutout={}", before, side / 2)
                                                : weak.strong_changes));
  for (const Augmentation* line : {&reading_.augmentation, &weak_changes_, &strong_changes_}) {
    if (!line->mixing().empty())
      return invalid_input(
          "mixup and cutmix do not go with --unlabeled: a row without a label has none to mix");
  }
  const std::string& path = weak.unlabelled;
  unlabelled_.path = path;
  if (path.empty()) return {};
  if (is_archive(path)) {
    const Limits limits = TRY(limits_of(arguments.model));
    unlabelled_arrays_ = TRY(read_unlabelled_arrays(path, model.inputs()[0]->name, arguments.target,
                                                    static_cast<int64_t>(classes_.size()), limits));
    return {};
  }
  unlabelled_ =
      TRY(list_unlabelled_images(path, classes_, is_archive(arguments.train) ? "" : arguments.target));
  return {};
}

Status ImageTask::load_generators(const TuneArguments& arguments) {
  const SyntheticArguments& synthetic = arguments.synthetic;
  if (synthetic.labelled() && labels_ == ImageLabels::kSeveral)
    return invalid_input(
        "--synthetic: a picture of a class has one label, and --multi-label data any number");
  const bool files = synthetic.labelled() || !arguments.weak.unlabelled.empty();
  synthetic_ = TRY(synthetic_specs(synthetic, classes_, files));
  RunnableOptions model;
  model.model.limits = arguments.model.limits;
  model.backend = arguments.backend;
  model.compile = arguments.compile;
  model.threads = arguments.threads;
  const ImageOptions& image = reading_.options;
  generators_ = TRY(SyntheticGenerators::load(
      synthetic_, model, synthetic.generator,
      {classes_, synthetic.labelled(), image.channels, image.height, image.width, arguments.seed}));
  for (const std::string& note : generators_->notes()) fmt::print("{}\n", printable(note));
  return {};
}

// Without files of --unlabeled all rows are synthetic, as many in a pass as go with the labelled ones.
Result<UnlabelledRows> ImageTask::unlabelled_rows(const LabelledRows& labelled, int64_t count,
                                                  const TuneArguments& arguments) {
  auto own = std::make_shared<ImageRows>(dynamic_cast<const PictureRows&>(labelled).images);
  auto others = std::make_shared<ImageRows>();
  others->store = std::make_shared<ImageStore>(0, ImageStore::Reader(), 0);
  UnlabelledRows rows;
  if (!arguments.weak.unlabelled.empty()) {
    ImageReading reading = reading_;
    reading.balanced = false;
    reading.augmentation = strong_changes_.resizes() ? strong_changes_ : weak_changes_;
    std::swap(reading, reading_);
    Result<std::unique_ptr<PictureRows>> opened = open(unlabelled_, unlabelled_arrays_);
    std::swap(reading, reading_);
    if (!opened.ok()) return opened.error();
    *others = (*opened)->images;
    rows.hidden = (*opened)->class_of_row;
  }
  if (arguments.synthetic.labelled())
    own->synthetic = rows.synthetic_labelled = generators_->rows_beside(count);
  if (arguments.synthetic.unlabelled())
    others->synthetic = rows.synthetic =
        generators_->rows_beside(others->files(), count * arguments.weak.ratio);
  ImageViewOptions options;
  options.seed = arguments.seed;
  options.image = reading_.options;
  options.labelled = reading_.augmentation;
  options.weak = weak_changes_;
  options.strong = strong_changes_;
  options.threads = arguments.threads;
  rows.views = TRY(make_image_views(std::move(own), std::move(others), std::move(options)));
  return rows;
}

Result<Metadata> ImageTask::examine(const HeldOut& held_out, const TuneArguments& arguments) {
  const auto& rows = dynamic_cast<const PictureRows&>(held_out.rows);
  const Examination examination =
      TRY(examine_pictures(held_out, rows, classes_, labels_ == ImageLabels::kSeveral));
  Metadata entries;
  if (labels_ == ImageLabels::kSeveral) {
    fmt::print("thresholds for the best F1 of each class: micro F1 {:.4f}, macro F1 {:.4f}\n",
               examination.micro_f1, examination.macro_f1);
    entries.emplace_back("thresholds", fmt::format("{:.9g}", fmt::join(examination.thresholds, ",")));
  }
  if (arguments.pictures.report.empty()) return entries;
  TRY(write_image_report(arguments.pictures.report, arguments.model.path, examination, held_out, rows,
                         classes_));
  fmt::print("report in {}\n", arguments.pictures.report);
  return entries;
}

}  // namespace

std::unique_ptr<TuneTask> make_image_task() { return std::make_unique<ImageTask>(); }

}  // namespace gannet
