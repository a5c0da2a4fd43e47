#include "tools/driver/text_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/training/checkpoint.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/model_output.h"
#include "tools/driver/text_rows.h"
#include "tools/driver/text_views.h"

namespace gannet {

namespace {

enum class HeadChange { kKeep, kReplace, kAdd };

// Features have three axes, or as many columns as the tables of embeddings; else the output is that of a
// head.
HeadChange head_change(const Graph& model, const ChosenOutput& output, int64_t wanted) {
  if (output.rank && *output.rank >= 3) return HeadChange::kAdd;
  if (!output.width || (output.rank && *output.rank < 2) || *output.width == wanted) return HeadChange::kKeep;
  return embedding_widths(model).contains(*output.width) ? HeadChange::kAdd : HeadChange::kReplace;
}

// Usual rates for encoders fall with their width: 3e-4 at 128, 1e-4 at 384, 5e-5 at 768.
double usual_rate(const Graph& model) {
  constexpr double kRate = 5e-5, kWidth = 768;
  const std::set<int64_t> widths = embedding_widths(model);
  if (widths.empty()) return kRate;
  return std::clamp(kRate * kWidth / static_cast<double>(*widths.rbegin()), 1e-5, 1e-3);
}

std::string problem_type(TextTaskKind kind) {
  switch (kind) {
    case TextTaskKind::kClassification:
      return "single_label_classification";
    case TextTaskKind::kRegression:
      return "regression";
    case TextTaskKind::kMultiLabel:
      break;
  }
  return "multi_label_classification";
}

std::string usual_loss(TextTaskKind kind) {
  switch (kind) {
    case TextTaskKind::kClassification:
      return "cross-entropy";
    case TextTaskKind::kRegression:
      return "mse";
    case TextTaskKind::kMultiLabel:
      break;
  }
  return "binary-cross-entropy";
}

class TextTask final : public TuneTask {
 public:
  explicit TextTask(const NamedTextTask& task) : task_(task) {}

  RowKind rows_are() const override { return RowKind::kTexts; }

  Status settle(const ImportedModel& model, TuneArguments& arguments) override {
    const Limits limits = TRY(limits_of(arguments.model));
    if (arguments.given.contains("--target")) return invalid_input("--target names an array; --label-column says which columns of a table are labels");
    TRY(settle_inputs(model, arguments));
    train_ = TRY(read_text_table(arguments.train, arguments.text, task_.kind, true, limits.file_bytes));
    if (!arguments.eval.empty())
      eval_ = TRY(read_text_table(arguments.eval, arguments.text, task_.kind, true, limits.file_bytes));
    TRY(settle_labels(model, arguments));
    if (arguments.weak.used()) TRY(read_unlabelled(arguments, limits.file_bytes));
    TuneDefaults defaults;
    defaults.epochs = 3;
    defaults.schedule = "linear";
    defaults.warmup = "10%";
    // Thin matrices take larger steps than whole ones.
    constexpr double kFasterLowRank = 10;
    defaults.rate = usual_rate(*model.graph) * (arguments.lora.empty() ? 1 : kFasterLowRank);
    defaults.weight_decay = 0.01;
    defaults.decay_vectors = false;
    defaults.clip_norm = 1;
    // The rate of another optimizer is its own.
    if (arguments.optimizer != "adamw" && arguments.optimizer != "adam") defaults.rate.reset();
    fill_in(arguments, defaults);
    if (arguments.loss.empty()) arguments.loss = usual_loss(task_.kind);
    return {};
  }

  Result<std::unique_ptr<LabelledRows>> training_rows(const Graph&, const TuneArguments& arguments) override {
    return rows_of_table(train_, arguments);
  }
  Result<std::unique_ptr<LabelledRows>> held_out_rows(const Graph&, const TuneArguments& arguments) override {
    return rows_of_table(*eval_, arguments);
  }
  Result<UnlabelledRows> unlabelled_rows(const LabelledRows&, int64_t,
                                         const TuneArguments& arguments) override {
    const TextViewOptions options = {arguments.seed, weak_changes_, strong_changes_};
    UnlabelledRows rows;
    rows.views = TRY(make_text_views(train_, *unlabelled_, reading_of(arguments), options));
    rows.hidden = known_labels(*unlabelled_, names_);
    return rows;
  }
  double head_dropout() const override { return 0.1; }
  // Numbers shift by what dropout does to variances behind it; classes do not.
  double transformer_dropout() const override { return task_.kind == TextTaskKind::kRegression ? 0 : 0.1; }

  Metadata metadata() const override {
    Metadata entries = {{"task", std::string(task_.name)}, {"problem_type", problem_type(task_.kind)}};
    if (!names_.empty()) entries.emplace_back("id2label", id_to_label_text(names_));
    entries.emplace_back("max_length", fmt::to_string(longest_));
    return entries;
  }

