// Random graphs as exporters quantize them, through the inference pipeline and all backends, against the reference
// evaluator on the graph as it was: codes may differ by one where a real number lies next to the middle of two.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backend/backend.h"
#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "passes/pass.h"
#include "runtime/core/session.h"
#include "tests/backend/onednn_fixture.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

// A graph under construction, and the choices that made it.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), graph_("main"), b_(graph_) {}

  int64_t choose(int64_t low, int64_t high) {
    state_ = state_ * 6364136223846793005u + random_ * 2 + 1442695040888963407u;
    return low + static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(high - low + 1));
  }
  bool flip() { return choose(0, 1) != 0; }

  GraphBuilder& b() { return b_; }
  Graph& graph() { return graph_; }

  // Codes of the present tensor; all tensors of activations have their own scale and zero point.
  Value* input(std::vector<int64_t> extents) {
    Shape shape(extents.begin(), extents.end());
    extents_ = std::move(extents);
    return coded(graph_.add_input("x", Type::tensor(DType::kF32, shape)), 0.02);
  }

  // Encoded with a scale about `step` and decoded.
  Value* coded(Value* x, double step) {
    const bool is_signed = flip();
    Value* scale = b_.constant(Tensor::scalar<float>(static_cast<float>(step * (1 + 0.1 * static_cast<double>(choose(0, 9))))));
    Value* zero = b_.constant(Tensor::scalar_of(is_signed ? DType::kI8 : DType::kU8,
                                                static_cast<double>(is_signed ? choose(-20, 20) : choose(100, 150))));
    codes_ = b_.op("QuantizeLinear", {x, scale, zero});
    return b_.op("DequantizeLinear", {codes_, scale, zero});
  }

  // Constant codes with scales along `axis`, or one; symmetric, or unsigned around 128.
  Value* weights(const std::vector<int64_t>& extents, int64_t axis) {
    const bool each = flip(), is_signed = flip();
    const DType dtype = is_signed ? DType::kI8 : DType::kU8;
    Tensor codes = Tensor::zeros(dtype, extents);
    for (int64_t i = 0; i < codes.elements(); ++i) {
      if (is_signed) codes.mutable_data<int8_t>()[static_cast<size_t>(i)] = static_cast<int8_t>(choose(-127, 127));
      else codes.mutable_data<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(choose(1, 255));
    }
    const int64_t count = each ? extents[static_cast<size_t>(axis)] : 1;
    std::vector<float> scales;
    for (int64_t i = 0; i < count; ++i) scales.push_back(0.001f * static_cast<float>(choose(1, 20)));
    const std::vector<int64_t> shape = each ? std::vector<int64_t>{count} : std::vector<int64_t>{};
    Result<Tensor> zeros = convert(Tensor::from<float>(shape, std::vector<float>(static_cast<size_t>(count), is_signed ? 0.0f : 128.0f)), dtype);
    return b_.op("DequantizeLinear", {b_.constant(codes), b_.constant(Tensor::from<float>(shape, scales)), b_.constant(*zeros)},
                 {{"axis", axis}});
  }

  Value* numbers(std::vector<int64_t> extents) {
    Result<Tensor> tensor = convert(random_tensor(std::move(extents), static_cast<uint64_t>(choose(0, 1 << 20))), DType::kF32);
    return b_.constant(*tensor);
  }

  Value* activated(Value* x) {
    switch (choose(0, 3)) {
      case 0: return b_.op("Relu", {x});
      case 1: return b_.op("LeakyRelu", {x}, {{"alpha", 0.25f}});
      case 2: clipped_ = true; return b_.op("Clip", {x, b_.constant(Tensor::scalar<float>(0)), b_.constant(Tensor::scalar<float>(6))});
      default: return x;
    }
  }

  Value* convolution(Value* x) {
    const Shape& shape = *x->type.shape;
    const int64_t channels = shape[1].constant(), rank = static_cast<int64_t>(shape.size()) - 2;
    const int64_t divisor = choose(0, 2);
    const int64_t groups = divisor == 0 ? channels : divisor == 1 && channels % 2 == 0 ? 2 : 1;
    const int64_t results = groups * choose(1, groups == 1 ? 40 : 3);
    std::vector<int64_t> w = {results, channels / groups}, pads, strides, dilations;
    for (int64_t d = 0; d < rank; ++d) {
      w.push_back(choose(1, std::min<int64_t>(3, shape[static_cast<size_t>(d) + 2].constant())));
      pads.push_back(choose(0, w.back() - 1));
      strides.push_back(choose(1, 2));
      dilations.push_back(1);
    }
    pads.insert(pads.end(), pads.begin(), pads.end());
    std::vector<Value*> operands = {x, weights(w, 0)};
    if (flip()) operands.push_back(numbers({results}));
    return b_.op("Conv", operands, {{"group", groups}, {"pads", pads}, {"strides", strides}, {"dilations", dilations}});
  }

  Value* product(Value* x) {
    const int64_t inner = x->type.shape->back().constant(), columns = choose(1, 40);
    Value* w = flip() ? weights({inner, columns}, 1) : b_.transpose(weights({columns, inner}, 0), {1, 0});
    Value* y = b_.matmul(x, w);
    return flip() ? b_.add(y, numbers({columns})) : y;
  }

  void finish() {
    graph_.outputs.push_back({"y", codes_});
    ASSERT_TRUE(b_.status().ok()) << b_.status().error().message;
  }

  const std::vector<int64_t>& extents() const { return extents_; }
  // Whether a Clip other than Relu stands in it, which may keep what follows out of the kernel.
  bool clipped() const { return clipped_; }

 private:
  uint64_t random_, state_ = 88172645463325252u;
  Graph graph_;
  GraphBuilder b_;
  Value* codes_ = nullptr;
  std::vector<int64_t> extents_;
  bool clipped_ = false;
};

