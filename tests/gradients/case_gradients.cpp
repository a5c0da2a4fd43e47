#include "tests/gradients/case_gradients.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "frontend/import.h"
#include "frontend/pb_file.h"
#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/vjp.h"
#include "passes/differentiate.h"
#include "passes/widen_model.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

namespace fs = std::filesystem;

// A graph whose inputs are tensors, and whose only result is a number.
struct Problem {
  std::unique_ptr<Graph> graph;
  std::vector<Datum> inputs;
  std::vector<size_t> variables;   // among the inputs
  std::vector<std::string> names;  // of the variables
  bool undefined = false;  // some results are NaN, and so are the slopes there: 0 times NaN
};

bool is_float_tensor(const Datum& datum) { return datum.is_tensor() && is_float(datum.tensor().dtype()); }

// Positive, so that roots and powers have gradients.
Tensor replacement(const std::vector<int64_t>& extents, uint64_t seed) {
  Tensor x = random_tensor(extents, seed);
  for (double& value : x.mutable_data<double>()) value = (value + 1.1) / 2;
  return x;
}

bool was_set(const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double size = std::abs(x.double_at(i));
    if (size != 0 && std::isfinite(size) && (size < 1e-38 || size > 1e30)) return false;
  }
  return true;
}

Result<std::vector<Datum>> read_inputs(const Graph& graph, const fs::path& folder) {
  std::vector<Datum> inputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    inputs.push_back(TRY(read_pb((folder / fmt::format("input_{}.pb", i)).string(), &graph.inputs()[i]->type)));
    Datum& input = inputs.back();
    if (!is_float_tensor(input) || was_set(input.tensor())) continue;
    input = TRY(convert(replacement(input.tensor().extents(), i + 1), input.tensor().dtype()));
  }
  return inputs;
}

class InputSplitter {
 public:
  InputSplitter(Problem& problem, Graph& graph) : problem_(problem), graph_(graph), b_(graph, first_of(graph)) {}

  // Each input anew: f64 for floats, and the parts of a container one by one.
  Status run(const std::vector<Datum>& data) {
    const size_t count = graph_.inputs().size();
    std::vector<Value*> old = graph_.inputs();
    for (size_t i = 0; i < count; ++i) graph_.replace_uses(old[i], TRY(built(data[i], old[i]->type, old[i]->name)));
    for (size_t i = 0; i < count; ++i) graph_.erase_input(0);
    return b_.status();
  }

 private:
  static Node* first_of(Graph& graph) { return graph.nodes().empty() ? nullptr : graph.nodes().front().get(); }

  Result<Value*> built(const Datum& datum, const Type& type, const std::string& name) {
    if (datum.kind() == Datum::Kind::kSequence) {
      std::vector<Value*> parts;
      for (const Datum& element : datum.elements()) parts.push_back(TRY(built(element, element.type(), name)));
      if (parts.empty()) return b_.op("SequenceEmpty", {}, {{"dtype", type.element->dtype}});
      return b_.op("SequenceConstruct", parts);
    }
    if (datum.kind() == Datum::Kind::kOptional && datum.has_element()) {
      return b_.op("Optional", {TRY(built(datum.element(), *type.element, name))});
    }
    if (datum.is_tensor() && !is_float_tensor(datum)) return b_.constant(datum.tensor());
    Value* input = graph_.add_input(name, type);
    if (!datum.is_tensor()) {
      problem_.inputs.push_back(datum);
      return input;
    }
    problem_.variables.push_back(problem_.inputs.size());
    problem_.names.push_back(name);
    problem_.inputs.push_back(TRY(convert(datum.tensor(), DType::kF64)));
    input->type.dtype = DType::kF64;
    return b_.cast(input, datum.tensor().dtype());
  }

  Problem& problem_;
  Graph& graph_;
  GraphBuilder b_;
};

