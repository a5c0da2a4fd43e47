// Programs give what the reference evaluator gives, wherever their steps and values went.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "ir/evaluate.h"
#include "tests/backend/program_fixture.h"

namespace gannet {
namespace {

using test::error_of_run;
using test::expect_same_as_reference;
using test::floats;
using testing::HasSubstr;

constexpr std::string_view kTwo = "Constant() {value = f32[] {2}}";

std::string with_two(std::string_view inputs, std::string_view body) {
  return fmt::format("graph \"g\"({}) {{\n  %two: f32[] = {}\n  {}\n}}", inputs, kTwo, body);
}

TEST(Program, ChainsRunInPlace) {
  const std::string text = with_two("%x: f32[n, 3]", R"(%a = Mul(%x, %two)
  %b = Mul(%a, %two)
  %c = Mul(%b, %two)
  %d = Mul(%c, %two)
  return %d)");
  expect_same_as_reference(text, {floats({2, 3})});
  const CompiledProgram compiled = test::lowered(*test::graph_of(text), true);
  int64_t arena = 0;
  for (const Buffer& buffer : compiled.program->buffers) arena += buffer.kind == BufferKind::kArena;
  EXPECT_EQ(arena, 0) << "all four results share the output's memory";
}

TEST(Program, AValueThatIsReadLaterIsNotOverwritten) {
  expect_same_as_reference(with_two("%x: f32[n]", R"(%a = Mul(%x, %two)
  %b = Mul(%a, %two)
  %c = Mul(%b, %two)
  %d = Add(%a, %c)
  return %d, %b)"), {floats({5})});
}

TEST(Program, ResultsThatShareMemoryAreSeparate) {
  expect_same_as_reference(with_two("%x: f32[n, 4]", R"(%a = Mul(%x, %two)
  %shape = Constant() {value = i64[1] {-1}}
  %flat = Reshape(%a, %shape)
  %b = Mul(%flat, %two)
  %k = Constant() {value = f32[2] {7, 8}}
  return %a, %a, %flat, %x, %b, %k, %k)"), {floats({3, 4})});
}

TEST(Program, PartsAreWrittenInsideTheWhole) {
  const std::string text = with_two("%x: f32[n], %y: f32[m]", R"(%a = Mul(%x, %two)
  %b = Mul(%y, %two)
  %c = Concat(%a, %b, %x) {axis = 0}
  %d = Mul(%c, %two)
  %e = Concat(%d, %a) {axis = 0}
  return %e, %c)");
  expect_same_as_reference(text, {floats({2}), floats({3})});
  expect_same_as_reference(text, {floats({0}), floats({3})});
}

// Counts what it makes, and keeps it as a library does.
class CountingLibrary final : public PrimitiveLibrary {
 public:
  Result<std::shared_ptr<const Primitive>> prepare(const Recipe& recipe, std::span<const int64_t> sizes,
                                                   int threads,
                                                   std::span<const void* const> constants) override {
    auto& known = known_[{&recipe, {sizes.begin(), sizes.end()}}];
    if (known) return known;
    ++prepared;
    return known = TRY(library_->prepare(recipe, sizes, threads, constants));
  }
  int64_t prepared = 0;
  // Forgets what it made.
  void clear() { known_.clear(); }

 private:
  std::map<std::pair<const Recipe*, std::vector<int64_t>>, std::shared_ptr<const Primitive>> known_;
  std::shared_ptr<PrimitiveLibrary> library_ = test::scaling_library();
};

TEST(Program, ExtentsThatWereThereBeforeAreNotPlannedAgain) {
  const std::string text = with_two("%x: f32[n, m]", R"(%a = Mul(%x, %two)
  %b = Mul(%a, %two)
  %c = Mul(%b, %two)
  %d = Add(%a, %c)
  %e = Mul(%d, %two)
  %f = Concat(%a, %e) {axis = 0}
  return %f, %b)");
  const auto library = std::make_shared<CountingLibrary>();
  SessionOptions options;
  options.primitives = library;
  const auto session = *Session::create(test::lowered(*test::graph_of(text), true).program, options);
  int64_t planned = 0;
  for (int pass = 0; pass < 3; ++pass) {
    // The arena grows in between, so that earlier plans must follow it.
    for (const auto& extents : std::vector<std::vector<int64_t>>{{2, 3}, {3, 2}, {200, 300}, {1, 5}}) {
      const Datum x = floats(extents);
      for (int run = 0; run < 2; ++run) {
        const auto outputs = session->run(std::vector<Datum>{x});
        ASSERT_TRUE(outputs.ok()) << outputs.error().message;
        const auto expected = evaluate(*test::graph_of(text), {x});
        for (size_t i = 0; i < 2; ++i)
          EXPECT_TRUE((*outputs)[i].tensor().identical(expected->outputs[i].tensor())) << i;
      }
    }
    if (pass == 0) planned = library->prepared;
    EXPECT_GT(planned, 0);
    EXPECT_EQ(library->prepared, planned);
  }
  // What the library no longer has, it makes again.
  library->clear();
  const auto outputs = session->run(std::vector<Datum>{floats({2, 3})});
  ASSERT_TRUE(outputs.ok()) << outputs.error().message;
  EXPECT_GT(library->prepared, planned);
  EXPECT_TRUE((*outputs)[0].tensor().identical(
      evaluate(*test::graph_of(text), {floats({2, 3})})->outputs[0].tensor()));
}

TEST(Program, ExtentsThatDependOnDataStartAStage) {
  const std::string text = with_two("%x: f32[n]", R"(%a = Mul(%x, %two)
  %found: i64[1, k] = NonZero(%a)
  %extents: i64[1] = Dims() {dims = [k]}
  %ones = Expand(%two, %extents)
  %b = Mul(%ones, %two)
  %c = Concat(%a, %b) {axis = 0}
  %d = Mul(%c, %two)
  return %d, %extents)");
  expect_same_as_reference(text, {Tensor::from<float>({4}, {0, 5, 0, 7})});
  const CompiledProgram compiled = test::lowered(*test::graph_of(text), true);
  const auto session = test::session_of(compiled);
  for (const int64_t zeros : {1, 3, 0, 4, 4, 2}) {
    Tensor x = Tensor::zeros(DType::kF32, {4});
    for (int64_t i = zeros; i < 4; ++i) x.mutable_data<float>()[static_cast<size_t>(i)] = 1.5f;
    const auto outputs = session->run(std::vector<Datum>{x});
    ASSERT_TRUE(outputs.ok()) << outputs.error().message;
    const auto expected = evaluate(*test::graph_of(text), {x});
    EXPECT_TRUE((*outputs)[0].tensor().identical(expected->outputs[0].tensor()));
  }
}

TEST(Program, ResultsOfEvalStepsAreNoViewsOfTheArena) {
  expect_same_as_reference(with_two("%x: f32[n]", R"(%a = Mul(%x, %two)
  %list = SequenceConstruct(%a, %x)
  %b = Mul(%a, %two)
  %zero = Constant() {value = i64[] {0}}
  %first: f32[n] = SequenceAt(%list, %zero)
  %c = Mul(%first, %two)
  return %list, %b, %c)"), {floats({6})});
}

TEST(Program, BodiesOfControlFlowSeeSymbolsAndCaptures) {
  const std::string text = R"(graph "g"(%x: f32[m], %trips: i64[], %go: bool[]) {
  %last, %all = Loop(%trips, %go, %x, %x) {body = graph "body"(%i: i64[], %again: bool[], %carried: f32[m], %captured: f32[m]) {
    %two: f32[] = Constant() {value = f32[] {2}}
    %twice = Mul(%carried, %two)
    %sum = Add(%twice, %captured)
    return %again, %sum, %sum
  }, captures = 1}
  return %last, %all
})";
  expect_same_as_reference(text, {floats({3}), Tensor::scalar<int64_t>(4), Tensor::scalar<bool>(true)});
  expect_same_as_reference(text, {floats({3}), Tensor::scalar<int64_t>(0), Tensor::scalar<bool>(true)});
  const std::string branches = R"(graph "g"(%c: bool[], %x: f32[n]) {
  %y = If(%c, %x) {captures = 1, then_branch = graph "t"(%a: f32[n]) { return %a }, else_branch = graph "e"(%b: f32[n]) {
    %m = Neg(%b)
    return %m
  }}
  return %y
})";
  for (const bool chosen : {true, false}) expect_same_as_reference(branches, {Tensor::scalar<bool>(chosen), floats({3})});
}

TEST(Program, AFusedNodeThatNobodyTakesRunsNodeByNode) {
  expect_same_as_reference(R"(graph "g"(%x: f32[n, 2], %y: f32[2]) {
  %z = Fused(%x, %y) {kind = "region", body = graph "b"(%a: f32[n, 2], %b: f32[2]) {
    %two: f32[] = Constant() {value = f32[] {2}}
    %s = Add(%a, %b)
    %t = Mul(%s, %two)
    return %t
  }}
  %out = Neg(%z)
  return %out, %z
})", {floats({3, 2}), floats({2})});
}

