#include "tools/driver/compile.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "ir/named_target.h"
#include "tools/driver/model_inputs.h"

namespace gannet {

Result<CompiledModel> compile_graph(Graph& graph, const CompileOptions& options, std::string_view pipeline, const RunOptions& passes,
                                    MemoryAim* memory) {
  const std::vector<InputSpec> specs = input_specs(graph);
  PassContext context(preferred_forms(options));
  context.product_dtype = options.product_dtype;
  if (memory) context.memory = *memory;
  TRY(run_passes(graph, find_pipeline(pipeline), context, passes));
  if (memory) *memory = context.memory;
  CompiledProgram compiled = TRY(lower_to_program(graph, options));
  for (size_t i = 0; i < specs.size(); ++i) compiled.program->inputs[i].index_bound = specs[i].index_bound;
  return CompiledModel{std::move(compiled.program), std::move(compiled.placements), context.remarks()};
}

void add_backend_argument(CLI::App& command, std::string& backend) {
  command.add_option("--backend", backend, "compiled, or reference: each op's definition, slow")
      ->check(CLI::IsMember({"compiled", "reference"}))->capture_default_str();
}

Status round_for_reference(Graph& graph, const CompileOptions& options, std::string_view pipeline) {
  if (options.product_dtype == DType::kF32) return {};
  PassContext context(preferred_forms(options));
  context.product_dtype = options.product_dtype;
  return run_passes(graph, find_pipeline(pipeline), context);
}

std::string rounding_note(const CompileOptions& options) {
  if (options.product_dtype == DType::kF32 || preferred_forms(options).bf16_products) return "";
  return fmt::format("{}: operands are rounded to bf16 and multiplied in f32, which is slower than --dtype f32",
                     options.target.bf16_products ? "without oneDNN there are no products of bf16"
                                                  : fmt::format("{} has no products of bf16", target_name(options.target)));
}

void add_compile_arguments(CLI::App& command, CompileOptions& options, DTypeNote note) {
  command.add_option_function<std::string>("--dtype", [&options, note](const std::string& name) {
    options.product_dtype = *dtype_from_name(name);
    if (note == DTypeNote::kLater) return;
    if (const std::string text = rounding_note(options); !text.empty()) fmt::print(stderr, "note: {}\n", text);
  }, "f32, or bf16: convolutions and matrix products of rounded operands with sums in f32, twice as fast on CPUs that have them (AVX512_BF16)")
      ->check(CLI::IsMember({"f32", "bf16"}))->default_str("f32");
  command.add_flag("!--no-cache", options.cache, "compile everything anew");
  command.add_flag("!--codegen-only", options.use_onednn, "do without oneDNN: smaller to deploy and quicker to start, slower for large models");
}

}  // namespace gannet
