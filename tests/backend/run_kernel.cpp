#include "tests/backend/run_kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/llvm/lower_node.h"
#include "backend/llvm/object_code.h"
#include "ir/base/random.h"
#include "ir/evaluate.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "runtime/core/code_image.h"

namespace gannet::test {
namespace {

constexpr size_t kGuard = 128;
constexpr uint8_t kMark = 0xa5;

struct Guarded {
  explicit Guarded(int64_t bytes) : memory(static_cast<size_t>(bytes) + 2 * kGuard, kMark), size(static_cast<size_t>(bytes)) {}
  void* data() { return memory.data() + kGuard; }
  bool intact() const {
    auto is_mark = [](uint8_t byte) { return byte == kMark; };
    return std::all_of(memory.begin(), memory.begin() + kGuard, is_mark) && std::all_of(memory.end() - kGuard, memory.end(), is_mark);
  }
  std::vector<uint8_t> memory;
  size_t size;
};

std::unique_ptr<Graph> parse(std::string_view text) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  return graph.ok() ? std::move(*graph) : nullptr;
}

// The same graph with all nodes but constants in the body of one Fused node.
std::unique_ptr<Graph> fused(const Graph& graph) {
  auto outer = std::make_unique<Graph>("outer", graph.symbols());
  auto body = std::shared_ptr<Graph>(graph.clone());
  std::vector<Value*> operands;
  for (const Value* input : graph.inputs()) operands.push_back(outer->add_input(input->name, input->type));
  Attributes attrs;
  attrs.set("body", body);
  Node* node = outer->add_node(op_named("Fused"), operands, std::move(attrs), graph.outputs.size());
  const Status status = infer_node(*node);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  for (size_t i = 0; i < graph.outputs.size(); ++i) outer->outputs.push_back({graph.outputs[i].name, node->output(i)});
  return outer;
}

std::shared_ptr<const CodeImage> load(const Kernel& kernel, Isa isa) {
  KernelCode code = compile_kernel(kernel, isa);
  auto image = CodeImage::load(std::move(code.bytes), {{"kernel", code.entry}}, name_of(isa));
  EXPECT_TRUE(image.ok()) << image.error().message;
  return image.ok() ? *image : nullptr;
}

// Every second iteration range is done backwards, as threads might.
void call(const KernelPlan& plan, const std::shared_ptr<const CodeImage>& image, std::vector<void*> pointers, const SymbolValues& symbols) {
  std::vector<int64_t> sizes;
  for (const Dim& dim : plan.sizes) sizes.push_back(*dim.evaluate(symbols));
  const int64_t iterations = *plan.iterations.evaluate(symbols);
  Guarded scratch(*plan.scratch_bytes.evaluate(symbols));
  const int64_t middle = iterations / 3;
  image->function(0)(pointers.data(), sizes.data(), middle, iterations, scratch.data(), math_table());
  image->function(0)(pointers.data(), sizes.data(), 0, middle, scratch.data(), math_table());
  EXPECT_TRUE(scratch.intact()) << "scratch memory overrun";
}

}  // namespace

void expect_near(const Tensor& actual, const Tensor& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(type_string(actual), type_string(expected)) << what;
  if (!is_float(expected.dtype())) {
    if (actual.identical(expected)) return;
    for (int64_t i = 0; i < expected.elements(); ++i) ASSERT_EQ(actual.int_at(i), expected.int_at(i)) << what << " at " << i;
    FAIL() << what << ": other bits";
  }
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double a = actual.double_at(i), e = expected.double_at(i);
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    ASSERT_LE(std::abs(a - e), tolerance * std::max(1.0, std::abs(e))) << what << " at " << i << ": " << a << " for " << e;
  }
}

std::vector<Tensor> random_inputs(const Graph& graph, const SymbolValues& symbols, uint64_t seed) {
  Random random(seed);
  std::vector<Tensor> tensors;
  for (const Value* input : graph.inputs()) {
    const std::vector<int64_t> extents = *evaluate(*input->type.shape, symbols);
    Tensor numbers = Tensor::zeros(DType::kF64, extents);
    const bool real = is_float(input->type.dtype);
    const bool index = input->name.starts_with("index");
    for (double& x : numbers.mutable_data<double>()) {
      const double u = random.uniform_double();
      x = real ? 6 * u - 3 : index ? std::floor(3 * u) : input->type.dtype == DType::kBool ? u < 0.5 : std::floor(40 * u - 10);
    }
    tensors.push_back(*convert(numbers, input->type.dtype));
  }
  return tensors;
}