// Every contraction must sum in integers where the machine can, and with `joined` write codes itself.
void expect_integers(const CompiledProgram& compiled, bool joined = false) {
  for (const Step& step : compiled.program->steps) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    const auto* convolution = call ? std::get_if<ConvolutionRecipe>(&call->recipe) : nullptr;
    const auto* matmul = call ? std::get_if<MatmulRecipe>(&call->recipe) : nullptr;
    EXPECT_FALSE(convolution && convolution->x.dtype == DType::kF32) << step.op;
    EXPECT_FALSE(matmul && matmul->x.dtype == DType::kF32) << step.op;
    if (convolution && joined) {
      EXPECT_EQ(element_bits(convolution->y.dtype), 8) << step.op;
    }
    if (matmul && joined) {
      EXPECT_EQ(element_bits(matmul->y.dtype), 8) << step.op;
    }
    const auto* eval = std::get_if<EvalCall>(&step.call);
    EXPECT_FALSE(eval) << step.op << " is evaluated by its definition";
  }
}

void expect_codes(const Tensor& given, const Tensor& expected) {
  ASSERT_EQ(type_string(given), type_string(expected));
  int64_t differ = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double difference = std::abs(given.double_at(i) - expected.double_at(i));
    ASSERT_LE(difference, 1) << "element " << i;
    differ += difference != 0;
  }
  EXPECT_LE(differ, 1 + expected.elements() / 100) << "of " << expected.elements();
}

