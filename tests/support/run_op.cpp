#include "tests/support/run_op.h"

#include <gtest/gtest.h>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/eval.h"
#include "ir/evaluate.h"
#include "ir/gradient_rule.h"
#include "ir/infer.h"
#include "ir/vjp.h"

namespace gannet::test {
namespace {

class Services : public EvalServices {
 public:
  explicit Services(uint64_t seed) : seed_(seed) {}
  Result<std::vector<Datum>> run(const Graph& graph, std::vector<Datum> inputs) override {
    return std::move(TRY(evaluate(graph, std::move(inputs))).outputs);
  }
  const SymbolValues& symbols() const override { return symbols_; }
  const Limits& limits() const override { return limits_; }
  uint64_t next_random_seed() override { return seed_++; }

 private:
  uint64_t seed_;
  SymbolValues symbols_;
  Limits limits_;
};

Attributes bound(const OpDef& op, Attributes attrs) {
  attrs.bind(op.attrs);
  return attrs;
}

// The sum of output 0 times fixed weights.
double weighted_sum(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs,
                    size_t output_count) {
  auto results = run_op(name, operands, attrs, output_count);
  EXPECT_TRUE(results.ok()) << (results.ok() ? "" : results.error().message);
  if (!results.ok()) return 0;
  std::vector<double> y = numbers_of((*results)[0].tensor());
  std::vector<double> weights = numbers_of(random_tensor({static_cast<int64_t>(y.size())}, 99));
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += y[i] * weights[i];
  return sum;
}

// The gradients of weighted_sum that the op's rule gives, in the order of `checked`.
Result<std::vector<Tensor>> rule_gradients(std::string_view name, const std::vector<Tensor>& operands,
                                           const Attributes& attrs, const std::vector<size_t>& checked,
                                           size_t output_count) {
  Graph graph("gradient");
  std::vector<Value*> values;
  std::vector<Datum> inputs;
  for (size_t i = 0; i < operands.size(); ++i) {
    bool variable = std::find(checked.begin(), checked.end(), i) != checked.end();
    if (!operands[i].defined())
      values.push_back(nullptr);
    else if (!variable)
      values.push_back(graph.add_constant(operands[i]));
    else
      values.push_back(graph.add_input(fmt::format("x{}", i),
                                       Type::tensor(operands[i].dtype(), to_shape(operands[i].extents()))));
    if (operands[i].defined() && variable) inputs.push_back(operands[i]);
  }
  GraphBuilder builder(graph);
  std::vector<Value*> outputs = builder.op_n(name, values, attrs, output_count);
  TRY(Status(builder.status()));
  Tensor y = TRY(run_op(name, operands, attrs, output_count))[0].tensor();
  std::vector<Value*> upstream(output_count, nullptr);
  upstream[0] = builder.constant(random_tensor({y.elements()}, 99).reshaped(y.extents()));
  const Node& node = *outputs[0]->producer();
  VjpContext context(builder, node, upstream);
  const VjpFn vjp = gradient_rule(node.op()).vjp;
  CHECK(vjp != nullptr, "{} has no rule", name);
  TRY(vjp(context));
  for (size_t i : checked) {
    if (!context.results()[i]) return invalid_model(fmt::format("no gradient for operand {}", i));
    graph.outputs.push_back({fmt::format("dx{}", i), context.results()[i]});
  }
  std::vector<Tensor> gradients;
  for (const Datum& datum : TRY(evaluate(graph, inputs)).outputs) gradients.push_back(datum.tensor());
  return gradients;
}

}  // namespace

Result<std::vector<Datum>> run_op(std::string_view name, const std::vector<Tensor>& operands,
                                  const Attributes& attrs, size_t output_count, uint64_t seed) {
  const OpDef& op = op_named(name);
  Services services(seed);
  std::vector<Datum> data;
  for (const Tensor& operand : operands) data.push_back(operand.defined() ? Datum(operand) : Datum());
  return eval_op(op, bound(op, attrs), data, output_count, services);
}

Tensor result_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs) {
  auto results = run_op(name, operands, attrs, 1);
  EXPECT_TRUE(results.ok()) << name << ": " << (results.ok() ? "" : results.error().message);
  return results.ok() ? (*results)[0].tensor() : Tensor();
}

std::vector<double> numbers_of(const Tensor& tensor) {
  std::vector<double> numbers;
  for (int64_t i = 0; i < tensor.elements(); ++i) numbers.push_back(tensor.double_at(i));
  return numbers;
}

std::vector<std::vector<double>> numbers_of(std::string_view name, const std::vector<Tensor>& operands,
                                            const Attributes& attrs, size_t output_count) {
  auto results = run_op(name, operands, attrs, output_count);
  EXPECT_TRUE(results.ok()) << name << ": " << (results.ok() ? "" : results.error().message);
  std::vector<std::vector<double>> numbers(output_count);
  for (size_t i = 0; results.ok() && i < output_count; ++i) numbers[i] = numbers_of((*results)[i].tensor());
  return numbers;
}

std::string error_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs,
                     size_t output_count) {
  auto results = run_op(name, operands, attrs, output_count);
  return results.ok() ? "" : results.error().message;
}

std::vector<std::string> inferred(std::string_view name, const std::vector<std::string>& operand_types,
                                  const Attributes& attrs, size_t output_count) {
  const OpDef& op = op_named(name);
  std::vector<Type> types(operand_types.size());
  std::vector<InferOperand> operands(operand_types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (operand_types[i].empty()) continue;
    auto type = parse_type(operand_types[i]);
    EXPECT_TRUE(type.ok()) << operand_types[i];
    types[i] = *type;
    operands[i].type = &types[i];
  }
  Symbols symbols;
  Attributes all = bound(op, attrs);
  InferContext context(op, all, operands, output_count, symbols);
  Status status = infer(context);
  if (!status.ok()) return {"error: " + status.error().message};
  std::vector<std::string> results;
  for (const Type& type : context.types()) results.push_back(to_string(type));
  return results;
}

Tensor random_tensor(std::vector<int64_t> extents, uint64_t seed) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  Random random(seed);
  for (double& value : tensor.mutable_data<double>()) value = random.uniform(-1, 1);
  return tensor;
}

void expect_gradient(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs,
                     const std::vector<size_t>& checked, size_t output_count) {
  auto gradients = rule_gradients(name, operands, attrs, checked, output_count);
  ASSERT_TRUE(gradients.ok()) << name << ": " << (gradients.ok() ? "" : gradients.error().message);
  constexpr double kStep = 1e-6;
  for (size_t n = 0; n < checked.size(); ++n) {
    size_t i = checked[n];
    ASSERT_EQ((*gradients)[n].extents(), operands[i].extents()) << name << ", operand " << i;
    std::vector<double> rule = numbers_of((*gradients)[n]);
    for (size_t k = 0; k < rule.size(); ++k) {
      auto moved = [&](double step) {
        std::vector<Tensor> changed = operands;
        changed[i].mutable_data<double>()[k] += step;
        return weighted_sum(name, changed, attrs, output_count);
      };
      double difference = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      EXPECT_NEAR(rule[k], difference, 1e-6 * (1 + std::abs(difference)))
          << name << ", operand " << i << ", element " << k;
    }
  }
}

}  // namespace gannet::test
