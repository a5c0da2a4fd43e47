// `gannet evaluate` on pictures, against what tuning measured and what gannet run gives for the same pixels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ImageEvaluate : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new cnn --image-size 12 --channels 3 --classes 3 --sample-data train --samples 90 -o cnn.onnx");
    run("new cnn --image-size 12 --channels 3 --classes 3 --sample-data test --samples 48 --seed 5 -o other.onnx");
  }
  std::string run(const std::string& line) {
    const CommandResult result = gannet_line(line);
    EXPECT_EQ(result.status, 0) << line << "\n" << result.err << result.out;
    return result.out;
  }
  nlohmann::json figures(const std::string& line) { return nlohmann::json::parse(run("evaluate " + line + " --json")); }
  // The number behind the last `name` in a text.
  static double last(const std::string& text, const std::string& name) {
    double value = NAN;
    const std::regex pattern(name + " ([0-9.e+-]+)");
    for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it)
      value = std::stod((*it)[1]);
    return value;
  }
  static std::string table_of(const std::string& folder) {
    std::string table = "path,labels\n";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const std::string label = entry.path().parent_path().filename().string();
      table += entry.path().string() + "," + (label == "0" ? "even" : label == "1" ? "odd" : "even|two") + "\n";
    }
    return table;
  }
};

TEST_F(ImageEvaluate, SaysWhatTuningSaid) {
  const std::string text = run(
      "tune cnn.onnx --train train --eval test --epochs 2 --lr 0.003 --scale 1 --mean 120,110,100 --std 60 --bgr "
      "--resize crop --tta --top-k 2 -o tuned.onnx");
  const auto json = figures("tuned.onnx --task image-classification --test test --tta --top-k 2 --report r.html");
  EXPECT_NEAR(json["accuracy"], last(text, "best accuracy"), 5e-5);
  EXPECT_EQ(json["rows"], 48);
  EXPECT_EQ(json["left_out"], 0);
  EXPECT_EQ(json["classes"][2]["name"], "2");
  EXPECT_TRUE(json.contains("top2_accuracy"));
  EXPECT_THAT(contents("r.html"), AllOf(HasSubstr("48 held-out pictures, accuracy"), HasSubstr("<svg")));
  // The preparation is in the file: flags that say the same change nothing, others do.
  EXPECT_EQ(figures("tuned.onnx --test test --tta --scale 1 --mean 120,110,100 --std 60 --bgr --top-k 2")["loss"],
            json["loss"]);
  EXPECT_NE(figures("tuned.onnx --test test --tta --std 30")["loss"], json["loss"]);
  EXPECT_NE(figures("tuned.onnx --test test")["loss"], json["loss"]);
  run("compile tuned.onnx -o tuned.gannet");
  EXPECT_NEAR(figures("tuned.gannet --test test --tta")["loss"], json["loss"], 1e-6);
  EXPECT_NEAR(figures("tuned.onnx --test test --tta --backend reference")["loss"], json["loss"], 1e-5);
  EXPECT_THAT(run("evaluate tuned.onnx --test test"), AllOf(HasSubstr("48 rows of test"), HasSubstr("macro_f1")));
}

// The loss is that of what `gannet run` gives for each picture.
TEST_F(ImageEvaluate, ComputesWhatRunComputes) {
  run("tune cnn.onnx --train train --eval test --epochs 1 --mean 0.5 --std 0.25 -o tuned.onnx");
  std::filesystem::create_directories("one/1");
  for (const auto& entry : std::filesystem::directory_iterator("test/1")) {
    std::filesystem::copy(entry.path(), "one/1/x.png");
    break;
  }
  run("run tuned.onnx --input one/1/x.png --output out");
  Tensor scores;
  for (const auto& entry : std::filesystem::directory_iterator("out")) scores = *read_npy(entry.path().string());
  ASSERT_EQ(scores.elements(), 3);
  EXPECT_NEAR(figures("tuned.onnx --test one")["loss"], -std::log(scores.double_at(1)), 1e-5);
}

TEST_F(ImageEvaluate, MatchesClassesByName) {
  const std::string before = run("tune cnn.onnx --train train --eval test --epochs 3 --lr 0.01 -o tuned.onnx");
  const auto whole = figures("tuned.onnx --test test");
  std::filesystem::remove_all("test/0");
  const auto part = figures("tuned.onnx --test test");
  EXPECT_EQ(part["classes"][0]["rows"], 0);
  EXPECT_EQ(part["classes"][2]["recall"], whole["classes"][2]["recall"]);
  std::filesystem::rename("test/1", "test/bird");
  std::filesystem::rename("test/2", "test/cat");
  EXPECT_THAT(error("evaluate tuned.onnx --test test"),
              HasSubstr("test: 2 classes (bird, cat) are not among the 3 that are known: 0, 1, 2"));
  write("names.txt", "none\nbird\ncat\n");
  EXPECT_EQ(figures("tuned.onnx --test test --labels names.txt")["accuracy"], part["accuracy"]);
  write("names.txt", "bird\ncat\n");
  EXPECT_THAT(error("evaluate tuned.onnx --test test --labels names.txt"), HasSubstr("names.txt: 2 classes, output"));
}