// Codes of the compiled model beside those of the reference; the same bits on any number of threads.
void expect_close_to_reference(Model& model, const Target& target) {
  model.finish();
  Result<Tensor> x = convert(random_tensor(model.extents(), 7), DType::kF32);
  const Result<EvaluateResult> expected = evaluate(model.graph(), {Datum(*x)});
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  PassContext context(target);
  const Status status = run_passes(model.graph(), find_pipeline("inference"), context);
  ASSERT_TRUE(status.ok()) << status.error().message;
  CompileOptions options;
  options.target = target;
  options.cache = false;
  const Result<CompiledProgram> compiled = lower_to_program(model.graph(), options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  if (target.integer_products) expect_integers(*compiled, !model.clipped());
  std::optional<Tensor> first;
  for (const int threads : {1, 2, 2}) {
    const Result<std::vector<Datum>> outputs = session_on(*compiled, threads)->run(std::vector<Datum>{Datum(*x)});
    ASSERT_TRUE(outputs.ok()) << outputs.error().message;
    const Tensor& y = (*outputs)[0].tensor();
    expect_codes(y, expected->outputs[0].tensor());
    if (!first) first = y;
    EXPECT_TRUE(first->identical(y)) << "other bits on " << threads << " threads";
  }
}

std::vector<Target> targets() {
  Target without = host_target();
  without.integer_products = false;
  if (!host_target().integer_products) return {without};
  return {host_target(), without};
}

TEST(QuantizedGraph, convolutions) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (const Target& target : targets()) {
      SCOPED_TRACE(fmt::format("seed {}, integer products {}", seed, target.integer_products));
      Model model(seed);
      std::vector<int64_t> extents = {model.choose(1, 2), model.choose(1, 20)};
      const int64_t rank = model.choose(1, 3);
      for (int64_t d = 0; d < rank; ++d) extents.push_back(model.choose(3, 9));
      Value* x = model.input(extents);
      model.coded(model.activated(model.convolution(x)), 0.02);
      expect_close_to_reference(model, target);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(QuantizedGraph, products_in_batches) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (const Target& target : targets()) {
      SCOPED_TRACE(fmt::format("seed {}, integer products {}", seed, target.integer_products));
      Model model(seed);
      std::vector<int64_t> extents(static_cast<size_t>(model.choose(2, 4)));
      for (int64_t& extent : extents) extent = model.choose(1, 12);
      extents.back() = model.choose(1, 70);
      Value* x = model.input(extents);
      model.coded(model.activated(model.product(x)), 0.02);
      expect_close_to_reference(model, target);
      if (HasFatalFailure()) return;
    }
  }
}

// A block with a sum of two branches, pooling, and a product behind.
TEST(QuantizedGraph, branches_pooling_and_classifier) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    for (const Target& target : targets()) {
      SCOPED_TRACE(fmt::format("seed {}, integer products {}", seed, target.integer_products));
      Model model(seed);
      GraphBuilder& b = model.b();
      const int64_t channels = model.choose(1, 3) * 8;
      Value* x = model.input({1, channels, 8, 8});
      const std::vector<int64_t> pads = {1, 1, 1, 1};
      Value* y = b.op("Conv", {x, model.weights({channels, channels, 3, 3}, 0), model.numbers({channels})}, {{"pads", pads}});
      y = b.op("Relu", {b.add(model.coded(y, 0.05), x)});
      y = model.coded(y, 0.05);
      const std::vector<int64_t> two = {2, 2};
      y = model.flip() ? b.op("MaxPool", {y}, {{"kernel_shape", two}, {"strides", two}})
                       : model.coded(b.op("AveragePool", {y}, {{"kernel_shape", two}, {"strides", two}}), 0.05);
      y = b.reshape(y, {1, channels * 16});
      model.coded(model.product(y), 0.5);
      model.finish();
      Graph& graph = model.graph();
      Result<Tensor> input = convert(random_tensor(model.extents(), 7), DType::kF32);
      const Result<EvaluateResult> expected = evaluate(graph, {Datum(*input)});
      ASSERT_TRUE(expected.ok()) << expected.error().message;
      PassContext context(target);
      ASSERT_TRUE(run_passes(graph, find_pipeline("inference"), context).ok());
      CompileOptions options;
      options.target = target;
      const Result<CompiledProgram> compiled = lower_to_program(graph, options);
      ASSERT_TRUE(compiled.ok()) << compiled.error().message;
      if (target.integer_products) expect_integers(*compiled);
      const Result<std::vector<Datum>> outputs = session_on(*compiled, 2)->run(std::vector<Datum>{Datum(*input)});
      ASSERT_TRUE(outputs.ok()) << outputs.error().message;
      expect_codes((*outputs)[0].tensor(), expected->outputs[0].tensor());
      if (HasFatalFailure()) return;
    }
  }
}

