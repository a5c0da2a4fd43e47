// Tuning with rows without labels, from the command line. The pictures and texts are made here.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/data/npy.h"
#include "runtime/data/text_lists.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class WeakTune : public CommandLine {
 protected:
  // Four labelled pictures of each class, the others without labels.
  void SetUp() override {
    CommandLine::SetUp();
    run("new cnn --image-size 12 --channels 3 --classes 3 --sample-data more --samples 96 -o cnn.onnx");
    for (const char* name : {"0", "1", "2"}) {
      fs::create_directories(fs::path("few") / name);
      int taken = 0;
      std::vector<fs::path> files;
      for (const auto& file : fs::directory_iterator(fs::path("more") / name)) files.push_back(file.path());
      std::ranges::sort(files);
      for (const fs::path& file : files) {
        if (++taken <= 4) fs::rename(file, fs::path("few") / name / file.filename());
      }
    }
  }
  std::string tune(const std::string& flags) { return run(kTune + flags); }

  static constexpr const char* kTune =
      "tune cnn.onnx --task image-classification --train few --unlabeled more -o tuned.onnx --batch-size 4 "
      "--lr 0.01 ";
};

TEST_F(WeakTune, FixMatchLearnsAndSaysWhatItsLabelsAreWorth) {
  const std::string text =
      tune("--method fixmatch --threshold 0.6 --eval more --steps 60 --eval-every 30 --log log");
  EXPECT_THAT(
      text, AllOf(HasSubstr("12 rows, 84 held out"),
                  HasSubstr("84 rows without labels (84 have one, which only measures): fixmatch, 3 for each "
                            "labelled row, threshold 0.6, weight 1\n"),
                  ContainsRegex("of late: unlabeled_loss [0-9.e-]+  above_threshold [0-9.]+"),
                  ContainsRegex("best accuracy (1|0\\.[6-9][0-9]*) after")));
  const std::vector<std::string> lines = *read_lines("log/training.jsonl");
  EXPECT_THAT(lines[0], AllOf(HasSubstr("\"unlabeled_loss\":"), HasSubstr("\"above_threshold\":")));
  EXPECT_THAT(contents("log/training.jsonl"), HasSubstr("\"pseudo_label_accuracy\":"));
  std::string events;
  for (const auto& file : fs::directory_iterator("log")) {
    if (file.path().filename().string().starts_with("events")) events += contents(file.path());
  }
  EXPECT_THAT(events, AllOf(HasSubstr("train/above_threshold"), HasSubstr("train/pseudo_label_accuracy")));
  EXPECT_THAT(contents("log/curves.html"), HasSubstr("Pseudo labels"));
  EXPECT_THAT(run("inspect tuned.onnx"), HasSubstr("id2label"));
}

TEST_F(WeakTune, TheOtherMethodsLearnToo) {
  for (const char* method : {"pseudo-label", "mean-teacher"}) {
    const std::string text =
        tune(fmt::format("--method {} --eval more --steps 60 --eval-every 30 --ema 0.9", method));
    EXPECT_THAT(text, ContainsRegex("best accuracy (1|0\\.[4-9][0-9]*) after")) << method;
    EXPECT_THAT(
        text,
        HasSubstr(
            "averages of decay 0.9, which grows to it; the teacher's weights are evaluated and written"));
  }
}

