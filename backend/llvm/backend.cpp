// The LLVM backend: kernels for everything that is computed or moved between contractions. Nodes become steps one by
// one; the machine code of all distinct kernels is made at the end, in parallel, or taken from the cache.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_map>

#include "backend/backend.h"
#include "backend/llvm/lower_node.h"
#include "backend/llvm/lower_pad.h"
#include "backend/llvm/object_cache.h"
#include "backend/llvm/object_code.h"
#include "backend/llvm/region_builder.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

Lowering refused(std::string reason) { return {false, std::move(reason)}; }
Lowering taken() { return {true, ""}; }

std::string step_name(const Node& node) { return !node.name.empty() || !node.output() ? node.name : node.output()->name; }

// "Add + Relu" of a Fused node.
std::string step_op(const Node& node) {
  if (node.op().name != "Fused") return std::string(node.op().name);
  constexpr size_t kMostNames = 6;
  std::string text;
  size_t count = 0;
  for (const auto& inner : node.attrs.graph("body")->nodes()) {
    if (inner->op().name == "Constant") continue;
    if (++count > kMostNames) return text + " + ...";
    text += (text.empty() ? "" : " + ") + std::string(inner->op().name);
  }
  return text;
}

class LlvmBackend : public Backend {
 public:
  explicit LlvmBackend(const CompileOptions& options) : options_(options) {}

  std::string_view name() const override { return "llvm"; }

  Result<Lowering> lower(const Node& node, ProgramBuilder& builder) override {
    const std::string_view op = node.op().name;
    if (op == "Fused" && node.attrs.text("kind") != "region") return refused("a contraction");
    if (op == "Concat") return concat(node, builder);
    if (op == "Split") return split(node, builder);
    if (op == "Pad") return pad(node, builder);
    Result<KernelPlan> plan = plan_node(node, options_.target.isa);
    if (!plan.ok()) return refused(plan.error().message);
    if (!runs(*plan, builder)) return refused("extents that are not known before it runs");
    if ((op == "Gather" || op == "GatherElements") && !check_indices(node, builder)) return refused("positions that cannot be checked");
    add_step(node, *plan, builder);
    return taken();
  }

  Status finish(ProgramBuilder& builder) override {
    if (kernels_.empty()) return {};
    if (options_.code) return take_code(builder.program(), *options_.code);
    std::vector<KernelCode> codes(kernels_.size());
    make_code(codes);
    std::vector<uint8_t> block;
    std::vector<CodeFunction> functions;
    for (size_t k = 0; k < codes.size(); ++k) {
      block.resize((block.size() + 63) / 64 * 64, 0xcc);
      functions.push_back({kernel_name(kernels_[k]), static_cast<int64_t>(block.size()) + codes[k].entry});
      block.insert(block.end(), codes[k].bytes.begin(), codes[k].bytes.end());
    }
    builder.program().code = TRY(CodeImage::load(std::move(block), std::move(functions), name_of(options_.target.isa)));
    return {};
  }

 private:
  static bool runs(const KernelPlan& plan, const ProgramBuilder& builder) {
    return std::ranges::all_of(plan.sizes, [&](const Dim& dim) { return builder.known(dim); });
  }

  size_t add_step(const Node& node, const KernelPlan& plan, ProgramBuilder& builder) {
    Step step;
    step.name = step_name(node);
    step.op = step_op(node);
    for (const KernelSource& source : plan.inputs) {
      step.inputs.push_back(source.value ? builder.value(source.value) : builder.constant(source.constant));
    }
    for (const Value* output : plan.outputs) step.outputs.push_back(builder.value(output));
    for (const KernelCondition& condition : plan.conditions) builder.check(condition.a, condition.b, condition.broadcast, describe(node) + "extents");
    KernelCall call;
    call.function = function_of(plan.kernel);
    for (const Dim& dim : plan.sizes) call.sizes.push_back(builder.size(dim));
    call.iterations = builder.size(plan.iterations);
    call.cost = builder.size(plan.cost);
    if (!plan.scratch_bytes.is_constant(0)) call.scratch_bytes = builder.size(plan.scratch_bytes);
    if (const std::optional<Dim> flops = flops_of(node); flops && builder.known(*flops)) step.flop_count = builder.size(*flops);
    step.call = std::move(call);
    const size_t position = builder.add_step(std::move(step));
    for (const auto& [input, output] : plan.in_place) builder.may_run_in_place(position, input, output);
    return position;
  }

