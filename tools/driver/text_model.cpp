#include "tools/driver/text_model.h"

#include <algorithm>
#include <charconv>

namespace gannet {

Result<TextModel> make_text_model(RunnableModel model, const TextArguments& arguments) {
  Result<TextInputs> found = find_text_inputs(model.inputs, arguments);
  if (!found.ok()) return with_prefix(model.path + ": ", found.error());
  TextInputs inputs = *std::move(found);
  if (!inputs.positions) inputs.positions = model.positions;
  TextArguments flags = arguments;
  if (const auto text = metadata_value(model.metadata, "max_length"); text && flags.max_length == 0) {
    int64_t length = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), length);
    constexpr int64_t kLongest = int64_t{1} << 24;
    const bool whole = error == std::errc() && end == text->data() + text->size();
    if (whole && length > 1 && length < kLongest) flags.max_length = length;
    if (inputs.positions) flags.max_length = std::min(flags.max_length, *inputs.positions);
    if (inputs.fixed_length) flags.max_length = std::min(flags.max_length, *inputs.fixed_length);
  }
  Tokenizer tokenizer = TRY(load_tokenizer(flags, inputs));
  const int64_t longest = TRY(longest_text(flags, inputs, tokenizer));
  TokenLayout layout = layout_of(inputs, tokenizer, longest);
  return TextModel{std::move(model), std::move(inputs), std::move(tokenizer), longest, std::move(layout)};
}

Result<TextTaskKind> text_task_kind(const std::string& name, const Metadata& metadata) {
  if (!name.empty()) {
    const NamedTextTask* task = find_text_task(name);
    if (task == nullptr) return invalid_input("--task " + name + " is not one of texts");
    return task->kind;
  }
  if (const auto stored = metadata_value(metadata, "task")) {
    if (const NamedTextTask* task = find_text_task(*stored)) return task->kind;
  }
  const auto problem = metadata_value(metadata, "problem_type");
  if (problem == "multi_label_classification") return TextTaskKind::kMultiLabel;
  if (problem == "regression") return TextTaskKind::kRegression;
  return TextTaskKind::kClassification;
}

}  // namespace gannet
