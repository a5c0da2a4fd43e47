#include "tools/driver/opt_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <new>
#include <optional>

#include "frontend/import.h"
#include "ir/base/file.h"
#include "ir/base/nearest.h"
#include "ir/named_target.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/program.h"
#include "tools/driver/command.h"

namespace gannet {

namespace {

struct OptArguments {
  ModelArguments model;
  std::string passes;
  std::string pipeline;
  std::string print_after;
  std::string dump_folder;
  std::string output;
  std::string target, dtype = "f32";
  int64_t bisect = -1;
  std::optional<int64_t> max_elements;
  bool time_passes = false;
  bool verify_each = false;
  bool remarks = false;
  bool list = false;
};

struct PassTime {
  int64_t runs = 0, changes = 0;
  double seconds = 0;
};

bool is_onnx(const std::string& path) { return path.ends_with(".onnx") || path.ends_with(".pb"); }

Result<std::unique_ptr<Graph>> load_graph(const ModelArguments& arguments, const std::string& output) {
  if (is_onnx(arguments.path)) {
    ImportedModel model = TRY(load_model(arguments));
    TRY(check_not_over_data({output}, *model.source));
    return std::move(model.graph);
  }
  constexpr int64_t kMostBytes = int64_t{1} << 31;
  Result<std::unique_ptr<Graph>> graph = parse_graph(TRY(read_file(arguments.path, kMostBytes)));
  if (!graph.ok()) return with_prefix(arguments.path + ": ", graph.error());
  if (Status status = verify(**graph); !status.ok())
    return with_prefix(arguments.path + ": ", status.error());
  return graph;
}

Result<std::string> pipeline_of(const OptArguments& arguments) {
  if (arguments.pipeline.empty()) return arguments.passes;
  const std::string_view text = find_pipeline(arguments.pipeline);
  if (!text.empty()) return std::string(text);
  std::vector<std::string_view> names;
  for (const auto& [name, passes] : all_pipelines()) names.push_back(name);
  return invalid_input(
      fmt::format("there is no pipeline '{}'; there are {}", arguments.pipeline, fmt::join(names, ", ")));
}

// Shows what passes do while they run.
class Observer {
 public:
  Observer(const OptArguments& arguments, const PrintOptions& print) : arguments_(arguments), print_(print) {}

  Status begin(const Graph& graph) {
    if (arguments_.dump_folder.empty()) return {};
    std::error_code failure;
    std::filesystem::create_directories(arguments_.dump_folder, failure);
    if (failure)
      return io_error(fmt::format("{}: cannot be created: {}", arguments_.dump_folder, failure.message()));
    return dump("000-input", graph);
  }

  Status after(const Pass& pass, int64_t number, const Graph& graph, bool changed, double seconds) {
    PassTime& time = times_[pass.name];
    ++time.runs;
    time.changes += changed;
    time.seconds += seconds;
    last_ = fmt::format("pass number {}, {}", number + 1, pass.name);
    if (arguments_.print_after == "all" || arguments_.print_after == pass.name) {
      fmt::print(stderr, "# after {}{}\n", last_, changed ? "" : ", which changed nothing");
      if (changed || arguments_.print_after != "all") fmt::print(stderr, "{}\n", print_graph(graph, print_));
    }
    if (!changed || arguments_.dump_folder.empty()) return {};
    return dump(fmt::format("{:03}-{}", number + 1, pass.name), graph);
  }

