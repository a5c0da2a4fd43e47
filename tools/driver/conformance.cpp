#include "tools/driver/conformance.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "frontend/import.h"
#include "frontend/pb_file.h"
#include "ir/base/file.h"
#include "ir/evaluate.h"
#include "tools/driver/compile.h"

namespace gannet {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Status collect_cases(const fs::path& folder, std::vector<std::string>& cases, int depth) {
  constexpr int kDeepest = 32;
  std::error_code failure;
  if (fs::is_regular_file(folder / "model.onnx", failure)) cases.push_back(folder.string());
  if (depth > kDeepest) return {};
  std::vector<fs::path> children;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    if (it->is_directory(failure) && it->path().filename().string().rfind("test_data_set_", 0) != 0) children.push_back(it->path());
  }
  if (failure) return io_error(fmt::format("{}: {}", folder.string(), failure.message()));
  std::sort(children.begin(), children.end());
  for (const fs::path& child : children) TRY(collect_cases(child, cases, depth + 1));
  return {};
}

Status read_tolerance(const fs::path& file, Tolerance& tolerance) {
  std::error_code failure;
  if (!fs::exists(file, failure)) return {};
  std::string text = TRY(read_file(file.string(), 1 << 20));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return invalid_input(fmt::format("{}: not a JSON object", file.string()));
  auto field = [&](const char* name, double& value) -> Status {
    if (!json.contains(name)) return {};
    if (!json[name].is_number()) return invalid_input(fmt::format("{}: '{}' is not a number", file.string(), name));
    value = json[name].get<double>();
    return {};
  };
  TRY(field("rtol", tolerance.rtol));
  TRY(field("atol", tolerance.atol));
  TRY(field("atol_relative", tolerance.atol_relative));
  return {};
}

std::vector<fs::path> data_sets(const fs::path& folder) {
  std::vector<fs::path> sets;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    if (it->is_directory(failure) && it->path().filename().string().rfind("test_data_set_", 0) == 0) sets.push_back(it->path());
  }
  std::sort(sets.begin(), sets.end());
  return sets;
}

int64_t count_files(const fs::path& folder, const std::string& prefix) {
  int64_t count = 0;
  std::error_code failure;
  while (fs::exists(folder / fmt::format("{}_{}.pb", prefix, count), failure)) ++count;
  return count;
}

// Runs a model on inputs.
using Runner = std::function<Result<std::vector<Datum>>(std::vector<Datum>)>;

// Whether both runs gave the same; the text names the first output that differs, empty when none does.
std::string other_bits(const std::vector<Datum>& one, const std::vector<Datum>& other) {
  for (size_t i = 0; i < one.size(); ++i) {
    const bool same = one[i].is_tensor() && other[i].is_tensor() ? one[i].tensor().identical(other[i].tensor())
                                                                 : !difference(one[i], other[i], {.rtol = 0, .atol = 0});
    if (!same) return fmt::format("output {} has other bits", i);
  }
  return "";
}

// Runs on one thread, then twice on two; an error where a run gives other bits than the first.
Result<Runner> make_same_bits_runner(std::shared_ptr<const Program> program, const Limits& limits) {
  std::shared_ptr<Session> one = TRY(make_session(program, 1, 0, limits));
  std::shared_ptr<Session> two = TRY(make_session(program, 2, 0, limits));
  return Runner([one, two](std::vector<Datum> inputs) -> Result<std::vector<Datum>> {
    std::vector<Datum> outputs = TRY(one->run(inputs));
    for (const char* which : {"two threads", "two threads, again"}) {
      const std::vector<Datum> again = TRY(two->run(inputs));
      if (const std::string reason = other_bits(outputs, again); !reason.empty()) return invalid_input(fmt::format("{} on {}", reason, which));
    }
    return outputs;
  });
}