// Codes of a range that is found while the model runs: sums as exact integers, and what exporters write behind them.
void expect_dynamic(const std::string& contraction, const std::vector<int64_t>& x_extents, const std::vector<int64_t>& w_extents, DType w_dtype) {
  for (const Target& target : targets()) {
    SCOPED_TRACE(fmt::format("{} integer products {}", contraction, target.integer_products));
    Graph graph("main");
    GraphBuilder b(graph);
    Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape(x_extents.begin(), x_extents.end())));
    std::vector<Value*> coded = b.op_n("DynamicQuantizeLinear", {x}, {}, 3);
    Result<Tensor> w = convert(random_tensor(w_extents, 3), DType::kF32);
    for (float& value : w->mutable_data<float>()) value = std::nearbyint(value * 120) + (w_dtype == DType::kU8 ? 128.0f : 0.0f);
    w = convert(*w, w_dtype);
    Value* zero = b.constant(Tensor::scalar_of(w_dtype, w_dtype == DType::kU8 ? 128 : 0));
    Attributes attrs;
    if (contraction == "ConvInteger") attrs.set("pads", std::vector<int64_t>{1, 0, 1, 2});
    Value* sums = b.op(contraction, {coded[0], b.constant(*w), coded[2], zero}, attrs);
    Value* scale = b.mul(coded[1], b.constant(Tensor::scalar<float>(0.01f)));
    Value* y = b.mul(b.cast(sums, DType::kF32), scale);
    Result<Tensor> bias = convert(random_tensor({contraction == "ConvInteger" ? 1 : w_extents.back()}, 4), DType::kF32);
    y = b.op("Relu", {b.add(y, b.constant(*bias))});
    graph.outputs = {{"y", y}, {"sums", sums}};
    ASSERT_TRUE(b.status().ok()) << b.status().error().message;
    const std::unique_ptr<Graph> alone = graph.clone();
    alone->outputs.pop_back();
    Result<Tensor> input = convert(random_tensor(x_extents, 7), DType::kF32);
    const std::vector<Datum> inputs = {Datum(*input)};
    const Result<EvaluateResult> expected = evaluate(graph, inputs);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    for (Graph* each : {&graph, alone.get()}) {
      PassContext context(target);
      ASSERT_TRUE(run_passes(*each, find_pipeline("inference"), context).ok());
      CompileOptions options;
      options.target = target;
      const Result<CompiledProgram> compiled = lower_to_program(*each, options);
      ASSERT_TRUE(compiled.ok()) << compiled.error().message;
      if (target.integer_products) expect_integers(*compiled);
      const Result<std::vector<Datum>> outputs = session_on(*compiled, 2)->run(inputs);
      ASSERT_TRUE(outputs.ok()) << outputs.error().message;
      const Tensor &given = (*outputs)[0].tensor(), &wanted = expected->outputs[0].tensor();
      for (int64_t i = 0; i < wanted.elements(); ++i) ASSERT_NEAR(given.double_at(i), wanted.double_at(i), 1e-4) << i;
      EXPECT_TRUE(outputs->size() < 2 || (*outputs)[1].tensor().identical(expected->outputs[1].tensor()));
    }
  }
}

TEST(QuantizedGraph, ranges_found_at_run_time) {
  for (const DType dtype : {DType::kI8, DType::kU8}) {
    expect_dynamic("MatMulInteger", {3, 5, 20}, {20, 33}, dtype);
    expect_dynamic("MatMulInteger", {1, 64}, {64, 10}, dtype);
    expect_dynamic("ConvInteger", {2, 5, 8, 7}, {18, 5, 3, 3}, dtype);
    expect_dynamic("ConvInteger", {1, 32, 9, 9}, {16, 32, 1, 1}, dtype);
  }
}

}  // namespace
}  // namespace gannet::test
