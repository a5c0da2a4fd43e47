#include "tools/driver/compilation.h"

#include <fmt/format.h>

#include <cstring>

#include "ir/base/fnv1a.h"
#include "ir/print.h"
#include "runtime/core/program_fields.h"

namespace gannet {
namespace {

// Passes look at the numbers in no larger ones (constant_number of passes/rewrite.h).
constexpr int64_t kMostElements = 4096;

Tensor uniform_of(const Tensor& tensor) {
  if (tensor.elements() == 0 || tensor.elements() > kMostElements || tensor.dtype() == DType::kString)
    return {};
  const auto* bytes = static_cast<const char*>(tensor.raw());
  const auto size = static_cast<size_t>(tensor.bytes());
  const size_t element = size / static_cast<size_t>(tensor.elements());
  if (std::memcmp(bytes, bytes + element, size - element) != 0) return {};
  Tensor one = Tensor::zeros(tensor.dtype(), {});
  std::memcpy(one.mutable_raw(), bytes, element);
  return one;
}

// Numbers in place of names, and weights without what they hold.
void make_anonymous(Graph& graph) {
  graph.name.clear();
  size_t number = 0;
  for (const auto& node : graph.nodes()) {
    node->name.clear();
    for (Value* output : node->outputs()) {
      if (output) output->name = fmt::format("{}", number++);
    }
    if (node->output() && node->output()->constant() && node->output()->origin)
      node->attrs.set("value", Tensor::zeros(DType::kBool, {0}));
    for_each_subgraph(*node, [](Graph& body) {
      for (size_t i = 0; i < body.inputs().size(); ++i) body.inputs()[i]->name = fmt::format("in{}", i);
      make_anonymous(body);
    });
  }
}

uint64_t form_of(const Graph& graph) {
  const std::unique_ptr<Graph> copy = graph.clone();
  make_anonymous(*copy);
  return fnv1a(print_graph(*copy));
}

void collect_weights(const Graph& graph, std::vector<Value*>& weights) {
  for (const auto& node : graph.nodes()) {
    if (node->output() && node->output()->constant() && node->output()->origin)
      weights.push_back(node->output());
    for_each_subgraph(*node, [&](Graph& body) { collect_weights(body, weights); });
  }
}

}  // namespace

template <class A>
void fields(A& a, ModelWeight& weight) {
  a(weight.name, weight.type, weight.uniform);
}

template <class A>
void fields(A& a, Compilation& compilation) {
  a(compilation.shapes, compilation.symbolic_batch, compilation.codegen_only, compilation.product_dtype, compilation.trains,
    compilation.training, compilation.form, compilation.weights);
}

std::vector<Value*> model_weights(const Graph& graph) {
  std::vector<Value*> weights;
  collect_weights(graph, weights);
  return weights;
}

CompileOptions options_of(const Compilation& compilation) {
  CompileOptions options;
  options.use_onednn = !compilation.codegen_only;
  options.product_dtype = compilation.product_dtype;
  return options;
}

Compilation compilation_of(const Graph& graph, const ModelArguments& arguments, const CompileOptions& options) {
  Compilation compilation;
  compilation.shapes = arguments.shapes;
  compilation.symbolic_batch = arguments.symbolic_batch;
  compilation.codegen_only = !options.use_onednn;
  compilation.product_dtype = options.product_dtype;
  compilation.form = form_of(graph);
  for (const Value* weight : model_weights(graph)) {
    compilation.weights.push_back({weight->origin->name, weight->type, uniform_of(*weight->constant())});
  }
  return compilation;
}

std::string to_bytes(const Compilation& compilation) {
  ArchiveData none;
  ArchiveWriter writer(none);
  writer(compilation);
  return {writer.bytes.begin(), writer.bytes.end()};
}

Result<Compilation> parse_compilation(const std::string& bytes) {
  ArchiveData none;
  ArchiveReader reader({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, none);
  Compilation compilation;
  reader(compilation);
  if (!reader.failed() && reader.left() > 0)
    reader.fail(fmt::format("{} bytes are left over", reader.left()));
  if (reader.failed()) return invalid_input("what it was compiled from cannot be read: " + reader.problem);
  if (compilation.product_dtype != DType::kF32 && compilation.product_dtype != DType::kBF16)
    return invalid_input("what it was compiled from cannot be read: products are of neither f32 nor bf16");
  for (const ModelWeight& weight : compilation.weights) {
    const Tensor& uniform = weight.uniform;
    if (uniform.defined() && (!weight.type.is_tensor() || uniform.dtype() != weight.type.dtype || uniform.elements() != 1))
      return invalid_input(fmt::format("what it was compiled from cannot be read: weight '{}' is {}, its number {}", weight.name,
                                       to_string(weight.type), type_string(uniform)));
  }
  return compilation;
}

}  // namespace gannet
