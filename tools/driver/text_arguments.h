// Flags of the tasks on texts, the same for training, evaluation and single runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace gannet {

enum class TextTaskKind { kClassification, kRegression, kMultiLabel };

struct NamedTextTask {
  std::string_view name;  // of --task
  TextTaskKind kind;
};
inline constexpr std::string_view kSeveralLabelsTask = "multi-label";  // of pictures too, to evaluate
inline constexpr NamedTextTask kTextTasks[] = {{"text-classification", TextTaskKind::kClassification},
                                               {"text-regression", TextTaskKind::kRegression},
                                               {kSeveralLabelsTask, TextTaskKind::kMultiLabel}};
const NamedTextTask* find_text_task(std::string_view name);

struct TextArguments {
  std::string vocabulary, tokenizer;        // files; one of them
  bool cased = false, uncased = false;      // of a vocabulary; neither: found from its tokens
  std::string text_column, pair_column;     // names or numbers; empty: by the usual names
  std::vector<std::string> label_columns;   // the same
  std::string label_separator;              // of several labels in a cell; empty: found
  std::string ids, mask, types, positions;  // inputs of the model; empty: by name and shape
  int64_t max_length = 0;                   // tokens; 0: what the model can
};

// --vocab, --tokenizer and --max-length.
void add_tokenizer_flags(CLI::App& command, TextArguments& arguments);
// --text-column, --pair-column, --label-column, --label-separator.
void add_column_flags(CLI::App& command, TextArguments& arguments);
// --cased, --uncased, --ids, --mask, --type and --positions.
void add_token_input_flags(CLI::App& command, TextArguments& arguments);

}  // namespace gannet
