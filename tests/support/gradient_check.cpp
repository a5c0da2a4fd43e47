#include "tests/support/gradient_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ir/evaluate.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "passes/differentiate.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

Type type_for(const Tensor& tensor, bool symbolic) {
  Shape shape;
  for (int64_t extent : tensor.extents()) {
    shape.push_back(symbolic && extent > 1 ? Dim::symbol(fmt::format("n{}", extent)) : Dim(extent));
  }
  return Type::tensor(tensor.dtype(), shape);
}

// The sum of all elements times fixed weights, which depend on the element's place alone.
Value* weighted_sum(GraphBuilder& b, Value* y, const std::vector<int64_t>& extents, uint64_t seed) {
  Value* product = b.mul(y, b.constant(random_tensor(extents, seed)));
  std::vector<int64_t> axes(extents.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  return b.reduce_sum(product, axes, false);
}

std::vector<Datum> as_data(const std::vector<Tensor>& tensors) { return {tensors.begin(), tensors.end()}; }

Result<std::vector<int64_t>> extents_of(Graph& graph, Value* value, const std::vector<Tensor>& inputs) {
  graph.outputs = {{"y", value}};
  return TRY(evaluate(graph, as_data(inputs))).outputs[0].tensor().extents();
}

struct Differentiated {
  Graph graph;
  std::unique_ptr<Graph> plain;  // gives the loss alone
  std::vector<size_t> variables;
};

Status differentiate_model(const Model& model, const std::vector<Tensor>& inputs, bool symbolic,
                           const GradientCheck& check, Differentiated& d) {
  std::vector<Value*> operands, variables;
  for (size_t i = 0; i < inputs.size(); ++i) {
    operands.push_back(d.graph.add_input(fmt::format("x{}", i),
                                         type_for(inputs[i], symbolic && !(check.fixed_weights && i > 0))));
    if (inputs[i].dtype() != DType::kF64) continue;
    variables.push_back(operands.back());
    d.variables.push_back(i);
  }
  GraphBuilder b(d.graph);
  Value* y = model(b, operands);
  TRY(Status(b.status()));
  // Of a linear model the second order would say nothing.
  if (check.order > 1) y = b.add(y, b.mul(y, y));
  Value* loss = weighted_sum(b, y, TRY(extents_of(d.graph, y, inputs)), 99);
  for (int n = 1; n < check.order; ++n) {
    Value* next = nullptr;
    std::vector<Value*> gradients = TRY(differentiate(d.graph, loss, variables));
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i] == nullptr) continue;
      Value* part = weighted_sum(b, gradients[i], inputs[d.variables[i]].extents(), 7 + i);
      next = next ? b.add(next, part) : part;
    }
    loss = next ? next : b.number(0, loss);
  }
  TRY(Status(b.status()));
  d.graph.outputs = {{"loss", loss}};
  d.plain = d.graph.clone();
  for (Value* gradient : TRY(differentiate(d.graph, loss, variables))) {
    if (gradient == nullptr) gradient = b.number(0, loss);
    d.graph.outputs.push_back({"gradient", gradient});
  }
  return b.status();
}

void expect_sound(const std::string& what, const Graph& graph) {
  Status status = verify(graph);
  EXPECT_TRUE(status.ok()) << what << ": " << (status.ok() ? "" : status.error().message);
  std::string text = print_graph(graph);
  auto parsed = parse_graph(text);
  ASSERT_TRUE(parsed.ok()) << what << ": " << parsed.error().message << "\n" << text;
  EXPECT_EQ(print_graph(**parsed), text) << what;
}

double loss_at(const std::string& what, const Graph& plain, const std::vector<Tensor>& inputs) {
  auto result = evaluate(plain, as_data(inputs));
  EXPECT_TRUE(result.ok()) << what << ": " << (result.ok() ? "" : result.error().message);
  return result.ok() ? result->outputs[0].tensor().double_at(0) : 0;
}

void compare(const std::string& what, const Differentiated& d, const std::vector<Tensor>& inputs,
             double tolerance) {
  auto result = evaluate(d.graph, as_data(inputs));
  ASSERT_TRUE(result.ok()) << what << ": " << result.error().message;
  constexpr double kStep = 1e-4;
  for (size_t n = 0; n < d.variables.size(); ++n) {
    size_t i = d.variables[n];
    const Tensor& gradient = result->outputs[n + 1].tensor();
    bool vanishes = gradient.elements() == 1 && gradient.double_at(0) == 0;
    ASSERT_TRUE(vanishes || gradient.extents() == inputs[i].extents()) << what << ", input " << i;
    for (int64_t k = 0; k < inputs[i].elements(); ++k) {
      auto moved = [&](double step) {
        std::vector<Tensor> changed = inputs;
        changed[i].mutable_data<double>()[static_cast<size_t>(k)] += step;
        return loss_at(what, *d.plain, changed);
      };
      // Two differences, extrapolated: the error is of fourth order.
      auto difference_over = [&](double step) {
        double wide = (moved(step * 2) - moved(-step * 2)) / (4 * step);
        double narrow = (moved(step) - moved(-step)) / (2 * step);
        return (4 * narrow - wide) / 3;
      };
      double value = gradient.double_at(vanishes ? 0 : k), difference = difference_over(kStep);
      // Where a kink lies within the step, a shorter one misses it.
      if (std::abs(value - difference) > tolerance * (1 + std::abs(difference))) difference = difference_over(kStep / 100);
      EXPECT_NEAR(value, difference, tolerance * (1 + std::abs(difference)))
          << what << ", input " << i << ", element " << k;
    }
  }
}

}  // namespace

void expect_gradients(const std::string& what, const Model& model, const std::vector<Tensor>& inputs,
                      const GradientCheck& check) {
  for (bool symbolic : {false, true}) {
    if (symbolic && !check.symbolic) continue;
    std::string name = what + (symbolic ? " (symbolic)" : "") + (check.order > 1 ? " (second order)" : "");
    Differentiated d;
    Status status = differentiate_model(model, inputs, symbolic, check, d);
    EXPECT_TRUE(status.ok()) << name << ": " << (status.ok() ? "" : status.error().message);
    if (!status.ok()) continue;
    expect_sound(name, d.graph);
    compare(name, d, inputs, check.tolerance);
  }
}

std::vector<Tensor> gradients_of(const Model& model, const std::vector<Tensor>& inputs) {
  Graph graph;
  std::vector<Value*> variables;
  for (const Tensor& input : inputs) variables.push_back(graph.add_input("x", type_for(input, false)));
  GraphBuilder b(graph);
  Value* y = model(b, variables);
  std::vector<int64_t> axes;
  for (int64_t i = 0; y->type.shape && i < y->type.rank(); ++i) axes.push_back(i);
  Value* loss = b.reduce_sum(y, axes, false);
  EXPECT_TRUE(b.status().ok()) << b.status().error().message;
  auto gradients = differentiate(graph, loss, variables);
  EXPECT_TRUE(gradients.ok()) << gradients.error().message;
  for (Value* gradient : *gradients)
    graph.outputs.push_back({"gradient", gradient ? gradient : b.number(0, y)});
  auto result = evaluate(graph, as_data(inputs));
  EXPECT_TRUE(result.ok()) << result.error().message;
  std::vector<Tensor> tensors;
  for (const Datum& datum : result->outputs) tensors.push_back(datum.tensor());
  return tensors;
}

}  // namespace gannet::test
