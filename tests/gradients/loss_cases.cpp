#include "passes/training_loss.h"
#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_losses(Cases& cases) {
  Tensor labels = Tensor::from<int64_t>({2, 3}, {0, 3, 1, 2, 2, 1});
  for (const char* op : {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}) {
    for (const char* reduction : {"mean", "sum", "none"}) {
      Attributes attrs = {{"reduction", std::string(reduction)}};
      Attributes ignoring = attrs;
      ignoring.set("ignore_index", int64_t{2});
      cases.add({
          {op, attrs, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels, Tensor::from<double>({4}, {0.5, 1, 2, 3})}, {}},
          {op, attrs, {{3, 4}}, {list({1, 0, 3})}, {}},
      });
    }
  }
  cases.add({{"SoftmaxCrossEntropyLoss", {}, {{3, 4}}, {list({1, 0, 3})}, kTwice}});
}

// What training minimizes, for a fixed target.
static void add_training_loss(Cases& cases, const LossOptions& options, const Tensor& target) {
  Model model = [=](GraphBuilder& b, Operands x) -> Value* {
    Graph& graph = b.graph();
    Result<Value*> loss = build_loss(b, options, b.op("Sin", {x[0]}));
    if (!loss.ok()) return b.fail(loss.error()), x[0];
    Value* fixed = graph.add_constant(target, "", graph.nodes().front().get());
    graph.replace_uses(graph.inputs().back(), fixed);
    graph.erase_input(graph.inputs().size() - 1);
    return *loss;
  };
  cases.add("the loss " + std::string(name_of(options.kind)), model, {random_tensor({3, 4}, 5)}, kStatic);
}

static void add_training_losses(Cases& cases) {
  const Tensor numbers = random_tensor({3, 4}, 6), labels = list({1, 0, 3});
  Tensor chances = Tensor::zeros(DType::kF64, {3, 4});
  for (size_t i = 0; i < 12; ++i) chances.mutable_data<double>()[i] = i % 4 == 2 ? 0.4 : 0.2;
  add_training_loss(cases, {.kind = Loss::kMse}, numbers);
  add_training_loss(cases, {.kind = Loss::kL1}, numbers);
  add_training_loss(cases, {.kind = Loss::kHuber, .huber_delta = 0.5}, numbers);
  add_training_loss(cases, {.kind = Loss::kBinaryCrossEntropy, .class_weights = {1, 2, 0.5, 1}}, chances);
  add_training_loss(cases, {.kind = Loss::kKl}, chances);
  add_training_loss(cases, {.soft_labels = true, .label_smoothing = 0.1}, chances);
  for (const Loss kind : {Loss::kBootstrapSoft, Loss::kBootstrapHard, Loss::kGeneralizedCrossEntropy}) {
    add_training_loss(cases, {.kind = kind}, labels);
    add_training_loss(cases, {.kind = kind, .soft_labels = true, .class_weights = {1, 2, 0.5, 1}}, chances);
    add_training_loss(
        cases, {.kind = kind, .label_smoothing = 0.1, .class_weights = {1, 2, 0.5, 1}, .ignore_index = 3}, labels);
  }
  add_training_loss(cases, {.label_smoothing = 0.1, .class_weights = {1, 2, 0.5, 1}, .ignore_index = 3}, labels);
}

void loss_cases(Cases& cases) {
  add_losses(cases);
  add_training_losses(cases);
}

}  // namespace gannet::test
