// Tuning on pictures, from the command line. The pictures are made here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class ImageTune : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new cnn --image-size 12 --channels 3 --classes 3 --sample-data train --samples 96 -o cnn.onnx");
  }
  std::string tune(const std::string& flags) {
    return run("tune cnn.onnx --task image-classification --train train -o tuned.onnx --image-cache 10M " +
               flags);
  }
};

TEST_F(ImageTune, LearnsFromFolders) {
  const std::string text = tune(
      "--eval-fraction 0.25 --epochs 6 --lr 0.01 --mean 0.5 --std 0.2 --augment crop=1 --report report.html");
  EXPECT_THAT(text, HasSubstr("72 rows, 24 held out, cross entropy"));
  EXPECT_THAT(text, ContainsRegex("best accuracy (1|0\\.9[0-9]*) after"));
  const std::string report = contents("report.html");
  EXPECT_THAT(report,
              AllOf(HasSubstr("24 held-out pictures, accuracy"), HasSubstr("<svg"), HasSubstr("Confusions")));
  EXPECT_THAT(run("inspect tuned.onnx"), HasSubstr("id2label"));
}

TEST_F(ImageTune, DoesNotDependOnThreadsOrTheCache) {
  const std::string command =
      "tune cnn.onnx --task image-classification --train train -o tuned.onnx --eval-fraction 0.25 --epochs 2 "
      "--augment flip,crop=2,color=0.2,randaugment,mixup=0.3,cutmix=1 ";
  run(command + "--seed 3 --threads 1");
  const std::string once = contents("tuned.onnx");
  run(command + "--seed 3 --threads 2 --image-cache 5K");
  EXPECT_TRUE(once == contents("tuned.onnx"));
  run(command + "--seed 4");
  EXPECT_FALSE(once == contents("tuned.onnx"));
}

TEST_F(ImageTune, GoesOnAfterACheckpointWithTheSameBits) {
  const std::string flags =
      "--eval-fraction 0.25 --augment flip,crop=2,mixup=0.3 --balanced-sampling --checkpoint ";
  tune(flags + "a --epochs 4");
  const std::string whole = contents("tuned.onnx");
  tune(flags + "b --epochs 2");
  tune(flags + "b --epochs 4 --resume");
  EXPECT_TRUE(whole == contents("tuned.onnx"));
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train train -o tuned.onnx --eval-fraction "
                    "0.25 --balanced-sampling "
                    "--checkpoint b --epochs 5 --resume --augment flip"),
              HasSubstr("--augment"));
}

TEST_F(ImageTune, NamesAndLeavesOutWhatCannotBeRead) {
  write("train/0/broken.png", "no picture");
  write("train/1/empty.jpg", "");
  EXPECT_THAT(tune("--epochs 1"),
              AllOf(HasSubstr("train: 2 of 98 pictures cannot be read and are left out\n"),
                    HasSubstr("train/0/broken.png: not a PNG, JPEG, WebP or BMP picture"),
                    HasSubstr("train/1/empty.jpg: the file is empty"), HasSubstr("96 rows")));
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train train -o tuned.onnx --strict"),
              HasSubstr("train/0/broken.png: not a PNG"));
}

TEST_F(ImageTune, ReplacesTheHeadForOtherClasses) {
  std::filesystem::remove_all("train/2");
  std::filesystem::rename("train/0", "train/cat");
  std::filesystem::rename("train/1", "train/dog");
  EXPECT_THAT(tune("--epochs 3 --eval-fraction 0.2 --unfreeze-after 1 --lr-decay-by-depth 0.5 --tta"),
              HasSubstr("which had 3 classes"));
  EXPECT_THAT(run("inspect tuned.onnx"), HasSubstr("cat"));
  // What the flags leave open is what a trained network wants: 64 rows in batches of 16 for 20 epochs.
  EXPECT_THAT(tune(""), HasSubstr("cosine over 80 updates, 8 of them warm-up"));
  EXPECT_THAT(tune("--schedule one-cycle --epochs 2 --batch-size 32"), HasSubstr("one-cycle over 4 updates\n"));
  // A model that knows its classes keeps their numbers.
  std::filesystem::rename("train/cat", "train/zebra");
  std::filesystem::rename("train/dog", "train/cat");
  std::filesystem::remove_all("train/zebra");
  const std::string text =
      run("tune tuned.onnx --task image-classification --train train --epochs 1 -o again.onnx");
  EXPECT_THAT(text, Not(HasSubstr("new head")));
  const auto json = nlohmann::json::parse(run("evaluate again.onnx --test train --json"));
  EXPECT_EQ(json["classes"][0]["name"], "cat");
  EXPECT_EQ(json["classes"][0]["rows"], 32);
  EXPECT_EQ(json["classes"][1]["name"], "dog");
  EXPECT_EQ(json["classes"][1]["rows"], 0);
}

