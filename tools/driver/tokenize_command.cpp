#include "tools/driver/tokenize_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "frontend/import.h"
#include "runtime/core/artifact.h"
#include "runtime/data/npy.h"
#include "runtime/data/text_lists.h"
#include "runtime/data/tokenizer/tokenizer.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/label_metadata.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/run_artifact.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/text_rows.h"

namespace gannet {
namespace {

struct TokenizeArguments {
  TextArguments text;  // of it the tokenizer
  std::vector<std::string> texts, pairs;
  std::string file;
  bool jsonl = false, plain = false, tokens = false, pads = false, timed = false;
  int64_t max_length = 0;
  int threads = 0;
  std::string task = "text-classification";  // of the table that becomes arrays,
  std::string output, model;                 // the file for them, and the model that they are for
};

// Texts, and as many second texts where they are pairs.
struct Texts {
  std::vector<std::string> firsts, seconds;
};

// "text" or {"text": ..., "pair": ...}.
Status add_json_line(const std::string& line, Texts& texts) {
  nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  const nlohmann::json* first = json.is_object() && json.contains("text") ? &json["text"] : &json;
  if (!first->is_string()) return invalid_input("is neither a JSON string nor an object with a \"text\"");
  texts.firsts.push_back(first->get<std::string>());
  if (!json.is_object() || !json.contains("pair")) return {};
  if (!json["pair"].is_string()) return invalid_input("\"pair\" is not a string");
  texts.seconds.push_back(json["pair"].get<std::string>());
  return {};
}

Result<Texts> read_texts(const TokenizeArguments& arguments) {
  Texts texts{arguments.texts, arguments.pairs};
  if (!arguments.file.empty()) {
    std::vector<std::string> lines = TRY(read_lines(arguments.file, Tokenizer::kMaxFileBytes));
    for (size_t i = 0; i < lines.size() && arguments.jsonl; ++i) {
      Status status = add_json_line(lines[i], texts);
      if (!status.ok())
        return with_prefix(fmt::format("{}: line {} ", arguments.file, i + 1), status.error());
    }
    if (!arguments.jsonl) texts.firsts.insert(texts.firsts.end(), lines.begin(), lines.end());
  }
  if (texts.firsts.empty()) return invalid_input("no text: give --text or a file with one a line");
  if (!texts.seconds.empty() && texts.seconds.size() != texts.firsts.size()) {
    return invalid_input(
        fmt::format("{} texts, but {} second ones for pairs", texts.firsts.size(), texts.seconds.size()));
  }
  return texts;
}

void print(const Tokenizer& tokenizer, const Encoding& encoding, bool pairs,
           const TokenizeArguments& arguments) {
  nlohmann::ordered_json json;
  json["ids"] = encoding.ids;
  if (pairs) json["type_ids"] = encoding.type_ids;
  if (arguments.pads) json["attention_mask"] = encoding.attention_mask;
  if (arguments.tokens) {
    json["tokens"] = nlohmann::json::array();
    for (int32_t id : encoding.ids) json["tokens"].push_back(tokenizer.token_of(id));
  }
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Status time_passes(const std::function<Result<std::vector<Encoding>>()>& encode, const Texts& texts) {
  constexpr int kPasses = 3;
  double fastest = std::numeric_limits<double>::infinity();
  int64_t tokens = 0;
  size_t bytes = 0;
  for (const std::string& text : texts.firsts) bytes += text.size();
  for (const std::string& text : texts.seconds) bytes += text.size();
  for (int pass = 0; pass < kPasses; ++pass) {
    auto start = std::chrono::steady_clock::now();
    std::vector<Encoding> encodings = TRY(encode());
    std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
    fastest = std::min(fastest, duration.count());
    tokens = 0;
    for (const Encoding& encoding : encodings) tokens += encoding.size();
  }
  fmt::print("{{\"texts\": {}, \"tokens\": {}, \"bytes\": {}, \"seconds\": {:.6f}}}\n", texts.firsts.size(),
             tokens, bytes, fastest);
  return {};
}

struct NamedInputs {
  std::vector<InputSpec> specs;
  Metadata metadata;
  std::optional<int64_t> positions = {};  // most tokens of a text, where a model says so
};

Result<NamedInputs> inputs_of_model(const std::string& path) {
  if (is_artifact(path)) {
    const std::shared_ptr<const Program> program = TRY(read_artifact(path));
    return NamedInputs{input_specs(*program), program->metadata};
  }
  const ImportedModel model = TRY(import_model(path));
  return NamedInputs{input_specs(*model.graph), model.info.metadata, position_count(*model.graph)};
}

// A table's tokens, all padded to the longest text, and its labels, as arrays with the names of the model's inputs.
Status write_arrays(const TokenizeArguments& arguments) {
  TRY(check_outputs({arguments.output}, {arguments.file, arguments.model, arguments.text.vocabulary, arguments.text.tokenizer}));
  if (arguments.file.empty() || arguments.model.empty()) return invalid_input("--output needs a table and --model");
  TextArguments text = arguments.text;
  text.max_length = arguments.max_length;
  const NamedInputs model = TRY(inputs_of_model(arguments.model));
  Result<TextInputs> inputs = find_text_inputs(model.specs, text);
  if (!inputs.ok()) return with_prefix(arguments.model + ": ", inputs.error());
  if (!inputs->positions) inputs->positions = model.positions;
  const Tokenizer tokenizer = TRY(load_tokenizer(text, *inputs));
  const int64_t longest = TRY(longest_text(text, *inputs, tokenizer));
  const TextTaskKind kind = find_text_task(arguments.task)->kind;
  const TextTable table = TRY(read_text_table(arguments.file, text, kind, true, Limits().file_bytes));
  const std::vector<std::string> names = TRY(find_label_names(table, text, kind, {label_names_of(model.metadata)}));
  TextReading reading = {tokenizer, *inputs, layout_of(*inputs, tokenizer, longest), Padding::kBatch, longest, arguments.threads};
  const std::unique_ptr<LabelledRows> rows = TRY(make_text_rows(table, TRY(label_target(table, text, kind, names)), reading));
  const std::unique_ptr<BatchSource> batches = TRY(rows->batches(std::nullopt, {.batch_size = rows->rows()}));
  batches->start_in_order();
  const BatchColumns columns = TRY(batches->read(0));
  NamedTensors arrays;
  for (size_t i = 0; i < model.specs.size(); ++i) arrays.emplace_back(model.specs[i].name, columns[i]);
  arrays.emplace_back("labels", columns.back());
  TRY(write_npz(arguments.output, arrays));
  fmt::print("{} rows of {} tokens\n", rows->rows(), columns[0].extent(1));
  for (size_t i = 0; i < names.size(); ++i) fmt::print("label {}: {}\n", i, printable(names[i]));
  fmt::print("wrote {}\n", arguments.output);
  return {};
}

Status tokenize(const TokenizeArguments& arguments) {
  if (!arguments.output.empty()) return write_arrays(arguments);
  Tokenizer tokenizer = TRY(read_tokenizer(arguments.text));
  Texts texts = TRY(read_texts(arguments));
  EncodeOptions options = tokenizer.defaults();
  options.add_special = !arguments.plain;
  if (arguments.max_length > 0) options.max_length = arguments.max_length;
  std::vector<std::string_view> firsts(texts.firsts.begin(), texts.firsts.end());
  std::vector<std::string_view> seconds(texts.seconds.begin(), texts.seconds.end());
  Threads threads(arguments.threads);
  bool pairs = !seconds.empty();
  auto encode = [&] {
    return pairs ? tokenizer.encode_pairs(firsts, seconds, options, threads)
                 : tokenizer.encode_all(firsts, options, threads);
  };
  if (arguments.timed) return time_passes(encode, texts);
  std::vector<Encoding> encodings = TRY(encode());
  if (arguments.pads) pad(encodings, tokenizer.padding());
  for (const Encoding& encoding : encodings) print(tokenizer, encoding, pairs, arguments);
  return {};
}

void add_array_flags(CLI::App& command, TokenizeArguments& arguments) {
  constexpr const char* kGroup = "Arrays to train on";
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  CLI::Option* output = command.add_option("-o,--output", arguments.output, "write the tokens and labels of the table in FILE as arrays")
                            ->type_name("FILE.npz");
  command.add_option("--model", arguments.model, "the ONNX or compiled file whose inputs they are named for")->type_name("MODEL");
  std::vector<std::string> tasks;
  for (const NamedTextTask& task : kTextTasks) tasks.emplace_back(task.name);
  command.add_option("--task", arguments.task, "what the labels are")->capture_default_str()->check(CLI::IsMember(tasks));
  add_column_flags(command, arguments.text);
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) != before.end()) continue;
    option->group(kGroup);
    if (option != output) option->needs(output);
  }
}

}  // namespace