  // Equal kernels are one function.
  int32_t function_of(const Kernel& kernel) {
    const auto [entry, is_new] = by_text_.try_emplace(to_string(kernel), static_cast<int32_t>(kernels_.size()));
    if (is_new) kernels_.push_back(kernel);
    return entry->second;
  }

  // Each part is written where it belongs by whoever makes it, where the parts lie one after the other; else it is copied.
  Result<Lowering> concat(const Node& node, ProgramBuilder& builder) {
    const Value* whole = node.output();
    const Shape& shape = *whole->type.shape;
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(shape.size()))));
    const std::vector<Dim> strides = dense_strides(shape);
    std::vector<KernelPlan> copies;
    std::vector<Dim> offsets;
    Dim start = 0;
    for (const Value* part : node.inputs()) {
      offsets.push_back(start * strides[axis]);
      Result<KernelPlan> copy = plan_copy({part, dense_strides(*part->type.shape), 0}, {whole, strides, offsets.back()}, *part->type.shape, options_.target.isa);
      if (!copy.ok()) return refused(copy.error().message);
      if (!runs(*copy, builder)) return refused("extents that are not known before it runs");
      copies.push_back(std::move(*copy));
      start = start + (*part->type.shape)[axis];
    }
    const bool adjacent = std::all_of(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis), [](const Dim& dim) { return dim.is_constant(1); });
    for (size_t i = 0; i < copies.size(); ++i) {
      const Value* part = node.input(i);
      for (size_t d = 0; d < shape.size(); ++d) {
        if (d != axis) builder.check((*part->type.shape)[d], shape[d], false, describe(node) + fmt::format("dimension {} of input {}", d, i));
      }
      const bool placed = adjacent && part->producer() && !part->constant() && builder.place_inside(builder.value(part), builder.value(whole), offsets[i]);
      if (!placed) add_step(node, copies[i], builder);
    }
    return taken();
  }

  // Parts one after the other are views; others are copied, each by a kernel of its own.
  Result<Lowering> split(const Node& node, ProgramBuilder& builder) {
    const Value* whole = node.input(0);
    const Shape& shape = *whole->type.shape;
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(shape.size()))));
    const std::vector<Dim> strides = dense_strides(shape);
    if (!std::ranges::all_of(node.outputs(), [](const Value* part) { return part != nullptr; })) return refused("an absent part");
    const bool adjacent = std::all_of(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis), [](const Dim& dim) { return dim.is_constant(1); });
    std::vector<KernelPlan> copies;
    std::vector<Dim> offsets;
    Dim start = 0;
    for (const Value* part : node.outputs()) {
      offsets.push_back(start * strides[axis]);
      if (!adjacent) {
        Result<KernelPlan> copy = plan_copy({whole, strides, offsets.back()}, {part, dense_strides(*part->type.shape), 0}, *part->type.shape, options_.target.isa);
        if (!copy.ok()) return refused(copy.error().message);
        copies.push_back(std::move(*copy));
      }
      start = start + (*part->type.shape)[axis];
    }
    builder.check(start, shape[axis], false, describe(node) + "the parts together");
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      if (adjacent) builder.alias(builder.value(node.output(i)), builder.value(whole), offsets[i]);
      else add_step(node, copies[i], builder);
    }
    return taken();
  }

  Result<Lowering> pad(const Node& node, ProgramBuilder& builder) {
    const Result<std::vector<KernelPlan>> plans = plan_pad(node, options_.target.isa);
    if (!plans.ok()) return refused(plans.error().message);
    if (!std::ranges::all_of(*plans, [&](const KernelPlan& plan) { return runs(plan, builder); })) return refused("extents that are not known before it runs");
    for (const KernelPlan& plan : *plans) add_step(node, plan, builder);
    return taken();
  }

  // A kernel cannot fail, so positions are checked before it by gathering rows without elements: the op's own evaluation
  // says which one is outside. Literal positions are checked here.
  bool check_indices(const Node& node, ProgramBuilder& builder) {
    const Shape& shape = *node.input(0)->type.shape;
    const Result<int64_t> axis = normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(shape.size()));
    if (!axis.ok() || !shape[static_cast<size_t>(*axis)].is_constant()) return false;
    const int64_t extent = shape[static_cast<size_t>(*axis)].constant();
    const Value* indices = node.input(1);
    if (const Tensor* tensor = indices->constant()) {
      for (int64_t i = 0; i < tensor->elements(); ++i) {
        if (tensor->int_at(i) < -extent || tensor->int_at(i) >= extent) return false;
      }
      return true;
    }
    Step step;
    step.name = step_name(node);
    step.op = "check of indices";
    step.inputs = {builder.constant(Tensor::zeros(DType::kF32, {extent, 0})), builder.value(indices)};
    Shape checked = *indices->type.shape;
    checked.push_back(0);
    step.outputs = {builder.temporary(step.name + ".checked", DType::kF32, checked)};
    EvalCall call;
    call.op = "Gather";
    call.attrs.bind(op_named("Gather").attrs);
    step.call = std::move(call);
    builder.add_step(std::move(step));
    return true;
  }

  // Uses the first image of this instruction set that has all kernels.
  Status take_code(Program& program, std::span<const std::shared_ptr<const CodeImage>> images) const {
    std::vector<std::string> names;
    for (const Kernel& kernel : kernels_) names.push_back(kernel_name(kernel));
    size_t most = 0;  // kernels before the first that an image lacks
    for (const std::shared_ptr<const CodeImage>& image : images) {
      if (image->isa() != name_of(options_.target.isa)) continue;
      std::vector<int32_t> places;
      for (const std::string& name : names) {
        const auto found = std::ranges::find(image->functions(), name, &CodeFunction::name);
        if (found == image->functions().end()) break;
        places.push_back(static_cast<int32_t>(found - image->functions().begin()));
      }
      most = std::max(most, places.size());
      if (places.size() < names.size()) continue;
      for (Step& step : program.steps) {
        if (auto* call = std::get_if<KernelCall>(&step.call))
          call->function = places[static_cast<size_t>(call->function)];
      }
      program.code = image;
      return {};
    }
    const auto lacks = std::ranges::find_if(program.steps, [&](const Step& step) {
      const auto* call = std::get_if<KernelCall>(&step.call);
      return call && static_cast<size_t>(call->function) == most;
    });
    CHECK(lacks != program.steps.end(), "a kernel without a step");
    return unsupported(
        fmt::format("node '{}' ({}) needs machine code that is not at hand", lacks->name, lacks->op));
  }

  void make_code(std::vector<KernelCode>& codes) const {
    const ObjectCache cache(options_.cache_folder);
    const std::string prefix = code_generator_version() + " " + name_of(options_.target.isa) + "\n";
    std::atomic<size_t> next = 0;
    std::atomic<bool> compiled = false;
    auto work = [&] {
      for (size_t k = next++; k < codes.size(); k = next++) {
        const std::string key = prefix + to_string(kernels_[k]);
        std::optional<KernelCode> known = options_.cache ? cache.find(key) : std::nullopt;
        if (known) {
          codes[k] = std::move(*known);
          continue;
        }
        codes[k] = compile_kernel(kernels_[k], options_.target.isa);
        compiled = true;
        if (options_.cache) cache.keep(key, codes[k]);
      }
    };
    const int jobs = options_.jobs > 0 ? options_.jobs : available_cores();
    std::vector<std::jthread> threads;
    for (int j = 1; j < jobs && static_cast<size_t>(j) < codes.size(); ++j) threads.emplace_back(work);
    work();
    threads.clear();
    if (compiled && options_.cache) cache.trim();
  }

  const CompileOptions options_;
  std::vector<Kernel> kernels_;
  std::unordered_map<std::string, int32_t> by_text_;
};

}  // namespace

std::unique_ptr<Backend> make_llvm_backend(const CompileOptions& options) { return std::make_unique<LlvmBackend>(options); }

}  // namespace gannet