TEST_F(ImageTune, OnlyANewHeadCanGoFirst) {
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train train --unfreeze-after 1 -o x.onnx"),
              HasSubstr("--unfreeze-after trains a new head first"));
}

TEST_F(ImageTune, TakesTablesWithSeveralLabels) {
  std::string table = "path,labels\n";
  for (const auto& entry : std::filesystem::recursive_directory_iterator("train")) {
    if (!entry.is_regular_file()) continue;
    const std::string label = entry.path().parent_path().filename().string();
    table += entry.path().string() + "," + (label == "0" ? "even" : label == "1" ? "odd" : "even|two") + "\n";
  }
  write("labels.csv", table);
  const std::string text =
      run("tune cnn.onnx --task image-classification --train labels.csv --multi-label --eval-fraction 0.25 "
          "--epochs 12 --mean 0.5 --std 0.2 -o tuned.onnx --report report.html");
  EXPECT_THAT(text, AllOf(HasSubstr("'probabilities' is a Softmax"), HasSubstr("binary cross entropy"), ContainsRegex("best map (1|0\\.9[0-9]*) after"),
                          HasSubstr("thresholds for the best F1")));
  EXPECT_THAT(run("inspect tuned.onnx"),
              AllOf(HasSubstr("thresholds"), HasSubstr("multi_label_classification")));
  EXPECT_THAT(contents("report.html"), HasSubstr("<th>threshold</th>"));
}

TEST_F(ImageTune, TakesArrays) {
  for (const bool planar : {true, false}) {
    Tensor pixels = Tensor::zeros(
        DType::kU8, planar ? std::vector<int64_t>{30, 3, 12, 12} : std::vector<int64_t>{30, 12, 12, 3});
    Tensor labels = Tensor::zeros(DType::kI64, {30});
    for (int64_t i = 0; i < pixels.elements(); ++i)
      pixels.mutable_data<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(i / 432 % 3 * 100);
    for (int64_t i = 0; i < 30; ++i) labels.mutable_data<int64_t>()[static_cast<size_t>(i)] = i % 3;
    ASSERT_TRUE(write_npz("pixels.npz", {{"images", pixels}, {"labels", labels}}).ok());
    const std::string text =
        run("tune cnn.onnx --task image-classification --train pixels.npz --eval-fraction 0.2 --augment "
            "flip,crop=1 --epochs 20 --lr 0.005 -o tuned.onnx");
    EXPECT_THAT(text, HasSubstr("24 rows, 6 held out"));
    EXPECT_THAT(text, HasSubstr("best accuracy 1 after"));
  }
}

TEST_F(ImageTune, SaysWhatDoesNotFit) {
  run("new mlp --inputs 8 -o mlp.onnx");
  EXPECT_THAT(error("tune mlp.onnx --task image-classification --train train -o x.onnx"),
              HasSubstr("a picture gives a tensor of rank 4"));
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train train --image-size 20 -o x.onnx"),
              HasSubstr("20 x 20"));
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train train --augment flop -o x.onnx"),
              HasSubstr("no augmentation 'flop'"));
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train nowhere -o x.onnx"),
              HasSubstr("nowhere"));
  EXPECT_THAT(error("tune cnn.onnx --train train --report r.html -o x.onnx"),
              HasSubstr("--report needs --eval or --eval-fraction"));
  EXPECT_THAT(error("tune cnn.onnx --train train --label-column breed -o x.onnx"),
              HasSubstr("--label-column is for texts, and train is read as pictures"));
  EXPECT_THAT(error("tune cnn.onnx --train train --new-head 5 -o x.onnx"),
              HasSubstr("train: 3 classes, the head of the flags has 5"));
  EXPECT_THAT(error("tune cnn.onnx --train train --augment mixup=0.2:0.5,cutmix=1 -o x.onnx"),
              HasSubstr("mixup and cutmix share a chance"));
}