void expect_kernel(const Graph& graph, const std::vector<Tensor>& inputs, Isa isa, double tolerance) {
  const std::string what = print_graph(graph) + " on " + name_of(isa);
  std::vector<Datum> operands(inputs.begin(), inputs.end());
  auto expected = evaluate(graph, operands);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  const SymbolValues symbols = *bind_symbols(graph, operands);
  const Node& node = *graph.nodes().back();
  Result<KernelPlan> plan = plan_node(node, isa);
  ASSERT_TRUE(plan.ok()) << plan.error().message << "\n" << what;
  const auto image = load(plan->kernel, isa);
  ASSERT_TRUE(image);
  std::vector<void*> pointers;
  for (const KernelSource& source : plan->inputs) {
    const Tensor* tensor = source.value ? source.value->constant() : &source.constant;
    for (size_t i = 0; i < graph.inputs().size(); ++i) {
      if (graph.inputs()[i] == source.value) tensor = &inputs[i];
    }
    ASSERT_TRUE(tensor) << what;
    pointers.push_back(const_cast<void*>(tensor->raw()));
  }
  std::vector<Guarded> memory;
  memory.reserve(plan->outputs.size());
  for (const Value* output : plan->outputs) {
    const std::vector<int64_t> extents = *evaluate(*output->type.shape, symbols);
    memory.emplace_back(*checked_product(extents) * element_size(output->type.dtype));
    pointers.push_back(memory.back().data());
  }
  call(*plan, image, pointers, symbols);
  for (size_t i = 0; i < plan->outputs.size(); ++i) {
    EXPECT_TRUE(memory[i].intact()) << "written outside of output " << i << "\n" << what << to_string(plan->kernel);
    for (size_t o = 0; o < graph.outputs.size(); ++o) {
      if (graph.outputs[o].value != plan->outputs[i]) continue;
      const Tensor& reference = expected->outputs[o].tensor();
      Tensor actual = Tensor::zeros(reference.dtype(), reference.extents());
      if (actual.bytes() > 0) std::memcpy(actual.mutable_raw(), memory[i].data(), static_cast<size_t>(actual.bytes()));
      expect_near(actual, reference, tolerance, what + "\n" + to_string(plan->kernel));
    }
  }
}

void expect_kernels(std::string_view text, const SymbolValues& symbols, double tolerance) {
  const auto graph = parse(text);
  ASSERT_TRUE(graph);
  for (Isa isa : {Isa::kV3, Isa::kV4}) {
    if (isa == Isa::kV4 && host_target().isa != Isa::kV4) continue;
    expect_kernel(*graph, random_inputs(*graph, symbols, 7), isa, tolerance);
  }
}

void expect_region(std::string_view text, const SymbolValues& symbols, double tolerance) {
  const auto graph = parse(text);
  ASSERT_TRUE(graph);
  const auto region = fused(*graph);
  for (Isa isa : {Isa::kV3, Isa::kV4}) {
    if (isa == Isa::kV4 && host_target().isa != Isa::kV4) continue;
    expect_kernel(*region, random_inputs(*region, symbols, 7), isa, tolerance);
  }
}

Kernel kernel_of(std::string_view text, Isa isa, bool is_region) {
  auto graph = parse(text);
  if (graph && is_region) graph = fused(*graph);
  if (!graph) return {};
  const Result<KernelPlan> plan = plan_node(*graph->nodes().back(), isa);
  EXPECT_TRUE(plan.ok()) << plan.error().message;
  return plan.ok() ? plan->kernel : Kernel{};
}

std::string refusal_of(std::string_view text) {
  const auto graph = parse(text);
  if (!graph) return "no graph";
  const Result<KernelPlan> plan = plan_node(*graph->nodes().back(), Isa::kV3);
  return plan.ok() ? "" : plan.error().message;
}

}  // namespace gannet::test
