// Which numbers of a tensor are the features of a picture, and which tensors have none; by `gannet evaluate
// --task gan`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "runtime/training/safetensors.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<WrittenDim> kPlanar = {"n", int64_t{1}, int64_t{12}, int64_t{12}},
                              kInterleaved = {"n", int64_t{12}, int64_t{12}, int64_t{1}};

class PictureFeatures : public CommandLine {
 protected:
  // Ten pictures of 12 x 12, half of them 51 and half 204 of 255 bright.
  void SetUp() override {
    CommandLine::SetUp();
    std::filesystem::create_directory("real");
    for (int i = 0; i < 10; ++i) {
      const Image image{12, 12, 1, std::vector<uint8_t>(144, i % 2 ? 51 : 204)};
      ASSERT_TRUE(write_png("real/" + std::to_string(i) + ".png", image).ok());
    }
  }
  // Pixels and twice the pixels, along a last or second axis of two.
  static std::string doubled(OnnxWriter& model, const std::string& x, int64_t axis, const char* name) {
    return model.node("Concat", {x, model.node("Mul", {x, model.scalar(2)})}, {{"axis", axis}}, name);
  }
  std::string measure(const std::string& features) {
    return run(
        "evaluate real --task gan --data real --neighbors 2 --save-statistics s.safetensors --features " +
        features);
  }
  // Means of the features: of both brightnesses, 0.5 and twice that.
  void expect_means(const std::string& features) {
    measure(features);
    const Safetensors file = *read_safetensors("s.safetensors");
    for (const auto& [name, tensor] : file.tensors) {
      if (name != "mean") continue;
      ASSERT_EQ(tensor.elements(), 2) << features;
      EXPECT_NEAR(tensor.data<double>()[0], 0.5, 1e-6);
      EXPECT_NEAR(tensor.data<double>()[1], 1, 1e-6);
      return;
    }
    ADD_FAILURE() << "no mean";
  }
  std::string refused(const std::string& features) {
    return error("evaluate real --task gan --data real --neighbors 2 --features " + features);
  }
};

TEST_F(PictureFeatures, MapsWithTheirChannelsLastAreAveragedOverPlaces) {
  OnnxWriter model("last", 17, 0);
  doubled(model, model.input("x", DType::kF32, kInterleaved), 3, "maps");
  model.output("maps", DType::kF32, {"n", int64_t{12}, int64_t{12}, int64_t{2}});
  ASSERT_TRUE(model.save("last.onnx").ok());
  expect_means("last.onnx");
  EXPECT_THAT(measure("last.onnx"),
              HasSubstr("2 features of 'maps' of last.onnx, averaged over places (channels last)"));
}

// What a convolution gives has channels second, whatever the layout of the input.
TEST_F(PictureFeatures, TransposesMoveTheChannels) {
  OnnxWriter model("moved", 17, 0);
  const std::string x = model.input("x", DType::kF32, kInterleaved);
  const std::string planar = model.node("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
  const std::string kernel = model.weight("kernel", {2, 1, 1, 1}, Fill::constant(1));
  const std::string maps = model.node("Conv", {planar, kernel}, {}, "second");
  model.node("Transpose", {model.node("Relu", {maps})}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}, "last");
  model.output("last", DType::kF32, {"n", int64_t{12}, int64_t{12}, int64_t{2}});
  ASSERT_TRUE(model.save("moved.onnx").ok());
  EXPECT_THAT(measure("moved.onnx"),
              HasSubstr("2 features of 'last' of moved.onnx, averaged over places (channels last)"));
  EXPECT_THAT(measure("moved.onnx:second"),
              HasSubstr("2 features of 'second' of moved.onnx, averaged over places\n"));
}

TEST_F(PictureFeatures, TokensAreAveraged) {
  OnnxWriter model("tokens", 17, 0);
  const std::string x = model.input("x", DType::kF32, kPlanar);
  const std::string flat = model.node("Reshape", {x, model.ints({0, 144, 1})});
  doubled(model, flat, 2, "tokens");
  model.output("tokens", DType::kF32, {"n", int64_t{144}, int64_t{2}});
  ASSERT_TRUE(model.save("tokens.onnx").ok());
  expect_means("tokens.onnx");
  EXPECT_THAT(measure("tokens.onnx"),
              HasSubstr("2 features of 'tokens' of tokens.onnx, averaged over tokens"));
}