  Result<std::map<std::string, std::string>> identity(const TuneArguments& arguments) const override {
    const TextArguments& text = arguments.text;
    std::map<std::string, std::string> all = TRY(TuneTask::identity(arguments));
    all["--task"] = task_.name;
    if (arguments.weak.used()) {
      all["unlabeled data"] = TRY(file_identity(arguments.weak.unlabelled));
      all["--weak-augment and --strong-augment"] = weak_changes_.text() + " " + strong_changes_.text();
    }
    all["tokenizer"] = TRY(file_identity(text.tokenizer.empty() ? text.vocabulary : text.tokenizer));
    all["--cased and --uncased"] = fmt::format("{} {}", text.cased, text.uncased);
    all["--text-column, --pair-column and --label-column"] =
        fmt::format("{} {} {}", text.text_column, text.pair_column, fmt::join(text.label_columns, ","));
    all["--label-separator"] = text.label_separator;
    all["--ids, --mask, --type and --positions"] =
        fmt::format("{} {} {} {}", text.ids, text.mask, text.types, text.positions);
    all["--max-length"] = fmt::to_string(longest_);
    all["--padding and --pad-multiple"] = fmt::format("{} {}", arguments.padding, arguments.pad_multiple);
    return all;
  }

 private:
  // A column of labels is looked at where there is one.
  Status read_unlabelled(const TuneArguments& arguments, int64_t max_bytes) {
    const WeakTuneArguments& weak = arguments.weak;
    if (task_.kind != TextTaskKind::kClassification)
      return invalid_input(
          fmt::format("--unlabeled needs one class for each row, which {} does not have", task_.name));
    Result<TextTable> table = read_text_table(weak.unlabelled, arguments.text, task_.kind, true, max_bytes);
    if (!table.ok()) table = read_text_table(weak.unlabelled, arguments.text, task_.kind, false, max_bytes);
    if (!table.ok()) return table.error();
    unlabelled_ = *std::move(table);
    const bool masks = !mask_word(*tokenizer_).empty();
    const bool teacher = method_of(weak) == WeakMethod::kMeanTeacher;
    const std::string usual = teacher ? "delete=0.1,swap=0.1" : "none";
    weak_changes_ = TRY(WordNoise::parse(weak.weak_changes.empty() ? usual : weak.weak_changes));
    const std::string strong = masks ? "delete=0.1,swap=0.1,mask=0.15" : "delete=0.2,swap=0.1";
    strong_changes_ = TRY(WordNoise::parse(weak.strong_changes.empty() ? strong : weak.strong_changes));
    return {};
  }

  Status settle_inputs(const ImportedModel& model, const TuneArguments& arguments) {
    Result<TextInputs> inputs = find_text_inputs(input_specs(*model.graph), arguments.text);
    if (!inputs.ok()) return with_prefix(arguments.model.path + ": ", inputs.error());
    inputs_ = *std::move(inputs);
    if (!inputs_.positions) inputs_.positions = position_count(*model.graph);
    tokenizer_.emplace(TRY(load_tokenizer(arguments.text, inputs_)));
    longest_ = TRY(longest_text(arguments.text, inputs_, *tokenizer_));
    return {};
  }

  Status settle_labels(const ImportedModel& model, TuneArguments& arguments) {
    const auto output = choose_output(output_specs(*model.graph), arguments.trained_output);
    if (!output) {
      return invalid_input(fmt::format("{}: the model has no floating point output '{}'",
                                       arguments.model.path, arguments.trained_output));
    }
    KnownLabels known;
    known.names = label_names_of(model.info.metadata);
    const int64_t given = std::max(arguments.new_head, arguments.added_head);
    if (given > 0) known.classes = given;
    names_ = TRY(find_label_names(train_, arguments.text, task_.kind, known));
    const int64_t wanted = names_.empty() ? 1 : static_cast<int64_t>(names_.size());
    if (given > 0) {
      if (given == wanted) return {};
      return invalid_input(fmt::format("{}: the data have {} labels, the head of the flags has {}",
                                       arguments.train, wanted, given));
    }
    const HeadChange change = head_change(*model.graph, *output, wanted);
    if (change == HeadChange::kReplace) arguments.new_head = wanted;
    if (change != HeadChange::kAdd) return {};
    arguments.added_head = wanted;
    if (arguments.features.empty()) arguments.features = output->name;
    for (size_t i = 0; i < inputs_.inputs.size(); ++i) {
      if (inputs_.inputs[i].role != TokenRole::kMask) continue;
      arguments.pooling_mask = model.graph->inputs()[i]->name;
      // Not every encoder was trained to sum up in its first token; the mean says as much for those that
      // were.
      if (!arguments.given.contains("--pooling")) arguments.pooling = "mean";
    }
    return {};
  }

  Result<std::unique_ptr<LabelledRows>> rows_of_table(const TextTable& table,
                                                      const TuneArguments& arguments) const {
    Tensor target = TRY(label_target(table, arguments.text, task_.kind, names_));
    return make_text_rows(table, std::move(target), reading_of(arguments));
  }

  TextReading reading_of(const TuneArguments& arguments) const {
    TextReading reading = {*tokenizer_, inputs_, layout_of(inputs_, *tokenizer_, longest_)};
    reading.layout.multiple = arguments.pad_multiple;
    reading.longest = longest_;
    reading.threads = arguments.threads;
    if (arguments.padding == "batch") reading.padding = Padding::kBatch;
    if (arguments.padding == "fixed") reading.padding = Padding::kFixed;
    return reading;
  }

  const NamedTextTask& task_;
  TextInputs inputs_;
  std::optional<Tokenizer> tokenizer_;
  int64_t longest_ = 0;
  TextTable train_;
  std::optional<TextTable> eval_, unlabelled_;
  WordNoise weak_changes_, strong_changes_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<TuneTask> make_text_task(const NamedTextTask& task) {
  return std::make_unique<TextTask>(task);
}

}  // namespace gannet
