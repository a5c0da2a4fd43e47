#include "tests/tools/quantized_mlp.h"

#include <string>
#include <vector>

namespace gannet::test {
namespace {

template <class T>
void add_tensor(TestModel& model, const std::string& name, DType dtype, const std::vector<int64_t>& extents,
                const std::vector<T>& values) {
  onnx::TensorProto& tensor = *model.graph().add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(static_cast<int>(dtype));
  for (int64_t extent : extents) tensor.add_dims(extent);
  tensor.set_raw_data(std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

}  // namespace

TestModel quantized_mlp(float activation_scale) {
  TestModel model(13);
  model.input("input", {"n", int64_t{8}})
      .floats("sx", {}, {activation_scale})
      .floats("one", {}, {1.0f / 127});
  add_tensor<uint8_t>(model, "zx", DType::kU8, {}, {128});
  add_tensor<uint8_t>(model, "z0", DType::kU8, {}, {0});
  add_tensor<int8_t>(model, "z8", DType::kI8, {}, {0});
  std::vector<int8_t> codes;
  for (int i = 0; i < 128; ++i) codes.push_back(static_cast<int8_t>((i * 37 + 11) % 101 - 50));
  add_tensor<int8_t>(model, "w1", DType::kI8, {16, 8}, codes);
  add_tensor<int8_t>(model, "z1", DType::kI8, {16}, std::vector<int8_t>(16, 0));
  add_tensor<int32_t>(model, "b1", DType::kI32, {16}, std::vector<int32_t>(16, 3));
  std::vector<float> scales, w2;
  for (int i = 0; i < 16; ++i) scales.push_back(0.01f + 0.001f * static_cast<float>(i));
  for (int i = 0; i < 48; ++i) w2.push_back(0.1f * static_cast<float>((i * 5 + 1) % 7 - 3));
  model.floats("s1", {16}, scales).floats("w2", {16, 3}, w2);
  auto through_codes = [&](const std::string& name, const std::string& scale, const std::string& zero) {
    model.node("QuantizeLinear", {name, scale, zero}, {name + ".q"})
        .node("DequantizeLinear", {name + ".q", scale, zero}, {name + ".d"});
  };
  through_codes("input", "sx", "zx");
  model.node("DequantizeLinear", {"w1", "s1", "z1"}, {"w1.d"}, {{"axis", int64_t{0}}});
  model.node("DequantizeLinear", {"b1", "s1"}, {"b1.d"}, {{"axis", int64_t{0}}});
  model.node("Gemm", {"input.d", "w1.d", "b1.d"}, {"g"}, {{"transB", int64_t{1}}}).node("Relu", {"g"}, {"r"});
  through_codes("r", "sx", "z0");
  through_codes("w2", "one", "z8");
  model.node("MatMul", {"r.d", "w2.d"}, {"m"});
  through_codes("m", "sx", "zx");
  model.node("Softmax", {"m.d"}, {"p"});
  through_codes("p", "one", "z0");
  model.node("Identity", {"p.d"}, {"y"}).output("y");
  return model;
}

}  // namespace gannet::test