TEST(Program, ErrorsAreThoseOfTheReference) {
  const std::string text = with_two("%x: f32[n, 3], %y: f32[n]", "%a = Mul(%x, %two)\n  return %a, %y");
  EXPECT_EQ(error_of_run(text, {floats({2, 3}), floats({3})}), "input 'y' dimension 0 is 3, but 'n' is already 2");
  EXPECT_EQ(error_of_run(text, {floats({2, 3})}), "1 inputs are given, the model takes 2");
  EXPECT_EQ(error_of_run(text, {floats({2, 4}), floats({2})}), "input 'x' dimension 1 is 4, the model takes [n, 3]");
  EXPECT_EQ(error_of_run("graph \"g\"(%x: f32[a], %i: i64[b]) {\n  %y = Gather(%x, %i) \"lookup\"\n  return %y\n}",
                         {floats({2}), Tensor::of_ints(std::vector<int64_t>{5})}),
            "node 'lookup' (Gather): index 5 is outside of an extent of 2");
}

TEST(Program, AViewThatDoesNotFitIsAnError) {
  const std::string text = R"(graph "g"(%x: f32[n, 6]) {
  %shape = Constant() {value = i64[2] {-1, 4}}
  %y = Reshape(%x, %shape) "view"
  %z = Neg(%y)
  return %z
})";
  expect_same_as_reference(text, {floats({2, 6})});
  EXPECT_THAT(error_of_run(text, {floats({1, 6})}), HasSubstr("node 'view' (Reshape)"));
}

