// Measures of generated pictures, from the command line. Models and pictures are made here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "runtime/distribution/frechet_distance.h"
#include "runtime/training/safetensors.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class GanEvaluation : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new cnn --image-size 12 --channels 1 --classes 3 --sample-data real --samples 120 -o "
        "classifier.onnx");
    run("new dcgan-generator --image-size 28 --channels 1 --features 4 --latent 8 -o g.onnx");
    write_features();
  }
  nlohmann::json measured(const std::string& line) {
    return nlohmann::json::parse(run("evaluate " + line + " --task gan --json"));
  }

  // Maps 'maps' of 5 channels, and scores of 3 classes; the batch is fixed at 1.
  void write_features() {
    OnnxWriter model("features", 17, 3);
    const std::string x = model.input("x", DType::kF32, {int64_t{1}, int64_t{1}, int64_t{12}, int64_t{12}});
    const std::string kernel = model.weight("kernel", {5, 1, 3, 3}, Fill::normal(0, 1));
    const std::string maps =
        model.node("Conv", {x, kernel}, {{"kernel_shape", std::vector<int64_t>{3, 3}}}, "maps");
    const std::string flat = model.node("Flatten", {maps}, {{"axis", int64_t{1}}});
    model.node("MatMul", {flat, model.weight("w", {500, 3}, Fill::normal(0, 0.1))}, {}, "scores");
    model.output("scores", DType::kF32, {int64_t{1}, int64_t{3}});
    ASSERT_TRUE(model.save("features.onnx").ok());
  }
};

TEST_F(GanEvaluation, ASetEqualsItself) {
  const nlohmann::json same = measured("real --data real --features features.onnx:maps");
  EXPECT_NEAR(same["fid"].get<double>(), 0, 1e-6);
  EXPECT_EQ(same["precision"], 1);
  EXPECT_EQ(same["recall"], 1);
  EXPECT_EQ(same["coverage"], 1);
  EXPECT_EQ(same["real"], 120);
  EXPECT_LT(std::abs(same["kid"].get<double>()), same["kid_deviation"].get<double>());
  EXPECT_EQ(same["inception_score"], same["real_inception_score"]);
}

TEST_F(GanEvaluation, MeasuresAGeneratorOnAnyThreads) {
  const std::string line = "g.onnx --data real --features features.onnx:maps --samples 90";
  const nlohmann::json once = measured(line + " --threads 1"),
                       twice = measured(line + " --threads 2 --generator-batch 7");
  EXPECT_EQ(once, twice);
  EXPECT_EQ(once["generated"], 90);
  EXPECT_GT(once["fid"], 0.1);
  EXPECT_LT(once["coverage"], 0.5);
  // The same pictures from files.
  run("generate g.onnx -n 90 -o fake");
  nlohmann::json files = measured("fake --data real --features features.onnx:maps");
  EXPECT_EQ(files["fid"], once["fid"]);
  EXPECT_EQ(files["kid"], once["kid"]);
  EXPECT_THAT(run("evaluate fake --task gan --data real --features features.onnx:maps"),
              AllOf(HasSubstr("90 pictures of fake against 120 of real"),
                    HasSubstr("5 features of 'maps' of features.onnx"), HasSubstr("(FID)"),
                    HasSubstr("Inception score"), HasSubstr("(100 subsets of 45)")));
}

TEST_F(GanEvaluation, KeepsStatisticsOfRealPictures) {
  run("generate g.onnx -n 40 -o fake");
  nlohmann::json fresh =
      measured("fake --data real --features features.onnx --save-statistics real.safetensors");
  nlohmann::json kept = measured("fake --statistics real.safetensors --features features.onnx");
  for (const char* name : {"fid", "kid", "precision", "density", "real_inception_score"})
    EXPECT_EQ(fresh[name], kept[name]) << name;
  const Safetensors file = *read_safetensors("real.safetensors");
  EXPECT_THAT(file.metadata.at("gannet.features"), HasSubstr("scores 12x12x1"));
  EXPECT_THAT(error("evaluate fake --task gan --statistics real.safetensors --features features.onnx:maps"),
              HasSubstr("features of another model or of pictures prepared in another way"));
  EXPECT_THAT(
      error("evaluate fake --task gan --statistics real.safetensors --features features.onnx --scale 1"),
      HasSubstr("prepared in another way"));
  write("broken.safetensors", "no");
  EXPECT_THAT(error("evaluate fake --task gan --statistics broken.safetensors --features features.onnx"),
              HasSubstr("broken.safetensors"));
}

// Features by hand: the mean over the places of each map.
TEST_F(GanEvaluation, MapsAreAveragedOverPlaces) {
  OnnxWriter model("copies", 17, 0);
  const std::string x = model.input("x", DType::kF32, {"n", int64_t{1}, int64_t{12}, int64_t{12}});
  model.node("Concat", {x, model.node("Mul", {x, model.scalar(2)})}, {{"axis", int64_t{1}}}, "maps");
  model.output("maps", DType::kF32, {"n", int64_t{2}, int64_t{12}, int64_t{12}});
  ASSERT_TRUE(model.save("copies.onnx").ok());
  std::filesystem::create_directory("two");
  const Image dark{12, 12, 1, std::vector<uint8_t>(144, 51)},
      bright{12, 12, 1, std::vector<uint8_t>(144, 204)};
  ASSERT_TRUE(write_png("two/a.png", dark).ok() && write_png("two/b.png", bright).ok());
  run("evaluate real --task gan --data real --features copies.onnx --save-statistics s.safetensors");
  EXPECT_THAT(error("evaluate two --task gan --data real --features copies.onnx"),
              HasSubstr("sets of 120 and 2 pictures"));
  for (int i = 0; i < 8; ++i)
    ASSERT_TRUE(write_png("two/" + std::to_string(i) + ".png", i % 2 ? dark : bright).ok());
  run("evaluate real --task gan --data two --features copies.onnx --save-statistics two.safetensors "
      "--neighbors 2");
  const Safetensors file = *read_safetensors("two.safetensors");
  const auto mean =
      std::ranges::find_if(file.tensors, [](const auto& named) { return named.first == "mean"; });
  ASSERT_NE(mean, file.tensors.end());
  EXPECT_NEAR(mean->second.data<double>()[0], 0.5, 1e-6);
  EXPECT_NEAR(mean->second.data<double>()[1], 1, 1e-6);
}

TEST_F(GanEvaluation, SaysWhatIsMissing) {
  EXPECT_THAT(error("evaluate real --task gan --data real"), HasSubstr("--features"));
  EXPECT_THAT(error("evaluate real --task gan --features features.onnx"),
              HasSubstr("--data, or with --statistics"));
  EXPECT_THAT(error("evaluate real --task gan --data real --features features.onnx:map"),
              HasSubstr("did you mean 'maps'?"));
  EXPECT_THAT(error("evaluate real --task gan --data nowhere --features features.onnx"),
              HasSubstr("nowhere"));
  EXPECT_THAT(error("evaluate real --task gan --data real --features features.onnx --class-output maps"),
              HasSubstr("'maps'"));
  run("new mlp --inputs 8 -o mlp.onnx");
  EXPECT_THAT(error("evaluate real --task gan --data real --features mlp.onnx"), HasSubstr("mlp.onnx"));
  EXPECT_THAT(error("evaluate real --task gan --data real --features features.onnx --subset-size 500"),
              HasSubstr("2 to 120"));
}

}  // namespace
}  // namespace gannet::test
