#include "tools/driver/bench_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "ir/base/file.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "runtime/core/artifact.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/run_artifact.h"
#include "tools/deploy/run_model.h"
#include "tools/driver/bench_train.h"
#include "tools/driver/command.h"
#include "tools/driver/compile.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/model_summary.h"
#include "tools/driver/process_memory.h"
#include "tools/driver/runnable_model.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMilliseconds = 1e3;

struct BenchArguments {
  ModelArguments model;
  RunArguments run;
  CompileOptions compile;
  int64_t runs = 0;
  std::string json, profile;
  bool serve = false;
  bool train = false;
  std::string optimizer = "adamw", batch_norm = "frozen";
  double clip_norm = 0;
  std::vector<std::string> dropout;
};

// A compiled model with everything that it is run on.
struct Bench {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> session;
  std::vector<std::string> output_names;
  std::vector<std::vector<std::string>> step_nodes;  // of an ONNX file: the nodes that each step computes
  std::vector<Datum> inputs, outputs;
  std::optional<double> flops;
  double load_ms = 0, compile_ms = 0, first_run_ms = 0;
};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count() * kMilliseconds; }

// The given share of the sorted times are not above the result.
double percentile(std::span<const double> sorted, double share) {
  const auto rank = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(rank, sorted.size() - 1)];
}

Result<std::vector<double>> timed_runs(Bench& bench, int64_t runs) {
  std::vector<double> times;
  for (int64_t i = 0; i < runs; ++i) {
    const Clock::time_point start = Clock::now();
    TRY(bench.session->run_into(bench.inputs, bench.outputs));
    times.push_back(since(start));
  }
  return times;
}

// Runs until two seconds are over, 5 times at least, or as often as the flag says.
Result<std::vector<double>> timed_runs(Bench& bench, const BenchArguments& arguments) {
  if (arguments.runs > 0) return timed_runs(bench, arguments.runs);
  constexpr int64_t kFewest = 5, kMost = 1000;
  constexpr double kMillisecondsWanted = 2000;
  const double each = std::max(bench.first_run_ms / 4, 1e-3);
  const std::vector<double> probe = TRY(timed_runs(bench, kFewest));
  const double fast = std::min(each, *std::ranges::min_element(probe));
  return timed_runs(bench, std::clamp<int64_t>(static_cast<int64_t>(kMillisecondsWanted / std::max(fast, 1e-3)), kFewest, kMost));
}

Result<std::vector<Datum>> bench_inputs(std::span<const InputSpec> specs, const BenchArguments& arguments, bool quiet) {
  std::vector<std::string> made_up;
  return quiet ? collect_inputs(specs, arguments.run.inputs, made_up) : announced_inputs(specs, arguments.run);
}

Result<std::unique_ptr<Session>> bench_session(const Bench& bench, const BenchArguments& arguments) {
  return make_session(bench.program, arguments.run.threads, arguments.run.inputs.seed, arguments.run.inputs.limits);
}

Status load_artifact(Bench& bench, const BenchArguments& arguments, bool quiet) {
  const Clock::time_point start = Clock::now();
  bench.program = TRY(read_artifact(arguments.model.path));
  TRY(check_shapes(*bench.program, arguments.run.inputs.shapes));
  bench.session = TRY(bench_session(bench, arguments));
  bench.load_ms = since(start);
  bench.output_names = output_names(*bench.program);
  bench.inputs = TRY(bench_inputs(input_specs(*bench.program), arguments, quiet));
  return {};
}

std::vector<std::vector<std::string>> nodes_of_steps(const ImportedModel& model, const CompiledModel& compiled) {
  std::vector<std::vector<std::string>> nodes(compiled.program->steps.size());
  for (const Placement& placement : compiled.placements) {
    if (placement.program != 0) continue;
    for (auto step = static_cast<size_t>(placement.first_step); step < static_cast<size_t>(placement.end_step); ++step) {
      for (const int32_t source : placement.sources) nodes[step].push_back(model.nodes[static_cast<size_t>(source)].name);
    }
  }
  return nodes;
}

Result<BenchStep> training_step(Graph& model, const BenchArguments& arguments) {
  OptimizerOptions optimizer = named_optimizer_options(arguments.optimizer);
  if (optimizer.kind == Optimizer::kAdamW) optimizer.weight_decay = 0.01;
  optimizer.clip_norm = arguments.clip_norm;
  TuneArguments rules;
  rules.dropout = arguments.dropout;
  return bench_training_step(model, optimizer, arguments.batch_norm == "train", TRY(dropout_of(rules)));
}

Status compile_onnx(Bench& bench, const BenchArguments& arguments, bool quiet) {
  Clock::time_point start = Clock::now();
  ImportedModel model = TRY(load_model(arguments.model));
  bench.load_ms = since(start);
  BenchStep step;
  if (arguments.train) step = TRY(training_step(*model.graph, arguments));
  Graph& graph = arguments.train ? *step.graph : *model.graph;
  for (const GraphOutput& output : graph.outputs) bench.output_names.push_back(output.name);
  bench.inputs = TRY(bench_inputs(arguments.train ? step.inputs : input_specs(graph), arguments, quiet));
  bench.flops = summarize(graph, TRY(bind_symbols(graph, bench.inputs))).flops;
  start = Clock::now();
  const CompiledModel compiled = TRY(compile_graph(graph, arguments.compile, arguments.train ? "training" : "inference"));
  bench.program = compiled.program;
  bench.session = TRY(bench_session(bench, arguments));
  bench.compile_ms = since(start);
  bench.step_nodes = nodes_of_steps(model, compiled);
  return {};
}

