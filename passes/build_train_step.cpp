#include "passes/build_train_step.h"

#include <unordered_set>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/differentiate.h"

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
    if (fits && !depends_on_state(model, output.value)) return invalid_input(fmt::format("output '{}' depends on no weight that is trained", name));
    if (!fits) return invalid_input(fmt::format("output '{}' is {}, a loss needs floating point", name, to_string(output.value->type)));
    return i;
  }
  if (name.empty()) return invalid_input("no floating point output of the model depends on a weight that is trained");
  return invalid_input(fmt::format("the model has no output '{}'; it has {}", name, all));
}

// The logits when `value` is a softmax over its class axis, looking through reshapes that older exports put around it.
Value* logits_before(Value* value) {
  Node* node = value->producer();
  while (node && (node->op().name == "Reshape" || node->op().name == "Flatten" || node->op().name == "Identity") &&
         node->input(0)->type.shape == value->type.shape) {
    node = node->input(0)->producer();
  }
  if (node == nullptr || node->op().name != "Softmax") return nullptr;
  int64_t rank = node->output()->type.rank();
  int64_t axis = node->attrs.integer("axis");
  bool over_classes = rank > 1 && (axis == 1 || axis == 1 - rank);
  return over_classes ? node->input(0) : nullptr;
}

Result<Value*> build_loss(GraphBuilder& b, Loss loss, Value* prediction) {
  if (!prediction->type.shape) return unsupported(fmt::format("the rank of '{}' is not known", prediction->name));
  Shape shape = *prediction->type.shape;
  if (loss == Loss::kMse) {
    Value* target = b.graph().add_input("target", prediction->type);
    Value* difference = b.sub(prediction, target);
    std::vector<int64_t> axes;
    for (size_t i = 0; i < shape.size(); ++i) axes.push_back(static_cast<int64_t>(i));
    return b.reduce_mean(b.mul(difference, difference), axes, false);
  }
  if (shape.size() < 2) {
    return invalid_input(fmt::format("cross entropy needs logits of shape [batch, classes], the output is {}", to_string(prediction->type)));
  }
  // Trailing dimensions of 1 (global pooling) are not label positions.
  while (shape.size() > 2 && shape.back().is_constant(1)) shape.pop_back();
  Value* logits = b.reshape(prediction, shape);
  Shape label_shape = shape;
  label_shape.erase(label_shape.begin() + 1);
  Value* target = b.graph().add_input("target", Type::tensor(DType::kI64, label_shape));
  return b.op("SoftmaxCrossEntropyLoss", {logits, target}, {{"reduction", std::string("mean")}});
}

}  // namespace

Result<TrainStep> build_train_step(const Graph& model, Loss loss, const std::string& output_name) {
  TrainStep step;
  step.graph = model.clone();
  Graph& graph = *step.graph;
  GraphOutput output = graph.outputs[TRY(choose_output(graph, output_name))];
  step.trained_output = output.name;
  Value* prediction = output.value;
  if (Value* logits = loss == Loss::kCrossEntropy ? logits_before(prediction) : nullptr) {
    prediction = logits;
    step.skipped_ending = "Softmax";
  }
  GraphBuilder b(graph);
  Value* loss_value = TRY(build_loss(b, loss, prediction));
  TRY(Status(b.status()));
  graph.outputs.assign(1, {"loss", loss_value});

  std::vector<Value*> weights;
  for (const State& state : graph.states) weights.push_back(state.in);
  std::vector<Value*> gradients = TRY(differentiate(graph, loss_value, weights));
  Value* rate = graph.add_input("learning_rate", Type::tensor(DType::kF32, Shape{}));
  for (size_t i = 0; i < weights.size(); ++i) {
    if (gradients[i] == nullptr) continue;
    Value* scaled = b.mul(b.cast(rate, gradients[i]->type.dtype), gradients[i]);
    graph.states[i].out = b.sub(weights[i], scaled);
  }
  TRY(Status(b.status()));
  erase_dead_nodes(graph);
  return step;
}

}  // namespace gannet
