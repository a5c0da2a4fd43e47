#include "passes/build_train_step.h"

#include <algorithm>
#include <span>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/averaged_instance.h"
#include "passes/differentiate.h"
#include "passes/pass.h"
#include "passes/train_batch_normalization.h"
#include "passes/twin_model.h"

namespace gannet {

namespace {

bool depends_on_state(const Graph& graph, const Value* value) {
  std::unordered_set<const Value*> states, seen = {value};
  for (const State& state : graph.states) states.insert(state.in);
  std::vector<const Value*> open = {value};
  while (!open.empty()) {
    const Value* next = open.back();
    open.pop_back();
    if (states.contains(next)) return true;
    if (next->producer() == nullptr) continue;
    for (const Value* operand : next->producer()->inputs()) {
      if (operand && seen.insert(operand).second) open.push_back(operand);
    }
  }
  return false;
}

Result<size_t> choose_output(const Graph& model, const std::string& name) {
  std::string all;
  for (size_t i = 0; i < model.outputs.size(); ++i) {
    const GraphOutput& output = model.outputs[i];
    all += fmt::format("{}'{}'", i == 0 ? "" : ", ", output.name);
    bool fits = output.value->type.is_tensor() && is_float(output.value->type.dtype);
    if (name.empty() && fits && depends_on_state(model, output.value)) return i;
    if (name != output.name) continue;
    if (fits && !depends_on_state(model, output.value))
      return invalid_input(fmt::format("output '{}' depends on no weight that is trained", name));
    if (!fits)
      return invalid_input(
          fmt::format("output '{}' is {}, a loss needs floating point", name, to_string(output.value->type)));
    return i;
  }
  if (name.empty())
    return invalid_input("no floating point output of the model depends on a weight that is trained");
  return invalid_input(fmt::format("the model has no output '{}'; it has {}", name, all));
}

// A widened model gives its outputs in the types of the file; the loss reads them before that rounding.
Value* before_rounding(Value* value) {
  const Node* node = value->producer();
  if (node == nullptr || node->op().name != "Cast") return value;
  DType from = node->input(0)->type.dtype, to = value->type.dtype;
  return is_float(from) && is_float(to) && element_bits(from) > element_bits(to) ? node->input(0) : value;
}

// Whether a node gives its operand as it is, but perhaps rounded to a code.
bool passes_on(const Node& node, const Shape& shape) {
  const std::string_view op = node.op().name;
  if (op == "DequantizeLinear") return node.input(0)->producer() && node.input(0)->producer()->op().name == "QuantizeLinear";
  if (op == "QuantizeLinear") return true;
  return (op == "Reshape" || op == "Flatten" || op == "Identity") && node.input(0)->type.shape == shape;
}

// What an ending is applied to, looking through reshapes that older exports put around it and codes that quantized
// ones do; null when `value` does not end in one that goes with the loss.
Value* before_ending(Value* value, const LossOptions& loss, std::string& ending) {
  Node* node = value->producer();
  while (node && value->type.shape && passes_on(*node, *value->type.shape)) node = node->input(0)->producer();
  if (node == nullptr) return nullptr;
  std::string_view op = node->op().name;
  if (loss.kind == Loss::kBinaryCrossEntropy) {
    if (op != "Sigmoid") return nullptr;
  } else {
    if ((op != "Softmax" && op != "LogSoftmax") || !has_classes(loss.kind)) return nullptr;
    int64_t rank = node->output()->type.rank(), axis = node->attrs.integer("axis"), classes = loss.class_axis;
    if (axis < 0) axis += rank;
    if (classes < 0) classes += rank;
    if (rank < 2 || axis != classes) return nullptr;
  }
  ending = op;
  return node->input(0);
}

Value* add_scalar_input(Graph& graph, const std::string& name) {
  bool wide = std::ranges::any_of(graph.states,
                                  [](const State& state) { return state.initial.dtype() == DType::kF64; });
  return graph.add_input(name, Type::tensor(wide ? DType::kF64 : DType::kF32, Shape{}));
}

// Adds each gradient, scaled, to a State of its own.
Status accumulate(GraphBuilder& b, const std::vector<Value*>& gradients) {
  Graph& graph = b.graph();
  Value* scale = add_scalar_input(graph, "gradient_scale");
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i] == nullptr) continue;
    const Tensor& weight = graph.states[i].initial;
    std::string name = "gradient/" + graph.states[i].name;
    Value* sum = graph.add_state_value(name, graph.states[i].in->type);
    ScalarExpr body = ScalarExpr::arg(0) + ScalarExpr::arg(2) * ScalarExpr::arg(1);
    Value* next = b.map(body, {sum, gradients[i], b.cast(scale, weight.dtype())});
    graph.states.push_back({name, sum, next, Tensor::zeros(weight.dtype(), weight.extents()), {}});
  }
  return b.status();
}

// The second graph of accumulation: from the sums of gradients to new weights.
Result<std::unique_ptr<Graph>> build_apply(const Graph& accumulating, const std::vector<Value*>& gradients,
                                           const OptimizerOptions& options) {
  auto graph = std::make_unique<Graph>("apply");
  GraphBuilder b(*graph);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const State& weight = accumulating.states[i];
    if (gradients[i] == nullptr) continue;
    Value* in = graph->add_state_value(weight.name, weight.in->type);
    graph->states.push_back({weight.name, in, nullptr, weight.initial, weight.origin});
  }
  Value* rate = add_scalar_input(*graph, "learning_rate");
  std::vector<Value*> sums;
  size_t weights = graph->states.size();
  for (const State& sum : std::span<const State>(accumulating.states).subspan(gradients.size())) {
    Value* in = graph->add_state_value(sum.name, sum.in->type);
    sums.push_back(in);
    graph->states.push_back({sum.name, in, b.full(*in->type.shape, in->type.dtype, 0), sum.initial, {}});
  }
  CHECK(sums.size() == weights, "{} sums of gradients for {} weights", sums.size(), weights);
  Value* norm = TRY(build_update(b, options, sums, rate));
  graph->outputs = {{"gradient_norm", norm}};
  TRY(Status(b.status()));
  erase_dead_nodes(*graph);
  return graph;
}

