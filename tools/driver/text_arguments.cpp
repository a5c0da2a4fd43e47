#include "tools/driver/text_arguments.h"

#include <CLI/CLI.hpp>

namespace gannet {

const NamedTextTask* find_text_task(std::string_view name) {
  for (const NamedTextTask& task : kTextTasks) {
    if (task.name == name) return &task;
  }
  return nullptr;
}

void add_tokenizer_flags(CLI::App& command, TextArguments& a) {
  CLI::Option* vocabulary =
      command.add_option("--vocab", a.vocabulary, "texts: WordPiece vocabulary, a token a line")
          ->type_name("FILE.txt");
  command.add_option("--tokenizer", a.tokenizer, "texts: tokenizer of Hugging Face, or a vocab.txt")
      ->type_name("FILE.json")
      ->excludes(vocabulary);
  command
      .add_option("--max-length", a.max_length,
                  "texts: tokens of the longest one, others are cut [what the model can]")
      ->type_name("N")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24));
}

void add_column_flags(CLI::App& command, TextArguments& a) {
  command
      .add_option("--text-column", a.text_column,
                  "texts: column by name or number [text, sentence, review, ...]")
      ->type_name("COLUMN");
  command
      .add_option("--pair-column", a.pair_column,
                  "texts: column of second texts [none, or sentence2, hypothesis, ...]")
      ->type_name("COLUMN");
  command
      .add_option("--label-column", a.label_columns,
                  "texts: column of the labels [label, sentiment, class, ...]; multi-label: several of 0 and "
                  "1, A,B,C")
      ->type_name("COLUMN")
      ->delimiter(',');
  command
      .add_option("--label-separator", a.label_separator,
                  "multi-label: what stands between names of labels [one of ;|,]")
      ->type_name("TEXT");
}

void add_token_input_flags(CLI::App& command, TextArguments& a) {
  CLI::Option* cased =
      command.add_flag("--cased", a.cased, "--vocab: upper case counts [found from its tokens]");
  command.add_flag("--uncased", a.uncased, "--vocab: all is lower case [found from its tokens]")
      ->excludes(cased);
  command.add_option("--ids", a.ids, "input of token numbers [by name and shape]")->type_name("NAME");
  command.add_option("--mask", a.mask, "input of the attention mask [the same]")->type_name("NAME");
  command.add_option("--type", a.types, "input that tells two texts apart [the same]")->type_name("NAME");
  command.add_option("--positions", a.positions, "input of positions [the same]")->type_name("NAME");
}

}  // namespace gannet