Result<Runner> make_runner(Graph& graph, const CheckOptions& options) {
  const Limits& limits = options.limits;
  if (options.reference) {
    return Runner([&graph, limits](std::vector<Datum> inputs) -> Result<std::vector<Datum>> {
      EvaluateOptions evaluate_options;
      evaluate_options.limits = limits;
      return TRY(evaluate(graph, std::move(inputs), evaluate_options)).outputs;
    });
  }
  const CompiledModel compiled = TRY(compile_graph(graph, CompileOptions()));
  if (options.same_bits) return make_same_bits_runner(compiled.program, limits);
  std::shared_ptr<Session> session = TRY(make_session(compiled.program, 1, 0, limits));
  return Runner([session](std::vector<Datum> inputs) { return session->run(inputs); });
}

// Runs one data set; the text is why it does not pass, empty when it does.
Result<std::string> run_data_set(const Graph& graph, const Runner& runner, const fs::path& folder, const Tolerance& tolerance,
                                 const Limits& limits) {
  int64_t given = count_files(folder, "input");
  int64_t wanted = static_cast<int64_t>(graph.inputs().size());
  if (given != wanted) return fmt::format("{}: {} input files, the model takes {}", folder.filename().string(), given, wanted);
  std::vector<Datum> inputs;
  for (int64_t i = 0; i < given; ++i) {
    const Type& type = graph.inputs()[static_cast<size_t>(i)]->type;
    inputs.push_back(TRY(read_pb((folder / fmt::format("input_{}.pb", i)).string(), &type, limits)));
  }
  const std::vector<Datum> outputs = TRY(runner(std::move(inputs)));
  for (size_t i = 0; i < outputs.size(); ++i) {
    fs::path file = folder / fmt::format("output_{}.pb", i);
    std::error_code failure;
    if (!fs::exists(file, failure)) return fmt::format("{}: output_{}.pb is missing", folder.filename().string(), i);
    Type type = outputs[i].type();
    Datum expected = TRY(read_pb(file.string(), &type, limits));
    std::optional<std::string> reason = difference(outputs[i], expected, tolerance);
    if (reason) return fmt::format("{}: output {} ('{}'): {}", folder.filename().string(), i, graph.outputs[i].name, *reason);
  }
  return std::string();
}

CaseResult finish(CaseResult result, CaseOutcome outcome, std::string reason, Clock::time_point start) {
  std::replace(reason.begin(), reason.end(), '\n', ';');
  result.outcome = outcome;
  result.reason = std::move(reason);
  result.seconds = seconds_since(start);
  return result;
}

struct Child {
  pid_t pid = -1;
  int pipe = -1;
  size_t index = 0;
  std::string text;
  Clock::time_point start;
  bool timed_out = false;
};

// The child reports "<outcome letter><reason>" through the pipe; silence means that it did not live to say anything.
void run_in_child(const std::string& folder, const CheckOptions& options, int pipe) {
  CaseResult result = run_case(folder, options);
  std::string message(1, "PFS"[static_cast<int>(result.outcome)]);
  message += result.reason;
  const char* at = message.data();
  size_t left = message.size();
  while (left > 0) {
    ssize_t written = ::write(pipe, at, left);
    if (written <= 0) break;
    at += written;
    left -= static_cast<size_t>(written);
  }
  std::fflush(stdout);
  ::_exit(0);
}

Result<Child> start_child(const std::string& folder, size_t index, const CheckOptions& options) {
  int ends[2];
  if (::pipe(ends) != 0) return io_error(fmt::format("pipe: {}", std::strerror(errno)));
  std::fflush(stdout);
  std::fflush(stderr);
  pid_t pid = ::fork();
  if (pid < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return io_error(fmt::format("fork: {}", std::strerror(errno)));
  }
  if (pid == 0) {
    ::close(ends[0]);
    run_in_child(folder, options, ends[1]);
  }
  ::close(ends[1]);
  return Child{pid, ends[0], index, {}, Clock::now(), false};
}