  void finish() const {
    if (arguments_.bisect >= 0)
      fmt::print(stderr, "# the last pass that ran: {}\n", last_.empty() ? "none" : last_);
    if (!arguments_.time_passes) return;
    std::vector<std::pair<std::string_view, PassTime>> rows(times_.begin(), times_.end());
    std::ranges::stable_sort(
        rows, [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
    double total = 0;
    fmt::print(stderr, "{:>10}  {:>4}  {:>7}  pass\n", "ms", "runs", "changes");
    for (const auto& [name, time] : rows) {
      fmt::print(stderr, "{:>10.3f}  {:>4}  {:>7}  {}\n", time.seconds * 1e3, time.runs, time.changes, name);
      total += time.seconds;
    }
    fmt::print(stderr, "{:>10.3f}  all\n", total * 1e3);
  }

 private:
  Status dump(const std::string& name, const Graph& graph) const {
    const std::string path = (std::filesystem::path(arguments_.dump_folder) / (name + ".ir")).string();
    return write_file_atomically(path, print_graph(graph, print_) + "\n");
  }

  const OptArguments& arguments_;
  const PrintOptions& print_;
  std::map<std::string_view, PassTime> times_;
  std::string last_;
};

void print_list() {
  fmt::print("passes\n");
  for (const Pass& pass : all_passes()) fmt::print("  {:<34} {}\n", pass.name, pass.description);
  fmt::print("pipelines\n");
  for (const auto& [name, passes] : all_pipelines()) fmt::print("  {:<10} {}\n", name, passes);
}

Status run_opt(const OptArguments& arguments) {
  if (arguments.list) return print_list(), Status();
  if (arguments.model.path.empty())
    return invalid_input("gannet-opt: FILE is required; see gannet-opt --help");
  const bool known =
      arguments.print_after.empty() || arguments.print_after == "all" || find_pass(arguments.print_after);
  if (!known)
    return invalid_input(fmt::format("--print-after: there is no pass '{}'", arguments.print_after));
  const std::string pipeline = TRY(pipeline_of(arguments));
  TRY(check_outputs({}, {arguments.model.path}, {arguments.output}));
  const std::unique_ptr<Graph> graph = TRY(load_graph(arguments.model, arguments.output));
  constexpr int64_t kShownOfModels = 16;
  PrintOptions print;
  if (arguments.max_elements)
    print.max_elements = *arguments.max_elements;
  else if (is_onnx(arguments.model.path) && arguments.output.empty())
    print.max_elements = kShownOfModels;
  Observer observer(arguments, print);
  TRY(observer.begin(*graph));
  RunOptions options;
  options.verify_each = arguments.verify_each;
  options.bisect = arguments.bisect;
  options.observer = [&](const Pass& pass, int64_t number, const Graph& now, bool changed, double seconds) {
    return observer.after(pass, number, now, changed, seconds);
  };
  PassContext context(find_target(arguments.target).value_or(host_target()));
  context.product_dtype = *dtype_from_name(arguments.dtype);
  TRY(run_passes(*graph, pipeline, context, options));
  observer.finish();
  if (arguments.remarks) {
    for (const Remark& remark : context.remarks())
      fmt::print(stderr, "# {}: {}: {}\n", remark.pass, printable(remark.node), printable(remark.text));
  }
  const std::string text = print_graph(*graph, print) + "\n";
  if (!arguments.output.empty()) return write_file_atomically(arguments.output, text);
  fmt::print("{}", text);
  return {};
}

void add_options(CLI::App& app, OptArguments& arguments) {
  app.add_option("FILE", arguments.model.path, "a graph in textual form, or an ONNX file");
  CLI::Option* passes =
      app.add_option("--passes", arguments.passes,
                     "a,(b,c)*: what to run; a group with a star repeats until nothing changes");
  app.add_option("--pipeline", arguments.pipeline, "a named list of passes")->excludes(passes);
  app.add_option("-o,--output", arguments.output, "write the graph to FILE instead of standard output")
      ->type_name("FILE");
  app.add_option("--target", arguments.target, "the machine that passes aim at: x86-64-v3, x86-64-v4, x86-64-v4+vnni or x86-64-v4+bf16; this one where none is given")
      ->type_name("NAME")
      ->check(CLI::IsMember(std::vector<std::string>(target_names().begin(), target_names().end())));
  app.add_option("--dtype", arguments.dtype, "f32, or bf16: what operands of products are rounded to")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--print-after", arguments.print_after,
                 "print the graph to standard error after this pass, or after all")
      ->type_name("PASS|all");
  app.add_option("--dump-dir", arguments.dump_folder,
                 "write the graph to a file of DIR after each pass that changes it")
      ->type_name("DIR");
  app.add_option("--bisect", arguments.bisect, "run only the first N passes, counting repetitions")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()));
  app.add_option("--max-elements", arguments.max_elements, "print larger tensors as a digest")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()));
  app.add_flag("--time-passes", arguments.time_passes, "print the time of each pass to standard error");
  app.add_flag("--verify-each", arguments.verify_each, "check the graph after each pass");
  app.add_flag("--remarks", arguments.remarks, "print what passes left undone, and why");
  app.add_flag("--list", arguments.list, "list passes and pipelines and exit");
  app.add_option("--shape", arguments.model.shapes,
                 "NAME=1x3x224x224: the shape of an input of an ONNX file (repeatable)")
      ->type_name("NAME=SHAPE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.footer("Example:\n  gannet-opt model.onnx --pipeline inference --time-passes -o optimized.ir");
}

Error explain(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    return invalid_input(fmt::format("gannet-opt: {}; see gannet-opt --help", error.what()));
  }
  const std::vector<std::string> extras = app.remaining();
  const std::string word = extras.empty() ? "" : extras[0], name = word.substr(0, word.find('='));
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& flag : option->get_lnames()) flags.push_back("--" + flag);
  }
  const std::string hint = nearest(name, std::vector<std::string_view>(flags.begin(), flags.end()));
  const bool is_flag = name.starts_with('-');
  return invalid_input(fmt::format(
      "gannet-opt: unknown {} '{}'{}", is_flag ? "flag" : "argument", word,
      is_flag && !hint.empty() ? fmt::format("; did you mean {}?", hint) : "; see gannet-opt --help"));
}

}  // namespace

int run_opt_command_line(int argc, char** argv) {
  CLI::App app("Runs passes over a graph.", "gannet-opt");
  app.set_version_flag("--version", GANNET_VERSION, "Print the version and exit");
  OptArguments arguments;
  add_options(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    return report(explain(app, error));
  }
  if (const Status status = check_path_flags(app); !status.ok()) return report(status.error());
  try {
    const Status status = run_opt(arguments);
    return status.ok() ? kSuccess : report(status.error());
  } catch (const std::bad_alloc&) {
    return report(invalid_input("memory is exhausted"));
  }
}

}  // namespace gannet