TEST_F(WeakTune, GoesOnAfterACheckpointWithTheSameBitsOnAnyThreads) {
  for (const char* method :
       {"fixmatch --threshold 0.5", "pseudo-label", "mean-teacher --dropout /Relu_2=0.3"}) {
    fs::remove_all("a");
    fs::remove_all("b");
    const std::string flags = fmt::format(
        "--method {} --accumulate 2 --schedule cosine --weak-augment flip,crop=1 --ramp-up 50% --steps 12 "
        "--checkpoint-every 5 ",
        method);
    tune(flags + "--threads 1 --checkpoint a");
    const std::string whole = contents("tuned.onnx");
    tune(flags + "--threads 2 --checkpoint b");
    EXPECT_TRUE(whole == contents("tuned.onnx")) << method;
    fs::remove("b/step-00000012.safetensors");
    fs::remove("b/step-00000012.json");
    EXPECT_THAT(tune(flags + "--threads 2 --checkpoint b --resume"), HasSubstr("going on after update 10"));
    EXPECT_TRUE(whole == contents("tuned.onnx")) << method;
    EXPECT_EQ(contents("a/step-00000012.safetensors"), contents("b/step-00000012.safetensors")) << method;
  }
  EXPECT_THAT(error(std::string(kTune) +
                    "--method mean-teacher --accumulate 2 --schedule cosine --weak-augment flip,crop=1 "
                    "--dropout /Relu_2=0.3 --ramp-up 3 --steps 12 --checkpoint b --resume"),
              HasSubstr("--ramp-up 0 to 6, this run has 0 to 3"));
  EXPECT_THAT(
      error(
          "tune cnn.onnx --train few -o tuned.onnx --batch-size 4 --lr 0.01 --accumulate 2 --schedule cosine "
          "--dropout /Relu_2=0.3 --steps 12 --checkpoint b --resume"),
      HasSubstr("--method mean-teacher, this run has not given"));
}

TEST_F(WeakTune, WritesTheTeacherOrTheStudent) {
  const std::string flags = "--method mean-teacher --ema 0.95 --steps 10 ";
  tune(flags);
  const std::string teacher = contents("tuned.onnx");
  EXPECT_THAT(tune(flags + "--export-weights student"),
              HasSubstr("the student's weights are evaluated and written"));
  EXPECT_FALSE(teacher == contents("tuned.onnx"));
}

TEST_F(WeakTune, NamesAndLeavesOutWhatCannotBeRead) {
  write("more/0/broken.png", "no picture");
  std::filesystem::create_directory("more/stray");
  write("more/stray/empty.jpg", "");
  EXPECT_THAT(tune("--steps 2"),
              AllOf(HasSubstr("more: 2 of 86 pictures cannot be read and are left out\n"),
                    HasSubstr("more/0/broken.png: not a PNG"), HasSubstr("84 rows without labels")));
  EXPECT_THAT(error(std::string(kTune) + "--steps 2 --strict"), HasSubstr("more/0/broken.png: not a PNG"));
}

TEST_F(WeakTune, TakesAnySetOfPictures) {
  // The labelled ones themselves, in a folder without classes, in a table, and one alone.
  EXPECT_THAT(run("tune cnn.onnx --train few --unlabeled few -o tuned.onnx --steps 3"),
              HasSubstr("12 rows without labels"));
  fs::create_directories("flat");
  std::string table = "file,label\n";
  int row = 0;
  for (const auto& file : fs::directory_iterator("more/1")) {
    fs::copy(file.path(), fs::path("flat") / file.path().filename());
    table += file.path().string() + "," + (row++ < 2 ? "1" : "unheard of") + "\n";
  }
  EXPECT_THAT(run("tune cnn.onnx --train few --unlabeled flat -o tuned.onnx --steps 3"),
              AllOf(HasSubstr("28 rows without labels: fixmatch"), Not(HasSubstr("pseudo_label_accuracy"))));
  write("more.csv", table);
  EXPECT_THAT(run("tune cnn.onnx --train few --unlabeled more.csv -o tuned.onnx --steps 3"),
              HasSubstr("28 rows without labels (2 have one"));
  fs::create_directories("one");
  fs::copy("flat/" + fs::directory_iterator("flat")->path().filename().string(), "one/a.png");
  EXPECT_THAT(run("tune cnn.onnx --train few --unlabeled one -o tuned.onnx --steps 3"),
              HasSubstr("1 rows without labels"));
  Tensor pixels = Tensor::zeros(DType::kU8, {5, 12, 12, 3});
  ASSERT_TRUE(write_npz("more.npz", {{"images", pixels}}).ok());
  EXPECT_THAT(run("tune cnn.onnx --train few --unlabeled more.npz -o tuned.onnx --steps 3"),
              HasSubstr("5 rows without labels"));
}