// The weighted sum of the finite elements of a float tensor, whose result was `datum`.
Value* weighted_sum(GraphBuilder& b, Value* y, const Tensor& datum, uint64_t seed) {
  std::vector<int64_t> finite;
  for (int64_t i = 0; i < datum.elements(); ++i) {
    if (std::isfinite(datum.double_at(i))) finite.push_back(i);
  }
  if (finite.empty()) return nullptr;
  const int64_t count = static_cast<int64_t>(finite.size());
  Value* flat = b.reshape(b.cast(y, DType::kF64), {Dim(datum.elements())});
  if (count < datum.elements()) flat = b.op("Gather", {flat, b.constant(Tensor::of_ints(finite))});
  return b.reduce_sum(b.mul(flat, b.constant(random_tensor({count}, seed))), {0}, false);
}

class Loss {
 public:
  explicit Loss(Graph& graph) : b_(graph) {}

  void add(Value* y, const Datum& datum) {
    if (is_float_tensor(datum)) {
      for (int64_t i = 0; i < datum.tensor().elements(); ++i) undefined_ |= std::isnan(datum.tensor().double_at(i));
      Value* part = weighted_sum(b_, y, datum.tensor(), ++parts_);
      if (part) sum_ = sum_ ? b_.add(sum_, part) : part;
    } else if (datum.kind() == Datum::Kind::kSequence) {
      for (size_t i = 0; i < datum.elements().size(); ++i) {
        Value* place = b_.constant(Tensor::scalar<int64_t>(static_cast<int64_t>(i)));
        if (is_float_tensor(datum.elements()[i])) add(b_.op("SequenceAt", {y, place}), datum.elements()[i]);
      }
    } else if (datum.kind() == Datum::Kind::kOptional && datum.has_element()) {
      add(b_.op("OptionalGetElement", {y}), datum.element());
    }
  }
  Value* sum() const { return sum_; }
  bool undefined() const { return undefined_; }
  const Status& status() const { return b_.status(); }

 private:
  GraphBuilder b_;
  Value* sum_ = nullptr;
  bool undefined_ = false;
  uint64_t parts_ = 0;
};

// A problem without a graph has nothing to differentiate.
Result<Problem> make_problem(const fs::path& folder) {
  Problem problem;
  Result<ImportedModel> model = import_model((folder / "model.onnx").string());
  if (!model.ok()) return problem;
  std::unique_ptr<Graph> graph = std::move(model->graph);
  Result<std::vector<Datum>> inputs = read_inputs(*graph, folder / "test_data_set_0");
  if (!inputs.ok()) return problem;
  Result<EvaluateResult> results = evaluate(*graph, *inputs);
  if (!results.ok()) return problem;
  Loss loss(*graph);
  for (size_t i = 0; i < graph->outputs.size(); ++i) loss.add(graph->outputs[i].value, results->outputs[i]);
  TRY(Status(loss.status()));
  if (!loss.sum()) return problem;
  problem.undefined = loss.undefined();
  graph->outputs = {{"loss", loss.sum()}};
  TRY(InputSplitter(problem, *graph).run(*inputs));
  TRY(widen_model(*graph, DType::kF64));
  TRY(infer_graph(*graph));
  if (!problem.variables.empty()) problem.graph = std::move(graph);
  return problem;
}

class Comparison {
 public:
  Comparison(const Graph& plain, const Problem& problem) : plain_(plain), problem_(problem) {}

  // Why the gradient of variable `n` is wrong; empty when it is right.
  std::string compare(size_t n, const Tensor* gradient, int64_t most_elements, int64_t& compared) const {
    const Tensor& x = problem_.inputs[problem_.variables[n]].tensor();
    if (gradient && gradient->extents() != x.extents()) return fmt::format("the gradient is {}", type_string(*gradient));
    std::vector<int64_t> places(static_cast<size_t>(x.elements()));
    std::iota(places.begin(), places.end(), 0);
    if (x.elements() > most_elements) {
      Random(n).shuffle(std::span<int64_t>(places));
      places.resize(static_cast<size_t>(most_elements));
    }
    for (int64_t place : places) {
      const std::string reason = judged(n, place, gradient ? gradient->double_at(place) : 0);
      if (!reason.empty()) return fmt::format("element {}: {}", place, reason);
      ++compared;
    }
    return "";
  }

