#include "tools/driver/run_texts.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/data/text_lists.h"
#include "runtime/data/utf8.h"
#include "tools/driver/predictions.h"
#include "tools/driver/text_model.h"

namespace gannet {

namespace {

constexpr int64_t kRowsAtOnce = 32;
constexpr size_t kChunk = 64 * kRowsAtOnce;  // texts that are sorted by length together

struct Texts {
  std::string source;
  std::vector<std::string> first, second;  // second: empty or as many
};

Result<Texts> texts_of(const RunTextArguments& arguments, int64_t max_bytes) {
  Texts texts;
  texts.first = arguments.texts;
  texts.source = "--text";
  if (!arguments.file.empty()) {
    texts.source = arguments.file;
    const auto format = table_format_of(arguments.file);
    if (format && !arguments.file.ends_with(".txt")) {
      TextTable table = TRY(
          read_text_table(arguments.file, arguments.text, TextTaskKind::kClassification, false, max_bytes));
      if (table.pair) texts.second = std::move(table.table.cells[*table.pair]);
      texts.first = std::move(table.table.cells[table.text]);
    } else {
      texts.first = TRY(read_lines(arguments.file, max_bytes));
      for (size_t i = 0; i < texts.first.size(); ++i) {
        if (find_invalid_utf8(texts.first[i]))
          return invalid_input(fmt::format("{}: line {}: this is not UTF-8", arguments.file, i + 1));
      }
    }
    if (texts.first.empty()) return invalid_input(arguments.file + ": it holds no texts");
  }
  if (!arguments.pair.empty()) texts.second.assign(texts.first.size(), arguments.pair);
  return texts;
}

// Predictions for texts [begin, end) in their order, computed in batches of like length.
Result<Predictions> predict_texts(const TextModel& model, const Texts& texts, size_t begin, size_t end,
                                  int threads) {
  const std::span<const std::string> first(texts.first.data() + begin, end - begin);
  std::span<const std::string> second;
  if (!texts.second.empty()) second = std::span(texts.second.data() + begin, end - begin);
  Result<std::shared_ptr<const TokenRows>> read =
      tokenize(model.tokenizer, first, second, model.inputs, model.longest, threads);
  if (!read.ok()) return with_prefix(texts.source + ": ", read.error());
  const TokenRows& tokens = **read;
  std::vector<int64_t> order(first.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](int64_t row) { return tokens.length(row); });
  const int64_t at_once = model.model.fixed_rows.value_or(kRowsAtOnce);
  Predictions sorted;
  for (size_t at = 0; at < order.size(); at += static_cast<size_t>(at_once)) {
    const std::span<const int64_t> rows(order.data() + at,
                                        std::min(static_cast<size_t>(at_once), order.size() - at));
    const int64_t length = model.inputs.fixed_length.value_or(tokens.length(rows[0]));
    TRY(predict(model.model, token_columns(tokens, rows, length, model.layout), "", sorted));
  }
  Predictions result = sorted;
  const auto width = static_cast<std::ptrdiff_t>(sorted.width);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto from = sorted.values.begin() + static_cast<std::ptrdiff_t>(i) * width;
    std::copy(from, from + width, result.values.begin() + order[i] * width);
  }
  return result;
}

struct Reader {
  TextTaskKind kind;
  std::vector<std::string> names;

  std::string name(size_t index) const { return index < names.size() ? names[index] : fmt::to_string(index); }
};

// A model without metadata that gives one number tells two classes apart only when it has names for them.
void settle(Reader& reader, Predictions& predictions) {
  if (reader.kind == TextTaskKind::kClassification && predictions.width == 1) {
    if (reader.names.size() == 2)
      widen_to_two_classes(predictions);
    else
      reader.kind = TextTaskKind::kRegression;
  }
  if (reader.kind == TextTaskKind::kClassification) make_distributions(predictions);
  if (reader.kind == TextTaskKind::kMultiLabel) make_probabilities(predictions);
}

std::vector<size_t> by_score(std::span<const float> scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return scores[i]; });
  return order;
}

