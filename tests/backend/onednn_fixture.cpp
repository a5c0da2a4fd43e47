#include "tests/backend/onednn_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/backend.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/parse.h"
#include "passes/pass.h"
#include "runtime/core/session.h"
#include "runtime/kernels/program_library.h"
#include "tests/support/run_op.h"

namespace gannet::test {

std::unique_ptr<Session> session_on(const CompiledProgram& compiled, int threads) {
  SessionOptions options;
  options.threads = threads;
  options.primitives = *make_program_library(*compiled.program);
  Result<std::unique_ptr<Session>> session = Session::create(compiled.program, options);
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

namespace {

constexpr std::string_view kContractions[] = {"Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "AveragePool", "LSTM", "GRU", "RNN"};

CompiledProgram compiled_by_onednn(const Graph& graph) {
  Result<CompiledProgram> compiled = lower_to_program(graph, [] {
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_onednn_backend({}));
    return backends;
  });
  EXPECT_TRUE(compiled.ok()) << compiled.error().message;
  return *std::move(compiled);
}

void expect_all_taken(const CompiledProgram& compiled) {
  for (const Placement& placement : compiled.placements) {
    const bool contraction = std::ranges::any_of(kContractions, [&](std::string_view op) { return placement.op.starts_with(op); });
    if (!contraction && placement.op != "Fused") continue;
    std::string why;
    for (const std::string& reason : placement.refused) why += reason + "; ";
    EXPECT_EQ(placement.backend, "onednn") << placement.node << ": " << why;
  }
}

void expect_one_primitive(const Graph& graph) {
  const CompiledProgram compiled = compiled_by_onednn(graph);
  int primitives = 0;
  for (const Step& step : compiled.program->steps) {
    if (const EvalCall* call = std::get_if<EvalCall>(&step.call)) ADD_FAILURE() << call->op << " is a step of its own";
    primitives += std::holds_alternative<PrimitiveCall>(step.call);
  }
  EXPECT_EQ(primitives, 1);
}

void expect_close(const Tensor& given, const Tensor& expected, double tolerance) {
  ASSERT_EQ(type_string(given), type_string(expected));
  double largest = 1e-6;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    if (std::isfinite(expected.double_at(i))) largest = std::max(largest, std::abs(expected.double_at(i)));
  }
  for (int64_t i = 0; i < expected.elements(); ++i) {
    if (std::isnan(expected.double_at(i)) && std::isnan(given.double_at(i))) continue;
    if (std::isinf(expected.double_at(i)) && expected.double_at(i) == given.double_at(i)) continue;
    ASSERT_NEAR(given.double_at(i), expected.double_at(i), tolerance * std::max(largest, 1.0)) << "element " << i;
  }
}

std::vector<Datum> data_of(const std::vector<Tensor>& tensors) {
  std::vector<Datum> data;
  for (const Tensor& tensor : tensors) data.emplace_back(tensor);
  return data;
}

void expect_runs(const Graph& graph, const std::vector<std::vector<Datum>>& runs, double tolerance) {
  const CompiledProgram compiled = compiled_by_onednn(graph);
  expect_all_taken(compiled);
  const std::unique_ptr<Session> one = session_on(compiled, 1), two = session_on(compiled, 2);
  for (const std::vector<Datum>& inputs : runs) {
    const Result<EvaluateResult> expected = evaluate(graph, inputs);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const Result<std::vector<Datum>> single = one->run(inputs);
    ASSERT_TRUE(single.ok()) << single.error().message;
    for (int round = 0; round < 2; ++round) {
      const Result<std::vector<Datum>> dual = two->run(inputs);
      ASSERT_TRUE(dual.ok()) << dual.error().message;
      for (size_t i = 0; i < single->size(); ++i) {
        EXPECT_TRUE((*single)[i].tensor().identical((*dual)[i].tensor())) << "other bits on two threads";
        expect_close((*single)[i].tensor(), expected->outputs[i].tensor(), tolerance);
      }
    }
  }
}

std::unique_ptr<Graph> parsed(std::string_view text) {
  Result<std::unique_ptr<Graph>> graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  return graph.ok() ? *std::move(graph) : std::make_unique<Graph>();
}

// Inputs from the second on become constants.
void hold_constants(Graph& graph, const std::vector<Tensor>& inputs) {
  Node* first = graph.nodes().empty() ? nullptr : graph.nodes().front().get();
  for (size_t i = inputs.size(); i-- > 1;) {
    graph.replace_uses(graph.inputs()[i], graph.add_constant(inputs[i], "", first));
    graph.erase_input(i);
  }
}

constexpr std::string_view kFuse = "fuse_contractions";
constexpr std::string_view kChannelsLast = "channels_last,move_transposes,fuse_contractions";

void rewrite(Graph& graph, std::string_view passes) {
  PassContext context;
  const Status status = run_passes(graph, passes, context);
  ASSERT_TRUE(status.ok()) << status.error().message;
}

}  // namespace

Tensor uniform(std::vector<int64_t> extents, uint64_t seed) {
  Result<Tensor> tensor = convert(random_tensor(std::move(extents), seed), DType::kF32);
  return *std::move(tensor);
}

void expect_onednn(std::string_view text, const std::vector<Tensor>& inputs, const OnednnCase& options) {
  SCOPED_TRACE(std::string(text));
  for (const bool constant : {false, true}) {
    for (const std::string_view passes : {std::string_view(), kFuse, kChannelsLast}) {
      SCOPED_TRACE(std::string(constant ? "constant weights, passes " : "weights as inputs, passes ") + std::string(passes));
      const std::unique_ptr<Graph> graph = parsed(text);
      if (constant) hold_constants(*graph, inputs);
      rewrite(*graph, passes);
      const bool channels_last = text.find("= Transpose(") != std::string_view::npos;
      if (options.one_step && passes == (channels_last ? kChannelsLast : kFuse)) expect_one_primitive(*graph);
      expect_runs(*graph, {data_of(constant ? std::vector<Tensor>{inputs[0]} : inputs)}, options.tolerance);
    }
  }
}

void expect_onednn_over_shapes(std::string_view text, const std::vector<std::vector<Tensor>>& runs) {
  SCOPED_TRACE(std::string(text));
  std::vector<std::vector<Datum>> data;
  for (const std::vector<Tensor>& inputs : runs) data.push_back(data_of(inputs));
  for (const std::string_view passes : {std::string_view(), kFuse, kChannelsLast}) {
    const std::unique_ptr<Graph> graph = parsed(text);
    rewrite(*graph, passes);
    expect_runs(*graph, data, 2e-5);
  }
}

void expect_onednn_with_weights(std::string_view text, const std::vector<Tensor>& weights, const std::vector<Tensor>& runs) {
  SCOPED_TRACE(std::string(text));
  std::vector<Tensor> inputs{Tensor()};
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  std::vector<std::vector<Datum>> data;
  for (const Tensor& run : runs) data.push_back(data_of({run}));
  for (const std::string_view passes : {std::string_view(), kFuse}) {
    const std::unique_ptr<Graph> graph = parsed(text);
    hold_constants(*graph, inputs);
    rewrite(*graph, passes);
    expect_runs(*graph, data, 2e-5);
  }
}

void expect_onednn_node(const OnednnNode& node, bool constant_weights, bool symbolic, double tolerance) {
  constexpr size_t kInitialH = 5, kInitialC = 6, kLengths = 4;  // never weights, of the ops that have them
  Graph graph;
  std::vector<Value*> operands;
  std::vector<Datum> inputs;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const Tensor& tensor = node.operands[i];
    if (!tensor.defined()) {
      operands.push_back(nullptr);
      continue;
    }
    const bool weights = i > 0 && i != kInitialH && i != kInitialC && i != kLengths;
    if (weights && constant_weights) {
      operands.push_back(graph.add_constant(tensor));
      continue;
    }
    Shape shape;
    for (size_t axis = 0; axis < tensor.extents().size(); ++axis) {
      shape.push_back(symbolic && !weights ? Dim::symbol(fmt::format("n{}_{}", i, axis)) : Dim(tensor.extents()[axis]));
    }
    operands.push_back(graph.add_input(fmt::format("x{}", i), Type::tensor(tensor.dtype(), shape)));
    inputs.emplace_back(tensor);
  }
  GraphBuilder b(graph);
  std::vector<Value*> results = b.op_n(node.op, operands, node.attrs, node.wanted.size());
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  for (size_t i = 0; i < results.size(); ++i) {
    if (node.wanted[i]) graph.outputs.push_back({fmt::format("y{}", i), results[i]});
    else graph.drop_output(results[i]->producer(), i);
  }
  expect_runs(graph, {inputs}, tolerance);
}

int64_t scratch_of(std::string_view text, const std::vector<Tensor>& inputs) {
  const std::unique_ptr<Graph> graph = parsed(text);
  hold_constants(*graph, inputs);
  rewrite(*graph, kChannelsLast);
  const CompiledProgram compiled = compiled_by_onednn(*graph);
  expect_all_taken(compiled);
  const std::unique_ptr<Session> session = session_on(compiled, 2);
  const Result<std::vector<Datum>> outputs = session->run(data_of({inputs[0]}));
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message);
  int64_t most = 0;
  for (const PlannedMemory& part : session->plan()) {
    if (part.buffer == kNone) most = std::max(most, part.bytes);
  }
  return most;
}

std::string refusal_of(std::string_view text, std::string_view op) {
  const std::unique_ptr<Graph> graph = parsed(text);
  const CompiledProgram compiled = compiled_by_onednn(*graph);
  for (const Placement& placement : compiled.placements) {
    if (placement.op == op && !placement.refused.empty()) return placement.refused[0];
  }
  return "";
}

}  // namespace gannet::test
