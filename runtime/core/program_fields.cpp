#include "runtime/core/program_fields.h"

#include <algorithm>

#include "ir/base/checked.h"

namespace gannet {
namespace {

// Tensors of fewer bytes stand in the description.
constexpr int64_t kSmall = 64;

}  // namespace

void fields(ArchiveWriter& a, Tensor& tensor) {
  a(tensor.dtype());
  if (!tensor.defined()) return;
  a(tensor.extents());
  if (tensor.dtype() == DType::kString) {
    for (const std::string& text : tensor.data<std::string>()) a(text);
  } else if (tensor.bytes() < kSmall) {
    a.put_bytes(tensor.raw(), static_cast<size_t>(tensor.bytes()));
  } else {
    a(a.data.weights.add(tensor.raw(), static_cast<uint64_t>(tensor.bytes())));
  }
}

void fields(ArchiveReader& a, Tensor& tensor) {
  DType dtype = DType::kUndefined;
  a(dtype);
  tensor = Tensor();
  if (a.failed() || dtype == DType::kUndefined) return;
  std::vector<int64_t> extents;
  a(extents);
  const bool negative = std::ranges::any_of(extents, [](int64_t extent) { return extent < 0; });
  const std::optional<int64_t> elements = negative ? std::nullopt : checked_product(extents);
  const bool is_string = dtype == DType::kString;
  const std::optional<int64_t> bytes = elements && !is_string ? checked_mul(*elements, element_size(dtype)) : elements;
  if (a.failed() || !bytes) return a.fail("a tensor's extents make no sense");
  if (is_string || *bytes < kSmall) {
    if (static_cast<uint64_t>(*bytes) > a.left()) return a.fail("it ends too early");
    Result<Tensor> made = Tensor::allocate(dtype, std::move(extents));
    if (!made.ok()) return a.fail(made.error().message);
    tensor = *std::move(made);
    if (!is_string) return static_cast<void>(a.take_bytes(tensor.mutable_raw(), static_cast<size_t>(*bytes)));
    for (std::string& text : tensor.mutable_data<std::string>()) a(text);
    return;
  }
  uint64_t offset = 0;
  a(offset);
  const auto found = a.data.weights.find(offset, static_cast<uint64_t>(*bytes));
  if (a.failed() || !found) return a.fail(fmt::format("a tensor of {} bytes is at {} of {} bytes of weights", *bytes, offset, a.data.weights.mapped.size()));
  tensor = Tensor::view(dtype, std::move(extents), found->data(), a.data.owner);
}

void fields(ArchiveWriter& a, std::shared_ptr<Graph>& graph) {
  a(graph->name, static_cast<uint64_t>(graph->inputs().size()));
  for (const Value* input : graph->inputs()) a(input->name, input->type);
  a(static_cast<uint64_t>(graph->outputs.size()));
  for (const GraphOutput& output : graph->outputs) {
    const auto input = std::ranges::find(graph->inputs(), output.value);
    const Tensor* constant = output.value->constant();
    a(output.name, static_cast<int64_t>(input == graph->inputs().end() ? -1 : input - graph->inputs().begin()));
    a(constant ? *constant : Tensor(), output.value->type);
  }
}

void fields(ArchiveReader& a, std::shared_ptr<Graph>& graph) {
  std::string name, value_name;
  uint64_t count = 0;
  a(name, count);
  graph = std::make_shared<Graph>(name);
  for (uint64_t i = 0; i < count && !a.failed(); ++i) {
    Type type;
    a(value_name, type);
    graph->add_input(value_name, std::move(type));
  }
  a(count);
  for (uint64_t i = 0; i < count && !a.failed(); ++i) {
    Type type;
    Tensor constant;
    int64_t input = -1;
    a(value_name, input, constant, type);
    if (input < -1 || input >= static_cast<int64_t>(graph->inputs().size())) a.fail("a subgraph's result is none of its inputs");
    if (a.failed()) return;
    Value* value = input >= 0           ? graph->inputs()[static_cast<size_t>(input)]
                   : constant.defined() ? graph->add_constant(std::move(constant))
                                        : graph->add_state_value(value_name, std::move(type));
    graph->outputs.push_back({value_name, value});
  }
}

void fields(ArchiveWriter& a, Attributes& attributes) {
  a(attributes.entries());
}

void fields(ArchiveReader& a, Attributes& attributes) {
  std::vector<std::pair<std::string, Attr>> entries;
  a(entries);
  attributes = Attributes();
  for (auto& [name, value] : entries) attributes.set(name, std::move(value));
}

void fields(ArchiveWriter& a, std::shared_ptr<const CodeImage>& code) {
  a(code != nullptr);
  if (!code) return;
  const std::span<const uint8_t> block = code->block();
  a(code->isa(), a.data.code.add(block.data(), block.size()), static_cast<uint64_t>(block.size()));
  a(static_cast<uint64_t>(code->functions().size()));
  for (const CodeFunction& function : code->functions()) a(function.name, function.offset);
}

void fields(ArchiveReader& a, std::shared_ptr<const CodeImage>& code) {
  bool present = false;
  a(present);
  code = nullptr;
  if (!present || a.failed()) return;
  std::string isa;
  uint64_t offset = 0, size = 0, count = 0;
  a(isa, offset, size, count);
  std::vector<CodeFunction> functions;
  for (uint64_t i = 0; i < count && !a.failed(); ++i) {
    CodeFunction& function = functions.emplace_back();
    a(function.name, function.offset);
  }
  const auto block = a.data.code.find(offset, size);
  if (a.failed() || !block) return a.fail("code is outside of its section");
  auto loaded = CodeImage::load({block->begin(), block->end()}, std::move(functions), std::move(isa));
  if (loaded.ok()) code = *std::move(loaded);
  else a.fail(loaded.error().message);
}

void fields(ArchiveWriter& a, std::shared_ptr<const Program>& program) { a(*program); }

void fields(ArchiveReader& a, std::shared_ptr<const Program>& program) {
  constexpr int kDeepest = 64;
  auto made = std::make_shared<Program>();
  if (++a.depth > kDeepest) a.fail(fmt::format("programs nest deeper than {}", kDeepest));
  if (!a.failed()) a(*made);
  --a.depth;
  program = std::move(made);
}

}  // namespace gannet