CaseResult collect(Child& child, const std::string& folder, double seconds_allowed) {
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  ::close(child.pipe);
  CaseResult result;
  result.path = folder;
  result.outcome = CaseOutcome::kFailed;
  result.seconds = seconds_since(child.start);
  if (child.timed_out) result.reason = fmt::format("did not end within {:g} seconds", seconds_allowed);
  else if (WIFSIGNALED(status)) result.reason = fmt::format("crashed with signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  else if (child.text.empty()) result.reason = fmt::format("ended with status {} without a result", WEXITSTATUS(status));
  else {
    result.outcome = child.text[0] == 'P' ? CaseOutcome::kPassed : child.text[0] == 'S' ? CaseOutcome::kSkipped : CaseOutcome::kFailed;
    result.reason = child.text.substr(1);
  }
  return result;
}

// Waits until some child has said something or is out of time; true for those that have ended.
void wait_for_some(std::vector<Child>& children, double seconds_allowed, std::vector<size_t>& ended) {
  std::vector<pollfd> polls;
  for (const Child& child : children) polls.push_back({child.pipe, POLLIN, 0});
  constexpr int kMilliseconds = 100;
  ::poll(polls.data(), polls.size(), kMilliseconds);
  for (size_t i = 0; i < children.size(); ++i) {
    Child& child = children[i];
    if (polls[i].revents != 0) {
      char buffer[4096];
      ssize_t count = ::read(child.pipe, buffer, sizeof buffer);
      if (count > 0) child.text.append(buffer, static_cast<size_t>(count));
      else ended.push_back(i);
    } else if (!child.timed_out && seconds_since(child.start) > seconds_allowed) {
      child.timed_out = true;
      ::kill(child.pid, SIGKILL);
    }
  }
}

}  // namespace

Result<std::vector<std::string>> find_cases(const std::vector<std::string>& paths) {
  std::vector<std::string> cases;
  for (const std::string& path : paths) {
    std::error_code failure;
    if (!fs::is_directory(path, failure)) return invalid_input(fmt::format("{}: not a folder", path));
    size_t before = cases.size();
    TRY(collect_cases(path, cases, 0));
    if (cases.size() == before) return invalid_input(fmt::format("{}: no folder in it holds a model.onnx", path));
  }
  return cases;
}

CaseResult run_case(const std::string& folder, const CheckOptions& options) {
  Clock::time_point start = Clock::now();
  Tolerance tolerance = options.tolerance;
  CaseResult result;
  result.path = folder;
  Status read = read_tolerance(fs::path(folder) / "tolerance.json", tolerance);
  if (!read.ok()) return finish(result, CaseOutcome::kFailed, read.error().message, start);
  std::vector<fs::path> sets = data_sets(folder);
  if (sets.empty()) return finish(result, CaseOutcome::kSkipped, "no reference data", start);
  ImportOptions import_options;
  import_options.limits = options.limits;
  Result<ImportedModel> model = import_model((fs::path(folder) / "model.onnx").string(), import_options);
  if (!model.ok()) return finish(result, CaseOutcome::kFailed, model.error().message, start);
  const Result<Runner> runner = make_runner(*model->graph, options);
  if (!runner.ok()) return finish(result, CaseOutcome::kFailed, runner.error().message, start);
  for (const fs::path& set : sets) {
    Result<std::string> reason = run_data_set(*model->graph, *runner, set, tolerance, options.limits);
    if (!reason.ok()) return finish(result, CaseOutcome::kFailed, reason.error().message, start);
    if (!reason->empty()) return finish(result, CaseOutcome::kFailed, *reason, start);
  }
  return finish(result, CaseOutcome::kPassed, "", start);
}

std::vector<CaseResult> run_cases(const std::vector<std::string>& folders, const CheckOptions& options) {
  std::vector<CaseResult> results(folders.size());
  std::vector<Child> children;
  size_t next = 0;
  while (next < folders.size() || !children.empty()) {
    while (next < folders.size() && static_cast<int64_t>(children.size()) < options.jobs) {
      Result<Child> child = start_child(folders[next], next, options);
      if (child.ok()) children.push_back(*std::move(child));
      else results[next] = {folders[next], CaseOutcome::kFailed, child.error().message, 0};
      ++next;
    }
    std::vector<size_t> ended;
    wait_for_some(children, options.seconds_per_case, ended);
    for (auto it = ended.rbegin(); it != ended.rend(); ++it) {
      Child& child = children[*it];
      results[child.index] = collect(child, folders[child.index], options.seconds_per_case);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(*it));
    }
  }
  return results;
}

}  // namespace gannet
