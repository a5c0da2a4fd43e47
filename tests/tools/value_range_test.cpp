#include "tools/driver/value_range.h"

#include <gtest/gtest.h>

#include "frontend/import.h"
#include "frontend/onnx_writer.h"
#include "tools/driver/latents.h"

namespace gannet {
namespace {

// What a model tells whose end `build` makes of x.
template <class Build>
std::optional<ValueRange> range_of(const Build& build) {
  OnnxWriter model("ending", 17, 0);
  const std::string x = model.input("x", DType::kF32, {"n", int64_t{3}});
  const std::string y = build(model, x);
  model.output(y, DType::kF32, {"n", int64_t{3}});
  const ImportedModel imported = *import_model_bytes(*model.serialize(), "m.onnx");
  return find_output_range(*imported.graph->outputs[0].value);
}

void expect_range(std::optional<ValueRange> range, double low, double high) {
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->low, low);
  EXPECT_EQ(range->high, high);
}

TEST(ValueRange, IsThatOfTheEnding) {
  expect_range(range_of([](OnnxWriter& m, const std::string& x) { return m.node("Tanh", {x}); }), -1, 1);
  expect_range(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Identity", {m.node("Sigmoid", {x})});
               }),
               0, 1);
  expect_range(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Clip", {x, m.scalar(0), m.scalar(255)});
               }),
               0, 255);
  // (1 + tanh) / 2 and 150 tanh + 127.5
  expect_range(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Div", {m.node("Add", {m.scalar(1), m.node("Tanh", {x})}), m.scalar(2)});
               }),
               0, 1);
  expect_range(
      range_of([](OnnxWriter& m, const std::string& x) {
        return m.node("Add", {m.node("Mul", {m.node("Tanh", {x}), m.scalar(150)}), m.scalar(127.5f)});
      }),
      0, 255);
  // As Caffe's means leave it.
  expect_range(
      range_of([](OnnxWriter& m, const std::string& x) {
        return m.node("Add", {m.node("Mul", {m.node("Tanh", {x}), m.scalar(150)}), m.scalar(114.8f)});
      }),
      0, 255);
  expect_range(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Sub", {m.scalar(1), m.node("Sigmoid", {x})});
               }),
               0, 1);
  expect_range(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Mul", {m.node("Sigmoid", {x}), m.scalar(7)});
               }),
               0, 7);
  EXPECT_FALSE(range_of([](OnnxWriter& m, const std::string& x) { return m.node("Relu", {x}); }).has_value());
  EXPECT_FALSE(range_of([](OnnxWriter& m, const std::string& x) {
                 return m.node("Add", {m.node("Tanh", {x}), x});
               }).has_value());
}

TEST(ValueRange, OfWordsAndValues) {
  expect_range(*parse_value_range("-1..1", "--r"), -1, 1);
  expect_range(*parse_value_range("0.5..2e2", "--r"), 0.5, 200);
  for (const char* text : {"", "1", "1..1", "2..1", "a..b", "1..2x", "0..inf"})
    EXPECT_FALSE(parse_value_range(text, "--r").ok()) << text;
  expect_range(likely_range(-0.9, 0.95), -1, 1);
  expect_range(likely_range(-0.01, 1.02), 0, 1);
  expect_range(likely_range(-20, 250), 0, 255);
  expect_range(range_of_metadata({{"Image.NominalPixelRange", "NominalRange_0_255"}}), 0, 255);
  EXPECT_FALSE(range_of_metadata({{"author", "me"}}).has_value());
}

TEST(Latents, InterpolateAlongTheArc) {
  const std::vector<float> a = {1, 0}, b = {0, 2}, opposite = {-1, 0};
  EXPECT_EQ(interpolate_latents(a, b, 0, false), a);
  const std::vector<float> middle = interpolate_latents({a.data(), 2}, std::vector<float>{0, 1}, 0.5, false);
  EXPECT_NEAR(middle[0] * middle[0] + middle[1] * middle[1], 1, 1e-6);
  EXPECT_EQ(interpolate_latents(a, b, 0.5, true), (std::vector<float>{0.5f, 1}));
  EXPECT_EQ(interpolate_latents(a, opposite, 0.5, false), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace gannet