CLI::App* add_tokenize_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command = add_command(app, "tokenize", "Print the token ids of texts, one JSON object a line.",
                                  "gannet tokenize --vocab vocab.txt --text \"a fine film\" --tokens", run,
                                  [arguments] { return tokenize(*arguments); });
  CLI::Option* vocabulary =
      command->add_option("--vocab", arguments->text.vocabulary, "a vocab.txt of BERT")->type_name("FILE");
  command->add_option("--tokenizer", arguments->text.tokenizer, "a tokenizer.json, or a vocab.txt of BERT")
      ->type_name("FILE")
      ->excludes(vocabulary);
  CLI::Option* cased =
      command->add_flag("--cased", arguments->text.cased, "upper case counts [found from the vocabulary]")
          ->needs(vocabulary);
  command->add_flag("--uncased", arguments->text.uncased, "all is lower case [found from the vocabulary]")
      ->needs(vocabulary)
      ->excludes(cased);
  command->add_option("FILE", arguments->file, "a file with one text a line; with --output a table (.tsv, .csv, .jsonl)");
  command->add_option("--text", arguments->texts, "a text")->type_name("TEXT")->allow_extra_args(false);
  command->add_option("--pair", arguments->pairs, "the second text of a pair, one for each --text")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_flag("--jsonl", arguments->jsonl,
                    "lines of FILE are JSON: a string, or an object with \"text\" and perhaps \"pair\"");
  command->add_flag("--tokens", arguments->tokens, "print the tokens too");
  command
      ->add_option("--max-length", arguments->max_length,
                   "cut texts to so many tokens [what the tokenizer says]")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  command->add_flag("--pad", arguments->pads, "make all equally long, and print the attention mask");
  command->add_flag("--plain", arguments->plain, "without special tokens");
  command->add_flag("--time", arguments->timed,
                    "print how long the fastest of three passes took instead of the ids");
  add_threads(*command, arguments->threads);
  add_array_flags(*command, *arguments);
  return command;
}

}  // namespace gannet
