#include "tools/driver/tokenize_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/data/text_lists.h"
#include "runtime/data/tokenizer/tokenizer.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/text_tokens.h"

namespace gannet {
namespace {

struct TokenizeArguments {
  TextArguments text;  // of it the tokenizer
  std::vector<std::string> texts, pairs;
  std::string file;
  bool jsonl = false, plain = false, tokens = false, pads = false, timed = false;
  int64_t max_length = 0;
  int threads = 0;
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

Status tokenize(const TokenizeArguments& arguments) {
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
  command->add_option("FILE", arguments->file, "a file with one text a line");
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
  return command;
}

}  // namespace gannet
