// Every op answers for its gradient: a case of the table differentiates it, or it gives the reason why there is none.
#include <gtest/gtest.h>

#include <set>

#include "ir/gradient_rule.h"
#include "ir/op.h"
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

using Family = void (*)(Cases&);

void run(Family family) {
  Cases cases;
  family(cases);
  for (const Case& c : cases.all()) expect_gradients(c.name, c.model, c.inputs, c.check);
}

TEST(GradientTable, Elementwise) { run(elementwise_cases); }
TEST(GradientTable, Contractions) { run(contraction_cases); }
TEST(GradientTable, Pooling) { run(pooling_cases); }
TEST(GradientTable, Movement) { run(movement_cases); }
TEST(GradientTable, Indexing) { run(indexing_cases); }
TEST(GradientTable, Reductions) { run(reduction_cases); }
TEST(GradientTable, Normalization) { run(normalization_cases); }
TEST(GradientTable, Losses) { run(loss_cases); }
TEST(GradientTable, Attention) { run(attention_cases); }
TEST(GradientTable, Recurrent) { run(recurrent_cases); }
TEST(GradientTable, Spatial) { run(spatial_cases); }
TEST(GradientTable, Signal) { run(signal_cases); }
TEST(GradientTable, Quantization) { run(quantization_cases); }
TEST(GradientTable, ControlFlow) { run(control_flow_cases); }
TEST(GradientTable, Sequences) { run(sequence_cases); }

// Names of the ops that the model of a case is built of, subgraphs included.
std::set<std::string_view> ops_of(const Case& c) {
  Graph graph;
  std::vector<Value*> operands;
  for (const Tensor& input : c.inputs) operands.push_back(graph.add_input("x", Type::tensor(input.dtype(), to_shape(input.extents()))));
  GraphBuilder b(graph);
  c.model(b, operands);
  std::set<std::string_view> names;
  for_each_node(graph, [&](const Node& node) { names.insert(node.op().name); });
  return names;
}

Cases all_cases() {
  Cases cases;
  for (Family family : {elementwise_cases, contraction_cases, pooling_cases, movement_cases, indexing_cases, reduction_cases, normalization_cases,
                        loss_cases, attention_cases, recurrent_cases, spatial_cases, signal_cases, quantization_cases, control_flow_cases, sequence_cases}) {
    family(cases);
  }
  return cases;
}

// What gradient penalties pass: layers, activations, norms and losses of networks.
TEST(GradientTable, NetworksHaveSecondOrder) {
  std::set<std::string_view> twice;
  const Cases cases = all_cases();
  for (const Case& c : cases.all()) {
    if (c.check.order == 2) twice.merge(ops_of(c));
  }
  for (const char* op :
       {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool",
        "BatchNormalization", "LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization",
        "MeanVarianceNormalization", "LpNormalization", "LRN", "Dropout", "Softmax", "LogSoftmax", "Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Celu",
        "Selu", "Sigmoid", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Mish", "Gelu", "Swish", "Tanh", "Clip", "Shrink",
        "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss", "Attention", "Resize", "Pad", "Gather", "If", "Loop", "Scan"}) {
    EXPECT_TRUE(twice.contains(op)) << op << " has no case of the second order";
  }
}

TEST(GradientTable, NoOpIsForgotten) {
  Cases cases = all_cases();
  EXPECT_GE(cases.all().size(), 600u);
  RecordProperty("cases", static_cast<int>(cases.all().size()));
  std::set<std::string_view> seen;
  for (const Case& c : cases.all()) seen.merge(ops_of(c));
  // Formed behind differentiation, or by the gradients of recurrent layers, which have none of their own; gradients
  // through rounding are not seen in differences (quantization_gradient_test.cpp).
  std::set<std::string_view> elsewhere = {"Fused",          "GRUGradient",           "LSTMGradient", "RNNGradient",
                                          "QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv",  "QLinearMatMul"};
  for (const OpDef& op : all_ops()) {
    bool floats = !op.body || (op.types & kFloats);
    bool compares = op.name == "Equal" || op.name.starts_with("Less") || op.name.starts_with("Greater") || op.name.starts_with("Is");
    const GradientRule& rule = gradient_rule(op);
    EXPECT_TRUE(rule.vjp || op.decompose || rule.for_gradient) << op.name;
    if (!floats || compares || !op.no_gradient.empty() || elsewhere.contains(op.name)) continue;
    EXPECT_TRUE(seen.contains(op.name)) << op.name << " has no case";
  }
}

}  // namespace
}  // namespace gannet::test