TEST_F(ImageTune, PreviewShowsEachPictureInARow) {
  const std::string text =
      run("augment train --augment flip=1,mixup=0.4 --preview grid.png --pictures 3 --columns 4");
  EXPECT_THAT(text, HasSubstr("3 pictures as they are, then 3 times after flip=1,mixup=0.4:1"));
  const Image grid = *read_image("grid.png");
  EXPECT_EQ(grid.width, 4 * 14 + 2);
  EXPECT_EQ(grid.height, 3 * 14 + 2);
  EXPECT_THAT(run("augment --list"), AllOf(HasSubstr("randaugment"), HasSubstr("crop=PIXELS[:REFLECT]")));
  EXPECT_THAT(error("augment train --preview g.png --augment nothing"),
              HasSubstr("no augmentation 'nothing'"));
}

TEST_F(ImageTune, AReportThatCannotBeWrittenLosesNoWeights) {
  EXPECT_THAT(error("tune cnn.onnx --train train --eval-fraction 0.2 --epochs 1 --report /dev/full -o tuned.onnx"),
              HasSubstr("/dev/full"));
  run("inspect tuned.onnx");
}

class LabelCommand : public ImageTune {};

TEST_F(LabelCommand, MakesLabelsThatTrain) {
  std::string table = "path,truth,one,two,three\n";
  int row = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("train")) {
    if (!entry.is_regular_file()) continue;
    const std::string label = entry.path().parent_path().filename().string();
    const std::string wrong = label == "0" ? "1" : "0";
    const bool none = ++row % 12 == 0;
    auto vote = [&](int wrong_every, int silent_every) {
      return none || row % silent_every == 0 ? std::string() : row % wrong_every == 0 ? wrong : label;
    };
    table += entry.path().string() + "," + label + "," + vote(20, 7) + "," + vote(6, 9) + "," +
             vote(3, 1000) + "\n";
  }
  write("votes.csv", table);
  const std::string text = run("label votes.csv --keep path --truth truth -o labels.csv");
  EXPECT_THAT(
      text, AllOf(HasSubstr("96 rows, 3 functions, 3 classes (0, 1, 2); 8 rows have no vote"),
                  HasSubstr("accuracy (estimated)"), HasSubstr("accuracy where the truth is known: majority"),
                  HasSubstr("wrote labels.csv")));
  EXPECT_THAT(contents("labels.csv"), HasSubstr("path,label,p:0,p:1,p:2\n"));
  EXPECT_THAT(run("tune cnn.onnx --task image-classification --train labels.csv --epochs 1 -o tuned.onnx"),
              HasSubstr("88 rows"));
  run("label votes.csv --keep path,truth --method majority -o labels.npz");
  EXPECT_EQ(read_npz("labels.npz")->at(0).second.extents(), (std::vector<int64_t>{96, 3}));
  write("numbers.csv", "label,a,b\nx,10,2\ny,2,0\nz,0,10\n");
  EXPECT_THAT(error("label numbers.csv --keep label -o x.csv"), HasSubstr("--keep label: the result has a column 'label' of its own"));
  EXPECT_THAT(error("label votes.csv --classes cat,dog,cat -o x.csv"), HasSubstr("--classes names 'cat' twice"));
  EXPECT_THAT(error("label votes.csv --smoothing 1e308 -o x.csv"), HasSubstr("--smoothing"));
  write("numbers.csv", "a,b\n10,2\n2,0\n0,10\n");
  run("label numbers.csv -o numbered.csv");
  EXPECT_THAT(contents("numbered.csv"), testing::StartsWith("label,p:0,p:2,p:10\n"));
  EXPECT_THAT(error("label votes.csv --keep nothing -o x.csv"), HasSubstr("--keep: there is no column 'nothing'"));
  write("odd.csv", "truth,one\nbird,cat\ncat,dog\n");
  EXPECT_THAT(error("label odd.csv --truth truth -o x.csv"),
              HasSubstr("odd.csv: line 2: 'truth' is 'bird', which no function votes for"));
  EXPECT_THAT(error("label votes.csv --keep path,truth --prior 0.5,0.5 -o x.csv"),
              HasSubstr("each of the 3 classes"));
}

}  // namespace
}  // namespace gannet::test
