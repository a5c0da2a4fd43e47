#include "tests/training/gan_pair.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "frontend/import.h"
#include "ir/base/random.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "passes/widen_model.h"
#include "tools/driver/compile.h"

namespace gannet::test {

std::unique_ptr<Graph> trainable(Result<OnnxWriter> writer, DType dtype, bool compiled) {
  EXPECT_TRUE(writer.ok());
  Result<std::string> bytes = writer->serialize();
  EXPECT_TRUE(bytes.ok());
  Result<ImportedModel> model = import_model_bytes(*std::move(bytes), "model.onnx");
  EXPECT_TRUE(model.ok() && widen_model(*model->graph, dtype).ok());
  widen_ends(*model->graph);
  EXPECT_TRUE(weights_to_state(*model->graph, {.running_statistics = true}).ok());
  PassContext context;
  EXPECT_TRUE(!compiled || run_passes(*model->graph, find_pipeline("before_gradient"), context).ok());
  return std::move(model->graph);
}

Result<std::unique_ptr<GraphRunner>> runner_of(std::unique_ptr<Graph> graph, bool compiled) {
  if (!compiled) return make_reference_runner(std::move(graph), {});
  const CompiledModel model = TRY(compile_graph(*graph, CompileOptions(), "training"));
  std::unique_ptr<Session> session = TRY(make_session(model.program, 1, 0, Limits()));
  return make_session_runner(*model.program, std::move(session));
}

std::vector<Datum> made_up_inputs(const Graph& step, const std::vector<GanInput>& kinds, int64_t rows, double rate, uint64_t seed) {
  std::vector<Datum> inputs;
  Random random(seed);
  for (size_t i = 0; i < kinds.size(); ++i) {
    const Type& type = step.inputs()[i]->type;
    if (type.rank() == 0) {
      inputs.emplace_back(Tensor::scalar_of(type.dtype, rate));
      continue;
    }
    std::vector<int64_t> extents = {rows};
    for (size_t d = 1; d < type.shape->size(); ++d) extents.push_back((*type.shape)[d].constant());
    Tensor tensor = Tensor::zeros(DType::kF64, extents);
    for (double& x : tensor.mutable_data<double>()) {
      if (kinds[i] == GanInput::kClasses) x = static_cast<double>(random.below(3));
      else if (kinds[i] == GanInput::kUniform) x = random.uniform_double();
      else if (kinds[i] == GanInput::kPictures) x = random.uniform(-1, 1);
      else x = random.normal();
    }
    inputs.emplace_back(*convert(tensor, type.dtype));
  }
  return inputs;
}

double output_named(const GraphRunner& runner, const std::vector<Datum>& outputs, std::string_view name) {
  const auto& names = runner.output_names();
  const auto found = std::ranges::find(names, name);
  EXPECT_NE(found, names.end()) << name;
  return found == names.end() ? 0 : outputs[static_cast<size_t>(found - names.begin())].tensor().double_at(0);
}

}  // namespace gannet::test