TEST(Program, RandomOpsFollowTheSeed) {
  const std::string text = R"(graph "g"() {
  %x = RandomNormal() {shape = [5]}
  %y = RandomUniform() {shape = [5]}
  return %x, %y
})";
  expect_same_as_reference(text, {});
}

TEST(Program, StatesAreReadAndWritten) {
  auto graph = test::graph_of(with_two("%x: f32[2]", "%a = Mul(%x, %two)\n  return %a"));
  Value* x = graph->inputs()[0];
  Value* in = graph->add_state_value("counter", Type::tensor(DType::kF32, Shape{2}));
  graph->replace_uses(x, in);
  graph->states.push_back({"counter", in, graph->outputs[0].value, Tensor::from<float>({2}, {1, 3}), std::nullopt});
  for (const bool with_backend : {false, true}) {
    const auto session = test::session_of(test::lowered(*graph, with_backend));
    for (float expected = 2; expected < 20; expected *= 2) {
      const auto outputs = session->run(std::vector<Datum>{floats({2})});
      ASSERT_TRUE(outputs.ok()) << outputs.error().message;
      EXPECT_EQ((*outputs)[0].tensor().data<float>()[0], expected);
      EXPECT_EQ(session->state(0).data<float>()[1], 3 * expected);
    }
    EXPECT_TRUE(session->set_state(0, Tensor::from<float>({2}, {5, 5})).ok());
    EXPECT_FALSE(session->set_state(0, Tensor::from<float>({1}, {5})).ok());
    EXPECT_EQ((*session->run(std::vector<Datum>{floats({2})}))[0].tensor().data<float>()[0], 10);
  }
}

