// A model that is ready to run, with the tokenizer that its texts go through.
#pragma once

#include "tools/driver/runnable_model.h"
#include "tools/driver/text_tokens.h"

namespace gannet {

struct TextModel {
  RunnableModel model;
  TextInputs inputs;
  Tokenizer tokenizer;
  int64_t longest = 0;
  TokenLayout layout;
};

// The longest text is that of --max-length, of the model's metadata, of its positions, or of the tokenizer.
Result<TextModel> make_text_model(RunnableModel model, const TextArguments& arguments);
// The kind of task by its name; empty: by the metadata, else classification.
Result<TextTaskKind> text_task_kind(const std::string& name, const Metadata& metadata);

}  // namespace gannet
