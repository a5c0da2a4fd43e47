#include "tools/driver/tune_task.h"

#include <fmt/format.h>

#include <filesystem>

#include "runtime/data/table.h"
#include "runtime/training/checkpoint.h"
#include "tools/driver/array_task.h"
#include "tools/driver/image_task.h"
#include "tools/driver/text_task.h"

namespace gannet {

Result<std::map<std::string, std::string>> TuneTask::identity(const TuneArguments& arguments) const {
  std::map<std::string, std::string> all = {{"data", TRY(file_identity(arguments.train))}};
  if (!arguments.eval.empty()) all["held-out data"] = TRY(file_identity(arguments.eval));
  return all;
}

Result<UnlabelledRows> TuneTask::unlabelled_rows(const LabelledRows&, int64_t,
                                                 const TuneArguments& arguments) {
  return invalid_input(
      fmt::format("--unlabeled is for pictures and texts, not for the rows of {}", arguments.train));
}

Result<std::unique_ptr<TuneTask>> make_tune_task(const TuneArguments& arguments) {
  std::error_code error;
  const bool folder = arguments.task.empty() && std::filesystem::is_directory(arguments.train, error);
  if (arguments.task == kImageTask || folder) return make_image_task();
  if (const NamedTextTask* task = find_text_task(arguments.task)) return make_text_task(*task);
  if (arguments.task.empty() && table_format_of(arguments.train)) return make_text_task(kTextTasks[0]);
  return make_array_task();
}

}  // namespace gannet