bool has_teacher(const TrainStepOptions& options) {
  return options.weak && options.weak->method == WeakMethod::kMeanTeacher;
}

Result<AveragedInstance> add_teacher(Graph& graph, const TrainStepOptions& options,
                                     const std::vector<const Value*>& shared) {
  if (options.optimizer.ema_decay == 0)
    return invalid_input("a mean teacher needs a decay of its moving averages");
  return add_averaged_instance(graph, shared);
}

// What the loss reads of an output of the model.
Value* scores_of(Value* prediction, const LossOptions& loss, std::string& ending) {
  Value* exact = before_rounding(prediction);
  Value* scores = before_ending(exact, loss, ending);
  return scores ? scores : exact;
}

struct StepLoss {
  Value* minimized = nullptr;
  std::vector<GraphOutput> outputs;   // "loss" first
  std::optional<State> counter = {};  // the last of all
};

Result<StepLoss> build_step_loss(GraphBuilder& b, const TrainStepOptions& options,
                                 const AveragedInstance& teacher, std::string& ending) {
  Value* scores = scores_of(b.graph().outputs[0].value, options.loss, ending);
  if (options.weak) {
    if (options.co_teaching) return invalid_input("co-teaching does not go with rows without labels");
    Value* wanted = teacher.outputs.empty() ? nullptr : scores_of(teacher.outputs[0], options.loss, ending);
    WeakLoss weak = TRY(build_weak_loss(b, options.loss, *options.weak, scores, wanted));
    StepLoss loss = {weak.loss, {{"loss", weak.loss}}};
    loss.outputs.insert(loss.outputs.end(), weak.measures.begin(), weak.measures.end());
    return loss;
  }
  if (!options.co_teaching) {
    Value* loss = TRY(build_loss(b, options.loss, scores));
    return StepLoss{loss, {{"loss", loss}}};
  }
  Value* second = TRY(add_twin(b.graph(), scores, options.co_teaching->initial));
  CoTeachingLoss loss = TRY(build_co_teaching_loss(b, *options.co_teaching, options.loss, scores, second));
  return StepLoss{loss.minimized, {{"loss", loss.reported}}, std::move(loss.batches)};
}

std::vector<std::string> state_names(const Graph* graph) {
  std::vector<std::string> names;
  if (graph) std::ranges::transform(graph->states, std::back_inserter(names), &State::name);
  return names;
}

}  // namespace

Result<TrainStep> build_train_step(const Graph& model, const TrainStepOptions& options) {
  TrainStep step;
  step.graph = model.clone();
  Graph& graph = *step.graph;
  GraphOutput output = graph.outputs[TRY(choose_output(graph, options.output_name))];
  step.trained_output = output.name;
  graph.outputs.assign(1, output);
  step.running_statistics = TRY(train_batch_normalization(graph, options.batch_norm_momentum));
  erase_dead_nodes(graph);
  PassContext context;
  TRY(run_passes(graph, "hoist_selections", context));
  std::vector<const Value*> shared;
  if (!options.dropout.empty()) {
    Value* seed = graph.add_input("seed", Type::tensor(DType::kI64, Shape{}));
    TRY(insert_dropout(graph, options.dropout, seed));
    shared.push_back(seed);
  }
  AveragedInstance teacher;
  if (has_teacher(options)) teacher = TRY(add_teacher(graph, options, shared));
  Value* prediction = graph.outputs[0].value;
  GraphBuilder b(graph);
  StepLoss loss = TRY(build_step_loss(b, options, teacher, step.skipped_ending));
  graph.outputs = loss.outputs;
  if (options.prediction) graph.outputs.push_back({"prediction", prediction});

  size_t weights = graph.states.size();
  std::vector<Value*> variables;
  for (const State& state : graph.states) variables.push_back(state.in);
  std::vector<Value*> gradients = TRY(differentiate(graph, loss.minimized, variables));
  if (options.accumulate) {
    TRY(accumulate(b, gradients));
    step.apply = TRY(build_apply(graph, gradients, options.optimizer));
    size_t count = gradients.size() - static_cast<size_t>(std::ranges::count(gradients, nullptr));
    for (const State& state : std::span<const State>(step.apply->states).first(count)) {
      if (state.out) step.weights.push_back(state.name);
    }
  } else {
    Value* norm =
        TRY(build_update(b, options.optimizer, gradients, add_scalar_input(graph, "learning_rate")));
    if (options.gradient_norm) graph.outputs.push_back({"gradient_norm", norm});
    for (size_t i = 0; i < weights; ++i) {
      if (gradients[i] && graph.states[i].out) step.weights.push_back(graph.states[i].name);
    }
  }
  if (loss.counter) graph.states.push_back(*std::move(loss.counter));
  TRY(Status(b.status()));
  connect_averages(graph, teacher, state_names(step.apply.get()));
  erase_dead_nodes(graph);
  return step;
}

Result<TrainStep> build_train_step(const Graph& model, Loss loss, const std::string& output_name) {
  TrainStepOptions options;
  options.loss.kind = loss;
  options.output_name = output_name;
  return build_train_step(model, options);
}

}  // namespace gannet
