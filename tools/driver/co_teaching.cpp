#include "tools/driver/co_teaching.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace gannet {

namespace {

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

Status check_flags(const TuneArguments& arguments) {
  for (const char* flag : {"--forget-epochs", "--second-model"}) {
    if (arguments.co_teaching == 0 && arguments.given.contains(flag))
      return invalid_input(fmt::format("{} is for --co-teaching", flag));
  }
  if (arguments.co_teaching > 0 && !arguments.max_memory.empty())
    return invalid_input("--co-teaching trains two models and does not go with --max-memory");
  return {};
}

}  // namespace

Result<std::optional<CoTeachingOptions>> co_teaching_of(const TuneModel& first, const Metadata& metadata,
                                                        const TuneArguments& arguments) {
  TRY(check_flags(arguments));
  if (arguments.co_teaching == 0) return std::optional<CoTeachingOptions>();
  TuneArguments flags = arguments;
  ++flags.seed;
  if (!flags.second_model.empty()) flags.model.path = flags.second_model;
  ImportedModel imported = TRY(load_model(flags.model));
  const TuneModel second = TRY(make_tune_model(std::move(imported), metadata, flags));
  CoTeachingOptions options;
  options.forget_rate = arguments.co_teaching;
  bool alike = true;
  for (const State& state : first.graph().states) {
    const auto found = std::ranges::find(second.graph().states, state.name, &State::name);
    if (found == second.graph().states.end())
      return invalid_input(fmt::format("{} has no weight '{}' as {} does", flags.model.path, state.name,
                                       arguments.model.path));
    alike &= same_bytes(state.initial, found->initial);
    options.initial.push_back(found->initial);
  }
  if (alike)
    return invalid_input(
        "--co-teaching: both models would begin alike and learn the same; give --second-model, a file of the same "
        "form with other weights (gannet new with another --seed)");
  return std::optional(std::move(options));
}

}  // namespace gannet