// y is doubled in place only where nobody wants what it was.
TEST(Program, WhatAStateWasStaysWhereItIsWanted) {
  for (const std::string wanted : {"result", "state"}) {
    auto graph = test::graph_of(with_two("%x: f32[2], %y: f32[2]", "%a = Mul(%x, %two)\n  return %a, %y"));
    Value* outs[] = {graph->outputs[0].value, graph->outputs[1].value};
    Value* x = graph->add_state_value("", Type::tensor(DType::kF32, Shape{2}));
    graph->replace_uses(graph->inputs()[0], x);
    graph->states.push_back({"x", x, outs[0], Tensor::from<float>({2}, {1, 3}), std::nullopt});
    if (wanted == "result") {
      graph->outputs[1].value = x;
    } else {
      Value* y = graph->add_state_value("", Type::tensor(DType::kF32, Shape{2}));
      graph->states.push_back({"y", y, x, Tensor::from<float>({2}, {7, 7}), std::nullopt});
      graph->outputs[1].value = y;
    }
    graph->erase_input(1);
    graph->erase_input(0);
    const auto session = test::session_of(test::lowered(*graph, true));
    for (float before : {1, 2, 4}) {
      const auto outputs = session->run(std::vector<Datum>{});
      ASSERT_TRUE(outputs.ok()) << outputs.error().message;
      EXPECT_EQ((*outputs)[0].tensor().data<float>()[0], 2 * before);
      EXPECT_EQ(session->state(0).data<float>()[0], 2 * before);
      if (wanted == "result") EXPECT_EQ((*outputs)[1].tensor().data<float>()[0], before);
      else EXPECT_EQ(session->state(1).data<float>()[0], before);
    }
  }
}

TEST(Program, ASeedOfARunGivesItsNumbers) {
  const auto session = test::session_of(test::lowered(*test::graph_of(R"(graph "g"() {
  %x = RandomNormal() {shape = [5]}
  return %x
})"), false));
  auto drawn = [&](int64_t step) {
    session->set_seed(step_seed(3, step));
    return (*session->run(std::vector<Datum>{}))[0].tensor();
  };
  const Tensor first = drawn(0), second = drawn(1);
  EXPECT_FALSE(first.identical(second));
  EXPECT_TRUE(drawn(0).identical(first));
  EXPECT_TRUE(drawn(1).identical(second));
}

TEST(Program, ResultsGoIntoGivenMemory) {
  const std::string text = with_two("%x: f32[n]", "%a = Mul(%x, %two)\n  %b = Neg(%a)\n  return %a, %b, %x");
  const auto session = test::session_of(test::lowered(*test::graph_of(text), true));
  std::vector<Datum> outputs(3, Datum(Tensor::zeros(DType::kF32, {4})));
  for (Datum& output : outputs) output.tensor().mutable_raw();
  const void* memory = outputs[0].tensor().raw();
  ASSERT_TRUE(session->run_into(std::vector<Datum>{floats({4})}, outputs).ok());
  EXPECT_EQ(outputs[0].tensor().raw(), memory);
  EXPECT_EQ(outputs[0].tensor().data<float>()[3], 8);
  EXPECT_EQ(outputs[1].tensor().data<float>()[3], -8);
  EXPECT_EQ(outputs[2].tensor().data<float>()[3], 4);
  EXPECT_FALSE(session->run_into(std::vector<Datum>{floats({5})}, outputs).ok());
}

}  // namespace
}  // namespace gannet
