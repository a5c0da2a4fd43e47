#include "tools/driver/check_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ir/base/file.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"
#include "tools/driver/compile.h"
#include "tools/driver/conformance.h"

namespace gannet {

namespace {

struct CheckArguments {
  std::vector<std::string> paths;
  CheckOptions options;
  std::vector<std::string> limits;
  std::string json;
  std::string backend = "compiled";
};

std::string_view outcome_name(CaseOutcome outcome) {
  constexpr std::string_view kNames[] = {"passed", "failed", "skipped"};
  return kNames[static_cast<int>(outcome)];
}

Status write_json(const std::string& path, const std::vector<CaseResult>& results) {
  nlohmann::json cases = nlohmann::json::array();
  for (const CaseResult& result : results) {
    cases.push_back({{"case", result.path}, {"outcome", outcome_name(result.outcome)}, {"reason", result.reason},
                     {"seconds", result.seconds}});
  }
  return write_file_atomically(path, nlohmann::json{{"cases", cases}}.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

// True when no case failed.
Result<bool> check(CheckArguments& arguments) {
  TRY(check_outputs({}, {}, {arguments.json}));
  arguments.options.limits = default_limits();
  arguments.options.reference = arguments.backend == "reference";
  for (const std::string& limit : arguments.limits) TRY(set_limit(arguments.options.limits, limit));
  std::vector<std::string> cases = TRY(find_cases(arguments.paths));
  std::vector<CaseResult> results = run_cases(cases, arguments.options);
  int64_t counts[3] = {0, 0, 0};
  for (const CaseResult& result : results) {
    ++counts[static_cast<int>(result.outcome)];
    if (result.outcome != CaseOutcome::kPassed) fmt::print("{} {}: {}\n", outcome_name(result.outcome), result.path, result.reason);
  }
  if (!arguments.json.empty()) TRY(write_json(arguments.json, results));
  fmt::print("{} passed, {} failed, {} skipped\n", counts[0], counts[1], counts[2]);
  return counts[1] == 0;
}

}  // namespace

CLI::App* add_check_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<CheckArguments>();
  arguments->options.jobs = std::max<int64_t>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
  CLI::App* command = add_command(app, "check", "Compare models with their reference results.",
                                  "gannet check tests/ --rtol 1e-3", run, [] { return Status(); });
  command->callback([arguments, &run] {
    run = [arguments] {
      Result<bool> passed = check(*arguments);
      return passed.ok() ? (*passed ? kSuccess : kFailure) : report(passed.error());
    };
  });
  Tolerance& tolerance = arguments->options.tolerance;
  command->add_option("PATH", arguments->paths, "folders with model.onnx and test_data_set_*, or folders of such")->required();
  command->add_option("--rtol", tolerance.rtol, "relative tolerance")->capture_default_str()->check(finite_number(false));
  command->add_option("--atol", tolerance.atol, "absolute tolerance")->capture_default_str()->check(finite_number(false));
  command->add_option("--atol-relative", tolerance.atol_relative, "tolerance relative to the output's largest magnitude")
      ->capture_default_str()->check(finite_number(false));
  command->add_option("--jobs", arguments->options.jobs, "cases at a time")->capture_default_str()->check(CLI::Range(1, 1024));
  command->add_option("--timeout", arguments->options.seconds_per_case, "seconds a case may take")->capture_default_str()->check(finite_number(true));
  command->add_flag("--same-bits", arguments->options.same_bits, "also run on two threads, twice, and expect the same bits");
  command->add_option("--json", arguments->json, "write all results to FILE")->type_name("FILE");
  add_backend_argument(*command, arguments->backend);
  add_limit_argument(*command, arguments->limits);
  return command;
}

}  // namespace gannet