Result<Bench> prepare(BenchArguments& arguments, bool quiet) {
  Bench bench;
  TRY(settle_run_arguments(arguments.run, arguments.model.shapes));
  arguments.run.inputs.limits = TRY(limits_of(arguments.model));
  if (is_artifact(arguments.model.path) && arguments.train) return invalid_input("--train takes an ONNX file");
  if (is_artifact(arguments.model.path)) {
    TRY(check_takes_dtype(arguments.model.path, arguments.compile));
    TRY(load_artifact(bench, arguments, quiet));
  } else {
    TRY(compile_onnx(bench, arguments, quiet));
  }
  const Clock::time_point start = Clock::now();
  bench.outputs = TRY(bench.session->run(bench.inputs));
  bench.first_run_ms = since(start);
  const bool reusable = std::ranges::all_of(bench.outputs, [](const Datum& output) {
    return output.is_tensor() && output.tensor().dtype() != DType::kString;
  });
  if (!reusable) bench.outputs.assign(bench.outputs.size(), Datum());
  return bench;
}

// The rate of a matrix product of 1024 by 1024, in GFLOP/s: what the machine gives to the libraries that we use.
Result<double> measured_roof(const BenchArguments& arguments) {
  constexpr int64_t kSize = 1024;
  constexpr int kRuns = 30;
  Graph graph("roof");
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{kSize, kSize}));
  graph.outputs.push_back({"y", b.matmul(x, b.constant(Tensor::zeros(DType::kF32, {kSize, kSize})))});
  TRY(b.status());
  Bench bench;
  bench.program = TRY(compile_graph(graph, arguments.compile)).program;
  bench.session = TRY(make_session(bench.program, arguments.run.threads, 0, Limits()));
  bench.inputs = {Tensor::zeros(DType::kF32, {kSize, kSize})};
  bench.outputs.resize(1);
  const std::vector<double> times = TRY(timed_runs(bench, kRuns));
  return 2e-6 * kSize * kSize * kSize / *std::ranges::min_element(times);
}

nlohmann::json preparation(const Bench& bench) {
  return {{"load_ms", bench.load_ms}, {"compile_ms", bench.compile_ms}, {"first_run_ms", bench.first_run_ms}};
}