TEST_F(PictureFeatures, ALayoutThatNothingTellsIsRefused) {
  OnnxWriter model("unclear", 17, 0);
  const std::string x = model.input("x", DType::kF32, kPlanar);
  model.node("Reshape", {x, model.ints({0, 4, 6, 6})}, {}, "folded");
  model.output("folded", DType::kF32, {"n", int64_t{4}, int64_t{6}, int64_t{6}});
  ASSERT_TRUE(model.save("unclear.onnx").ok());
  EXPECT_THAT(refused("unclear.onnx"), AllOf(HasSubstr("tensor 'folded' is f32[n, 4, 6, 6]"),
                                             HasSubstr("nothing says which axis"), HasSubstr(":TENSOR")));
}

TEST_F(PictureFeatures, EmptyAndWideTensorsAreRefused) {
  OnnxWriter model("edges", 17, 0);
  const std::string x = model.input("x", DType::kF32, kPlanar);
  model.node("Slice", {x, model.ints({0}), model.ints({0}), model.ints({2})}, {}, "no_places");
  model.output("no_places", DType::kF32, {"n", int64_t{1}, int64_t{0}, int64_t{12}});
  const std::string flat = model.node("Flatten", {x}, {{"axis", int64_t{1}}});
  model.node("Slice", {flat, model.ints({0}), model.ints({0}), model.ints({1})}, {}, "nothing");
  model.output("nothing", DType::kF32, {"n", int64_t{0}});
  model.node("Concat", std::vector<std::string>(120, flat), {{"axis", int64_t{1}}}, "wide");
  model.output("wide", DType::kF32, {"n", int64_t{120 * 144}});
  ASSERT_TRUE(model.save("edges.onnx").ok());
  EXPECT_THAT(refused("edges.onnx:no_places"), AllOf(HasSubstr("'no_places'"), HasSubstr("empty")));
  EXPECT_THAT(refused("edges.onnx:nothing"), AllOf(HasSubstr("'nothing'"), HasSubstr("empty")));
  EXPECT_THAT(refused("edges.onnx:wide"), AllOf(HasSubstr("17280 features a picture of at most 16384"),
                                                HasSubstr("--features edges.onnx:TENSOR")));
}

// Kept statistics hold probabilities of one output of classes.
TEST_F(PictureFeatures, KeptStatisticsBelongToTheClassOutput) {
  OnnxWriter model("classes", 17, 1);
  const std::string x = model.input("x", DType::kF32, kPlanar),
                    flat = model.node("Flatten", {x}, {{"axis", int64_t{1}}});
  for (const char* name : {"first", "second"}) {
    model.node("MatMul", {flat, model.weight(name + std::string("_w"), {144, 3}, Fill::normal(0, 0.1))}, {},
               name);
    model.output(name, DType::kF32, {"n", int64_t{3}});
  }
  ASSERT_TRUE(model.save("classes.onnx").ok());
  measure("classes.onnx:first --class-output second");
  const std::string line =
      "evaluate real --task gan --neighbors 2 --statistics s.safetensors --features classes.onnx:first";
  run(line + " --class-output second");
  EXPECT_THAT(error(line), HasSubstr("features of another model or of pictures prepared in another way"));
}

TEST_F(PictureFeatures, FlagsOfAnotherTaskAreErrors) {
  OnnxWriter model("copies", 17, 0);
  doubled(model, model.input("x", DType::kF32, kPlanar), 1, "maps");
  model.output("maps", DType::kF32, {"n", int64_t{2}, int64_t{12}, int64_t{12}});
  ASSERT_TRUE(model.save("copies.onnx").ok());
  for (const char* flag :
       {"--target y", "--labels names.txt", "--report r.html", "--top-k 3", "--vocab v.txt", "--tta",
        "--threshold 0.5", "--batch-size 4", "--output maps", "--multi-label", "--strict"}) {
    const std::string text = refused(std::string("copies.onnx ") + flag);
    EXPECT_THAT(text, HasSubstr("is for labelled data, --task gan compares pictures")) << flag;
  }
  measure("copies.onnx --scale 1 --bgr");  // how pictures become the input
  for (const char* flag :
       {"--features copies.onnx", "--statistics s.safetensors", "--save-statistics t.safetensors",
        "--samples 5", "--seed 1", "--subsets 3", "--latent z"}) {
    EXPECT_THAT(error(std::string("evaluate copies.onnx --data real ") + flag),
                HasSubstr("is for --task gan"))
        << flag;
  }
}

}  // namespace
}  // namespace gannet::test
