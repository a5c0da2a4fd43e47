// Model-local functions are expanded.
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

onnx::FunctionProto& add_function(TestModel& model, const std::string& name, const Names& inputs,
                                  const Names& outputs) {
  onnx::FunctionProto& function = *model.proto.add_functions();
  function.set_domain("mine");
  function.set_name(name);
  for (const auto& input : inputs) function.add_input(input);
  for (const auto& output : outputs) function.add_output(output);
  for (const char* domain : {"", "mine"}) {
    auto* opset = function.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(17);
  }
  return function;
}

TestModel with_functions() {
  TestModel model(17);
  model.import_domain("mine", 1);
  onnx::FunctionProto& leaky = add_function(model, "Leaky", {"x"}, {"y"});
  leaky.add_attribute("slope");
  onnx::NodeProto& node = add_test_node(leaky, "LeakyRelu", {"x"}, {"y"});
  onnx::AttributeProto& reference = *node.add_attribute();
  reference.set_name("alpha");
  reference.set_ref_attr_name("slope");
  reference.set_type(onnx::AttributeProto::FLOAT);
  onnx::FunctionProto& twice = add_function(model, "Twice", {"x", "unused"}, {"out"});
  add_test_node(twice, "Leaky", {"x"}, {"y"}, {{"slope", 0.5f}}, "mine");
  add_test_node(twice, "Add", {"y", "y"}, {"out"});
  model.input("x", {2});
  return model;
}

TEST(ImportFunction, NestedCallsAndAttributes) {
  TestModel model = with_functions();
  model.node("Twice", {"x"}, {"a"}, {}, "mine")
      .node("Leaky", {"a"}, {"b"}, {}, "mine")
      .output("a")
      .output("b");
  auto outputs = model.run({Tensor::from<float>({2}, {-4, 3})});
  EXPECT_THAT(floats_of(outputs[0]), ElementsAre(-4, 6));
  EXPECT_THAT(floats_of(outputs[1]), ElementsAre(-0.04f, 6));  // LeakyRelu's own default
  auto imported = model.import();
  EXPECT_THAT(op_names(*imported->graph), ElementsAre("LeakyRelu", "Add", "LeakyRelu"));
  EXPECT_EQ(imported->graph->nodes().front()->name, "Twice_0/Leaky_0/LeakyRelu_0");
}

TEST(ImportFunction, RecursionIsAnError) {
  TestModel model(17);
  model.import_domain("mine", 1);
  add_test_node(add_function(model, "F", {"x"}, {"y"}), "G", {"x"}, {"y"}, {}, "mine");
  add_test_node(add_function(model, "G", {"x"}, {"y"}), "F", {"x"}, {"y"}, {}, "mine");
  model.input("x", {2}).node("F", {"x"}, {"y"}, {}, "mine").output("y");
  EXPECT_THAT(model.error(), HasSubstr("a function calls itself: F -> G -> F"));
}

TEST(ImportFunction, CallsMustFitTheFunction) {
  TestModel model = with_functions();
  model.node("Leaky", {"x", "x"}, {"a"}, {}, "mine").node("Leaky", {"x"}, {"b"}, {{"tilt", 1.0f}}, "mine");
  model.node("Leaky", {"x"}, {"c", "d"}, {}, "mine").output("a");
  EXPECT_THAT(model.error(), HasSubstr("function Leaky takes 1 inputs, got 2"));
  EXPECT_THAT(model.error(), HasSubstr("attribute 'tilt' is not one of function Leaky"));
  EXPECT_THAT(model.error(), HasSubstr("function Leaky gives 1 outputs, 2 are named"));
}

TEST(ImportFunction, ExpansionIsLimited) {
  TestModel model(17);
  model.import_domain("mine", 1);
  add_test_node(add_function(model, "F0", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  for (int i = 1; i < 25; ++i) {
    std::string inner = "F" + std::to_string(i - 1);
    onnx::FunctionProto& function = add_function(model, "F" + std::to_string(i), {"x"}, {"y"});
    for (int k = 0; k < 8; ++k) add_test_node(function, inner, {"x"}, {"u" + std::to_string(k)}, {}, "mine");
    add_test_node(function, inner, {"x"}, {"y"}, {}, "mine");
  }
  model.input("x", {2}).node("F24", {"x"}, {"y"}, {}, "mine").output("y");
  ImportOptions options;
  options.limits.nodes = 10000;
  EXPECT_THAT(model.error(options), HasSubstr("more than 10000 nodes with functions expanded"));
}

}  // namespace
}  // namespace gannet