TEST_F(WeakTune, MistakesAreNamed) {
  fs::create_directories("empty");
  const std::string plain = "tune cnn.onnx --task image-classification --train few -o tuned.onnx ";
  EXPECT_THAT(error(plain + "--unlabeled empty"), HasSubstr("empty: holds no pictures"));
  EXPECT_THAT(error(plain + "--unlabeled missing"), HasSubstr("missing"));
  EXPECT_THAT(error(plain + "--method fixmatch"),
              HasSubstr("--method needs --unlabeled, rows without labels"));
  EXPECT_THAT(error(plain + "--unlabeled more --max-memory 1G"),
              HasSubstr("--max-memory does not go with --unlabeled"));
  EXPECT_THAT(error(plain + "--unlabeled more --co-teaching 0.2"),
              HasSubstr("--co-teaching does not go with"));
  EXPECT_THAT(error(plain + "--unlabeled more --balanced-sampling"),
              HasSubstr("--balanced-sampling does not go with"));
  EXPECT_THAT(error(plain + "--unlabeled more --augment mixup=0.2"),
              HasSubstr("mixup and cutmix do not go with --unlabeled"));
  EXPECT_THAT(error(plain + "--unlabeled more --method pseudo-label --strong-augment flip"),
              HasSubstr("--strong-augment: pseudo-label has only --weak-augment"));
  EXPECT_THAT(error(plain + "--unlabeled more --ramp-up 60%:10%"),
              HasSubstr("--ramp-up 60%:10%: begins at update"));
  EXPECT_THAT(error(plain + "--unlabeled more --ramp-up soon"), HasSubstr("takes [START:]END"));
  EXPECT_THAT(error(plain + "--unlabeled more --loss mse"), HasSubstr("need the loss cross entropy"));
  run("new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 30 -o mlp.onnx");
  EXPECT_THAT(error("tune mlp.onnx --train task.npz --unlabeled task.npz -o tuned.onnx"),
              HasSubstr("--unlabeled is for pictures and texts"));
}

class WeakTuneText : public WeakTune {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new bert-classifier --layers 1 --hidden 32 --heads 2 --vocab 160 --max-positions 40 -o bert.onnx "
        "--sample-data more.tsv --sample-vocab vocab.txt --samples 200 --seed 5");
    run("new bert-classifier --layers 1 --hidden 32 --heads 2 --vocab 160 --max-positions 40 -o other.onnx "
        "--sample-data few.tsv --sample-vocab vocab.txt --samples 16 --seed 6");
  }
  static constexpr const char* kTuneText =
      "tune bert.onnx --train few.tsv --unlabeled more.tsv --vocab vocab.txt -o tuned.onnx --batch-size 4 "
      "--lr 0.003 ";
};

TEST_F(WeakTuneText, EachMethodLearnsAndKeepsItsBits) {
  for (const char* method : {"fixmatch --threshold 0.6", "pseudo-label", "mean-teacher --ema 0.9"}) {
    const std::string flags = fmt::format("--method {} --steps 40 ", method);
    const std::string text = run(kTuneText + flags + "--eval more.tsv --eval-every 20 --threads 1");
    EXPECT_THAT(text, HasSubstr("200 rows without labels (200 have one")) << method;
    EXPECT_THAT(text, ContainsRegex("best accuracy (1|0\\.[5-9][0-9]*) after")) << method;
    const std::string bits = contents("tuned.onnx");
    run(kTuneText + flags + "--eval more.tsv --eval-every 20 --threads 2");
    EXPECT_TRUE(bits == contents("tuned.onnx")) << method;
  }
}

TEST_F(WeakTuneText, TextsAloneAreEnough) {
  write("alone.tsv", "text\nwhat a wonderful film !\na dull one\n");
  EXPECT_THAT(
      run("tune bert.onnx --train few.tsv --unlabeled alone.tsv --vocab vocab.txt -o tuned.onnx --steps 3"),
      HasSubstr("2 rows without labels: fixmatch"));
  EXPECT_THAT(error("tune bert.onnx --train few.tsv --unlabeled alone.tsv --vocab vocab.txt -o tuned.onnx "
                    "--weak-augment crop=2"),
              HasSubstr("'crop=2' is none of delete=CHANCE"));
}

}  // namespace
}  // namespace gannet::test
