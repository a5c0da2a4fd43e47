// `gannet run MODEL --text "..."` and `--text-file`: what a model says about texts, with the names of its
// classes.
#pragma once

#include <string>
#include <vector>

#include "tools/driver/runnable_model.h"
#include "tools/driver/text_arguments.h"

namespace CLI {
class App;
}

namespace gannet {

struct RunTextArguments {
  std::vector<std::string> texts;
  std::string pair;  // the second text of each
  std::string file;  // a text a line (.txt), or a table
  std::string task;
  TextArguments text;

  bool given() const { return !texts.empty() || !file.empty(); }
};

// --text, --text-pair, --text-file and the flags of tokenizers.
void add_run_text_arguments(CLI::App& command, RunTextArguments& arguments);
// For texts of the command line a line for each class, the most probable first; of a file a JSON object for
// each text:
// {"text": ..., "label": ..., "score": ..., "scores": {...}}, with several labels "labels", for numbers
// "value".
Status run_texts(const RunnableOptions& options, const RunTextArguments& arguments);

}  // namespace gannet