// Times of each step in a run as Chrome's trace viewer reads them.
Status write_profile(Bench& bench, const std::string& path) {
  nlohmann::json events = nlohmann::json::array();
  const Program& program = *bench.program;
  bench.session->set_profiler([&](std::span<const StepTime> times) {
    for (const StepTime& time : times) {
      const Step& step = program.steps[static_cast<size_t>(time.step)];
      nlohmann::json details = {{"op", step.op}, {"step", time.step}, {"threads", time.threads}};
      if (!bench.step_nodes.empty()) details["nodes"] = bench.step_nodes[static_cast<size_t>(time.step)];
      constexpr std::string_view kKinds[] = {"kernel", "primitive", "eval", "copy"};
      events.push_back({{"name", step.name.empty() ? step.op : step.name}, {"cat", kKinds[step.call.index()]}, {"ph", "X"},
                        {"pid", 1}, {"tid", 1}, {"ts", static_cast<double>(time.start_ns) / 1e3},
                        {"dur", static_cast<double>(time.duration_ns) / 1e3}, {"args", std::move(details)}});
    }
  });
  constexpr int64_t kRuns = 3;
  const Result<std::vector<double>> times = timed_runs(bench, kRuns);
  bench.session->set_profiler(nullptr);
  if (!times.ok()) return times.error();
  return write_file_atomically(path, nlohmann::json{{"traceEvents", events}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

nlohmann::json results(const Bench& bench, std::vector<double> times, double roof, const BenchArguments& arguments) {
  std::ranges::sort(times);
  const SessionMemory memory = bench.session->memory();
  nlohmann::json json = preparation(bench);
  json["model"] = arguments.model.path;
  json["threads"] = Threads(arguments.run.threads).count();
  json["runs"] = times.size();
  json["median_ms"] = percentile(times, 0.5);
  json["p90_ms"] = percentile(times, 0.9);
  json["p99_ms"] = percentile(times, 0.99);
  json["min_ms"] = times.front();
  json["roof_gflops"] = roof;
  if (bench.flops) {
    json["flops"] = *bench.flops;
    json["gflops"] = *bench.flops / percentile(times, 0.5) / 1e6;
    json["roof_share"] = *bench.flops / percentile(times, 0.5) / 1e6 / roof;
  }
  json["peak_memory_bytes"] = peak_memory();
  json["arena_bytes"] = memory.arena_bytes;
  json["arena_lower_bound_bytes"] = memory.lower_bound_bytes;
  json["steps"] = bench.program->steps.size();
  return json;
}

void print_results(const nlohmann::json& json) {
  auto number = [&](const char* name) { return json.at(name).get<double>(); };
  fmt::print("median {:.3f} ms  p90 {:.3f}  p99 {:.3f}  min {:.3f}  ({} runs, {} threads)\n", number("median_ms"), number("p90_ms"),
             number("p99_ms"), number("min_ms"), json.at("runs").get<int64_t>(), json.at("threads").get<int>());
  if (json.contains("gflops")) {
    fmt::print("{:.1f} GFLOP/s, {:.0f} % of the {:.0f} GFLOP/s of a large matrix product\n", number("gflops"),
               100 * number("roof_share"), number("roof_gflops"));
  }
  fmt::print("load {:.1f} ms  compile {:.1f} ms  first run {:.1f} ms\n", number("load_ms"), number("compile_ms"), number("first_run_ms"));
  fmt::print("peak memory {}  arena {} (at least {})\n", bytes_text(json.at("peak_memory_bytes").get<int64_t>()),
             bytes_text(json.at("arena_bytes").get<int64_t>()), bytes_text(json.at("arena_lower_bound_bytes").get<int64_t>()));
}

// One answer for each line on standard input: "run N" gives N times in milliseconds, "outputs DIR" writes what the last
// run gave.
Status serve(Bench& bench, BenchArguments& arguments) {
  TRY(timed_runs(bench, 3));
  std::cout << "ready " << preparation(bench).dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    int64_t runs = 0;
    if (line.starts_with("run ") && std::from_chars(line.data() + 4, line.data() + line.size(), runs).ec == std::errc() && runs > 0) {
      std::string answer;
      for (const double time : TRY(timed_runs(bench, runs))) answer += fmt::format("{}{:.6g}", answer.empty() ? "" : " ", time);
      std::cout << answer << std::endl;
    } else if (line.starts_with("outputs ") && line.size() > 8) {
      arguments.run.output_folder = line.substr(8);
      TRY(write_outputs(bench.output_names, bench.outputs, arguments.run, /*quiet=*/true));
      std::cout << "done" << std::endl;
    } else {
      return invalid_input(fmt::format("--serve takes lines 'run N' and 'outputs DIR', got '{}'", line));
    }
  }
  return {};
}

Status bench_model(BenchArguments& arguments) {
  TRY(check_outputs({}, {arguments.model.path}, {arguments.json, arguments.profile}));
  Result<Bench> bench = prepare(arguments, arguments.serve);
  if (!bench.ok()) return bench.error();
  if (arguments.serve) return serve(*bench, arguments);
  TRY(timed_runs(*bench, 2));
  std::vector<double> times = TRY(timed_runs(*bench, arguments));
  if (!arguments.profile.empty()) TRY(write_profile(*bench, arguments.profile));
  const nlohmann::json json = results(*bench, std::move(times), TRY(measured_roof(arguments)), arguments);
  print_results(json);
  if (arguments.json.empty()) return {};
  return write_file_atomically(arguments.json, json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

CLI::App* add_bench_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<BenchArguments>();
  arguments->run.inputs.read_pb = read_pb_input;
  CLI::App* command = add_command(app, "bench", "Measure how fast a model runs.", "gannet bench resnet50.onnx --threads 2 --profile trace.json",
                                  run, [arguments] { return bench_model(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("--runs", arguments->runs, "how often [for two seconds]")->check(CLI::Range(1, 1'000'000));
  command->add_option("--input", arguments->run.inputs.files, "NAME=FILE as in gannet run; random where none is given")
      ->type_name("NAME=FILE")->take_all()->expected(1)->allow_extra_args(false);
  add_seed(*command, arguments->run.inputs.seed, "of random inputs and random ops");
  add_threads(*command, arguments->run.threads);
  command->add_option("--json", arguments->json, "write the figures to FILE")->type_name("FILE");
  command->add_option("--profile", arguments->profile, "write a Chrome trace of three runs to FILE")->type_name("FILE");
  CLI::Option* train = command->add_flag("--train", arguments->train, "a training step instead of an inference: cross entropy, gradients, AdamW");
  command->add_option("--optimizer", arguments->optimizer, "of --train")->check(CLI::IsMember(optimizer_names()))->needs(train);
  command->add_option("--batch-norm", arguments->batch_norm, "of --train: statistics of the file, or of the batch")
      ->check(CLI::IsMember({"train", "frozen"}))->needs(train);
  command->add_option("--clip-norm", arguments->clip_norm, "of --train: scale gradients to at most this norm")->check(CLI::PositiveNumber)->needs(train);
  command->add_option("--dropout", arguments->dropout, "with --train: PATTERN=RATIO, as in gannet tune (repeatable)")
      ->type_name("PATTERN=RATIO")->needs(train);
  command->add_flag("--serve", arguments->serve, "answer lines 'run N' and 'outputs DIR' on standard input");
  add_compile_arguments(*command, arguments->compile);
  return command;
}

}  // namespace gannet
