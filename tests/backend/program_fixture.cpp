#include "tests/backend/program_fixture.h"

#include <gtest/gtest.h>

#include <numeric>

#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"

namespace gannet::test {
namespace {

class Scaling : public Primitive {
 public:
  Scaling(float factor, int64_t elements) : factor_(factor), elements_(elements) {}
  int64_t scratch_bytes() const override { return 100; }
  Status run(void* const* pointers, void* scratch, Threads&) const override {
    if (!scratch) return invalid_input("no scratch");
    const auto* x = static_cast<const float*>(pointers[0]);
    auto* y = static_cast<float*>(pointers[1]);
    for (int64_t i = 0; i < elements_; ++i) y[i] = factor_ * x[i];
    return {};
  }

 private:
  float factor_;
  int64_t elements_;
};

class ScalingLibrary : public PrimitiveLibrary {
 public:
  Result<std::shared_ptr<const Primitive>> prepare(const Recipe& recipe, std::span<const int64_t> sizes, int,
                                                   std::span<const void* const>) override {
    const auto& matmul = std::get<MatmulRecipe>(recipe);
    int64_t elements = 1;
    for (const SizeId extent : matmul.x.extents) elements *= sizes[static_cast<size_t>(extent)];
    return std::shared_ptr<const Primitive>(std::make_shared<Scaling>(matmul.alpha, elements));
  }
};

class ScalingBackend : public Backend {
 public:
  std::string_view name() const override { return "scaling"; }

  Result<Lowering> lower(const Node& node, ProgramBuilder& builder) override {
    if (node.op().name == "Concat" && node.attrs.integer("axis") == 0) return concat(node, builder);
    const Tensor* factor = node.op().name == "Mul" ? node.input(1)->constant() : nullptr;
    if (!factor || factor->elements() != 1 || node.input(0)->type.dtype != DType::kF32) return Lowering{false, "no scaling"};
    Step step;
    step.name = node.name;
    step.op = "Scale";
    step.inputs = {builder.value(node.input(0))};
    step.outputs = {builder.value(node.output())};
    MatmulRecipe recipe;
    recipe.alpha = factor->data<float>()[0];
    recipe.x.extents = builder.sizes(*node.input(0)->type.shape);
    step.call = PrimitiveCall{recipe};
    builder.may_run_in_place(builder.add_step(std::move(step)), 0, 0);
    return Lowering{true, ""};
  }

  Status finish(ProgramBuilder&) override { return {}; }

 private:
  static Result<Lowering> concat(const Node& node, ProgramBuilder& builder) {
    const ValueId whole = builder.value(node.output());
    Dim offset = 0;
    for (const Value* part : node.inputs()) {
      ValueId id = builder.value(part);
      if (!builder.place_inside(id, whole, offset)) {
        Step copy;
        copy.op = "Copy";
        copy.inputs = {id};
        copy.outputs = {builder.temporary("part", part->type.dtype, *part->type.shape)};
        copy.call = CopyCall{};
        const ValueId made = copy.outputs[0];
        builder.add_step(std::move(copy));
        EXPECT_TRUE(builder.place_inside(made, whole, offset));
      }
      offset = offset + element_count(*part->type.shape);
    }
    return Lowering{true, ""};
  }
};

}  // namespace

std::unique_ptr<Backend> make_scaling_backend() { return std::make_unique<ScalingBackend>(); }
std::shared_ptr<PrimitiveLibrary> scaling_library() { return std::make_shared<ScalingLibrary>(); }

std::unique_ptr<Graph> graph_of(std::string_view text) {
  Result<std::unique_ptr<Graph>> graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  return graph.ok() ? *std::move(graph) : std::make_unique<Graph>();
}

CompiledProgram lowered(const Graph& graph, bool with_backend) {
  Result<CompiledProgram> compiled = lower_to_program(graph, [&] {
    std::vector<std::unique_ptr<Backend>> backends;
    if (with_backend) backends.push_back(make_scaling_backend());
    return backends;
  });
  EXPECT_TRUE(compiled.ok()) << compiled.error().message;
  return *std::move(compiled);
}

std::unique_ptr<Session> session_of(const CompiledProgram& compiled, uint64_t seed) {
  SessionOptions options;
  options.seed = seed;
  options.primitives = scaling_library();
  Result<std::unique_ptr<Session>> session = Session::create(compiled.program, options);
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

namespace {

void expect_identical(const Datum& given, const Datum& expected) {
  ASSERT_EQ(to_string(given.type()), to_string(expected.type()));
  if (given.is_tensor()) {
    EXPECT_TRUE(given.tensor().identical(expected.tensor()));
  } else if (given.kind() == Datum::Kind::kSequence) {
    for (size_t i = 0; i < given.elements().size(); ++i) expect_identical(given.elements()[i], expected.elements()[i]);
  }
}

}  // namespace

void expect_same_as_reference(std::string_view text, const std::vector<Datum>& inputs) {
  SCOPED_TRACE(std::string(text));
  const std::unique_ptr<Graph> graph = graph_of(text);
  const Result<EvaluateResult> expected = evaluate(*graph, inputs);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  for (const bool with_backend : {false, true}) {
    const CompiledProgram compiled = lowered(*graph, with_backend);
    const std::unique_ptr<Session> session = session_of(compiled);
    for (int round = 0; round < 2; ++round) {
      const Result<std::vector<Datum>> outputs = session->run(inputs);
      ASSERT_TRUE(outputs.ok()) << outputs.error().message;
      for (size_t i = 0; i < outputs->size(); ++i) expect_identical((*outputs)[i], expected->outputs[i]);
    }
  }
}

std::string error_of_run(std::string_view text, const std::vector<Datum>& inputs) {
  const std::unique_ptr<Graph> graph = graph_of(text);
  const Result<EvaluateResult> expected = evaluate(*graph, inputs);
  EXPECT_FALSE(expected.ok());
  const Result<std::vector<Datum>> without = session_of(lowered(*graph, false))->run(inputs);
  const Result<std::vector<Datum>> outputs = session_of(lowered(*graph, true))->run(inputs);
  EXPECT_FALSE(without.ok());
  EXPECT_FALSE(outputs.ok());
  return outputs.ok() ? "" : outputs.error().message;
}

Datum floats(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
  std::span<float> values = tensor.mutable_data<float>();
  std::iota(values.begin(), values.end(), 1.0f);
  return Datum(std::move(tensor));
}

}  // namespace gannet::test