// A model that says nothing of its classes: numbers are class numbers, other names must be all there are.
TEST_F(ImageEvaluate, TakesModelsWithoutMetadata) {
  const auto json = figures("cnn.onnx --task image-classification --test test");
  std::filesystem::remove_all("test/1");
  EXPECT_EQ(figures("cnn.onnx --test test")["classes"][2]["recall"], json["classes"][2]["recall"]);
  std::filesystem::rename("test/0", "test/cat");
  EXPECT_THAT(error("evaluate cnn.onnx --test test"), HasSubstr("test: 2 classes, output 'probabilities' of cnn.onnx has 3; --labels FILE"));
}

TEST_F(ImageEvaluate, SeveralLabelsHaveTheThresholdsOfTheTuning) {
  write("train.csv", table_of("train"));
  write("test.csv", table_of("test"));
  const std::string text =
      run("tune cnn.onnx --task image-classification --train train.csv --eval test.csv --multi-label --epochs 3 "
          "--lr 0.01 -o tuned.onnx");
  const auto json = figures("tuned.onnx --task multi-label --test test.csv --report r.html");
  EXPECT_NEAR(json["mean_average_precision"], last(text, "best map"), 5e-5);
  EXPECT_NEAR(json["micro"]["f1"], last(text, "micro F1"), 5e-5);
  EXPECT_EQ(json["labels"][1]["name"], "odd");
  EXPECT_THAT(contents("r.html"), HasSubstr("<th>threshold</th>"));
  EXPECT_EQ(figures("tuned.onnx --test test.csv --threshold -1000")["micro"]["recall"], 1);
  EXPECT_THAT(error("evaluate tuned.onnx --test test.csv --threshold 1,2"), HasSubstr("2 thresholds for the 3 labels"));
}

TEST_F(ImageEvaluate, NamesWhatCannotBeRead) {
  write("test/0/broken.png", "no picture");
  const CommandResult result = gannet_line("evaluate cnn.onnx --test test --json");
  EXPECT_EQ(nlohmann::json::parse(result.out)["left_out"], 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("test: 1 of 49 pictures cannot be read"), HasSubstr("broken.png: not a PNG")));
  EXPECT_THAT(run("evaluate cnn.onnx --test test"), HasSubstr("test: 1 of 49 pictures cannot be read"));
  EXPECT_THAT(error("evaluate cnn.onnx --test test --strict"), HasSubstr("broken.png: not a PNG"));
  std::filesystem::create_directories("empty/a");
  EXPECT_THAT(error("evaluate cnn.onnx --test empty"), HasSubstr("holds no pictures"));
  EXPECT_THAT(error("evaluate cnn.onnx --test test --report /nowhere/r.html"), HasSubstr("/nowhere"));
  run("new mlp --inputs 8 -o mlp.onnx");
  EXPECT_THAT(error("evaluate mlp.onnx --test test"), HasSubstr("a picture gives a tensor of rank 4"));
}

TEST_F(ImageEvaluate, TakesArraysAndShares) {
  Tensor pixels = Tensor::zeros(DType::kU8, {6, 12, 12, 3}), labels = Tensor::zeros(DType::kI64, {6});
  Tensor shares = Tensor::zeros(DType::kF32, {6, 3});
  for (int64_t i = 0; i < pixels.elements(); ++i)
    pixels.mutable_data<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(i / 432 * 40);
  for (int64_t i = 0; i < 6; ++i) {
    labels.mutable_data<int64_t>()[static_cast<size_t>(i)] = i % 3;
    shares.mutable_data<float>()[static_cast<size_t>(i * 3 + i % 3)] = 1;
  }
  ASSERT_TRUE(write_npz("hard.npz", {{"images", pixels}, {"labels", labels}}).ok());
  ASSERT_TRUE(write_npz("soft.npz", {{"images", pixels}, {"labels", shares}}).ok());
  const auto hard = figures("cnn.onnx --task image-classification --test hard.npz");
  const auto soft = figures("cnn.onnx --task image-classification --test soft.npz");
  EXPECT_NEAR(hard["loss"], soft["loss"], 1e-9);
  EXPECT_THAT(error("evaluate cnn.onnx --test hard.npz --tta"), HasSubstr("--tta is for pictures, and hard.npz is read as arrays"));
  EXPECT_THAT(error("evaluate cnn.onnx --test test --vocab v.txt"), HasSubstr("--vocab is for texts, and test is read as pictures"));
  EXPECT_EQ(hard["confusion"], soft["confusion"]);
}

}  // namespace
}  // namespace gannet::test