 private:
  // NaN where the model refuses the input.
  double loss(size_t n, int64_t place, double step) const {
    std::vector<Datum> inputs = problem_.inputs;
    inputs[problem_.variables[n]].tensor().mutable_data<double>()[static_cast<size_t>(place)] += step;
    const Result<EvaluateResult> result = evaluate(plain_, std::move(inputs));
    return result.ok() ? result->outputs[0].tensor().double_at(0) : std::nan("");
  }

  // The slope over `step`, which may be negative, with an error of second order.
  double slope(size_t n, int64_t place, double step) const {
    const double here = loss(n, place, 0);
    const double half = (loss(n, place, step / 2) - here) / (step / 2);
    return 2 * half - (loss(n, place, step) - here) / step;
  }

  std::string judged(size_t n, int64_t place, double gradient) const {
    const double x = problem_.inputs[problem_.variables[n]].tensor().double_at(place);
    const double step = 1e-4 * std::max(1.0, std::abs(x));
    const double wide = (loss(n, place, step) - loss(n, place, -step)) / (2 * step);
    const double narrow = (loss(n, place, step / 2) - loss(n, place, -step / 2)) / step;
    const double difference = (4 * narrow - wide) / 3;
    const double tolerance = kTolerance * (1 + std::abs(difference));
    if (std::abs(gradient - difference) <= tolerance || (std::isnan(gradient) && problem_.undefined)) return "";
    double low = slope(n, place, -step / 100), high = slope(n, place, step / 100);
    const double nearer_low = slope(n, place, -step / 10000), nearer_high = slope(n, place, step / 10000);
    if (std::isinf(gradient) && (grows(low, nearer_low, gradient) || grows(high, nearer_high, gradient))) return "";
    const bool no_left = std::isnan(low) || jumps(low, nearer_low), no_right = std::isnan(high) || jumps(high, nearer_high);
    if (no_left && no_right) return "";
    if (no_left) low = high;
    if (no_right) high = low;
    const double slack = 10 * kTolerance * (1 + std::min(std::abs(low), std::abs(high)));
    if (gradient >= std::min(low, high) - slack && gradient <= std::max(low, high) + slack) return "";
    return fmt::format("gradient {:.9g}, difference {:.9g} ({:.9g} to the left, {:.9g} to the right)", gradient, difference, low, high);
  }

  // With a step of a hundredth, to the hundredfold.
  static bool jumps(double slope, double nearer) { return std::abs(nearer) > 50 * std::abs(slope) && std::abs(nearer) > 1e4; }
  // As the slope of a root does at 0.
  static bool grows(double slope, double nearer, double gradient) {
    return std::abs(nearer) > 3 * std::abs(slope) && std::signbit(nearer) == std::signbit(gradient);
  }

  static constexpr double kTolerance = 1e-5;
  const Graph& plain_;
  const Problem& problem_;
};

Status compare_all(const std::string& folder, int64_t most_elements, CaseGradients& result) {
  Problem problem = TRY(make_problem(folder));
  if (!problem.graph) return {};
  const std::unique_ptr<Graph> plain = problem.graph->clone();
  std::vector<Value*> variables;
  for (size_t i : problem.variables) variables.push_back(problem.graph->inputs()[i]);
  const std::vector<Value*> gradients = TRY(differentiate(*problem.graph, problem.graph->outputs[0].value, variables));
  for (Value* gradient : gradients) {
    if (gradient) problem.graph->outputs.push_back({"gradient", gradient});
  }
  const EvaluateResult evaluated = TRY(evaluate(*problem.graph, problem.inputs));
  const Comparison comparison(*plain, problem);
  size_t next = 1;
  for (size_t n = 0; n < gradients.size(); ++n) {
    const Tensor* gradient = gradients[n] ? &evaluated.outputs[next++].tensor() : nullptr;
    std::string reason = comparison.compare(n, gradient, most_elements, result.elements);
    if (!reason.empty()) result.differences.push_back({problem.names[n], std::move(reason)});
  }
  return {};
}

}  // namespace

CaseGradients check_case_gradients(const std::string& folder, int64_t most_elements) {
  CaseGradients result;
  const Status status = compare_all(folder, most_elements, result);
  if (!status.ok()) result.differences.push_back({"", status.error().message});
  return result;
}

}  // namespace gannet::test