std::string lines_of(const Reader& reader, std::span<const float> scores) {
  if (reader.kind == TextTaskKind::kRegression) return fmt::format("{:g}\n", scores[0]);
  size_t width = 0;
  for (size_t i = 0; i < scores.size(); ++i) width = std::max(width, printable(reader.name(i)).size());
  std::string text;
  for (const size_t i : by_score(scores))
    text += fmt::format("{:<{}}  {:.4f}\n", printable(reader.name(i)), width, scores[i]);
  return text;
}

// Digits that an f32 has.
double rounded(float value) {
  constexpr double kDigits = 1e6;
  return std::round(static_cast<double>(value) * kDigits) / kDigits;
}

std::string json_of(const Reader& reader, const std::string& text, std::span<const float> scores) {
  nlohmann::ordered_json json = {{"text", text}};
  if (reader.kind == TextTaskKind::kRegression) {
    json["value"] = rounded(scores[0]);
  } else {
    const std::vector<size_t> order = by_score(scores);
    if (reader.kind == TextTaskKind::kClassification) {
      json["label"] = reader.name(order[0]);
      json["score"] = rounded(scores[order[0]]);
    } else {
      json["labels"] = nlohmann::ordered_json::array();
      constexpr float kSays = 0.5F;
      for (const size_t i : order)
        if (scores[i] > kSays) json["labels"].push_back(reader.name(i));
    }
    for (size_t i = 0; i < scores.size(); ++i) json["scores"][reader.name(i)] = rounded(scores[i]);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Status print_all(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return io_error("standard output: the results cannot be written");
}

}  // namespace

void add_run_text_arguments(CLI::App& command, RunTextArguments& a) {
  CLI::Option* text = command.add_option("--text", a.texts, "classify a text (repeatable)");
  text->type_name("TEXT")->take_all()->expected(1)->allow_extra_args(false);
  command.add_option("--text-pair", a.pair, "the second text, of models that compare two")->type_name("TEXT");
  command
      .add_option("--text-file", a.file,
                  "classify each line of .txt, or each row of a table; prints JSON lines")
      ->type_name("FILE")
      ->excludes(text);
  add_tokenizer_flags(command, a.text);
  const std::vector<CLI::Option*> main = command.get_options(nullptr);
  std::vector<std::string> tasks;
  for (const NamedTextTask& task : kTextTasks) tasks.emplace_back(task.name);
  command.add_option("--task", a.task, "texts: what the outputs mean [by the model's metadata]")
      ->check(CLI::IsMember(tasks));
  command.add_option("--text-column", a.text.text_column, "--text-file: column by name or number")
      ->type_name("COLUMN");
  command.add_option("--pair-column", a.text.pair_column, "--text-file: the column of second texts")
      ->type_name("COLUMN");
  add_token_input_flags(command, a.text);
  for (CLI::Option* option : command.get_options(nullptr))
    if (std::ranges::find(main, option) == main.end()) option->group(kMoreFlags);
}

Status run_texts(const RunnableOptions& options, const RunTextArguments& arguments) {
  const Limits limits = TRY(limits_of(options.model));
  const Texts texts = TRY(texts_of(arguments, limits.file_bytes));
  RunnableModel runnable = TRY(load_runnable(options));
  Reader reader{TRY(text_task_kind(arguments.task, runnable.metadata)), label_names_of(runnable.metadata)};
  const TextModel model = TRY(make_text_model(std::move(runnable), arguments.text));
  for (size_t begin = 0; begin < texts.first.size(); begin += kChunk) {
    const size_t end = std::min(begin + kChunk, texts.first.size());
    Predictions predictions = TRY(predict_texts(model, texts, begin, end, options.threads));
    settle(reader, predictions);
    std::string out;
    for (size_t row = begin; row < end; ++row) {
      const auto width = static_cast<size_t>(predictions.width);
      const std::span<const float> scores(predictions.values.data() + (row - begin) * width, width);
      if (!arguments.file.empty()) {
        out += json_of(reader, texts.first[row], scores);
        continue;
      }
      if (texts.first.size() > 1)
        out += fmt::format("{}{}\n", row > 0 ? "\n" : "", printable(texts.first[row]));
      out += lines_of(reader, scores);
    }
    TRY(print_all(out));
  }
  return {};
}

}  // namespace gannet
