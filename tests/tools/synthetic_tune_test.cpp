// Tuning on pictures with those of generators beside them, from the command line. Models and pictures are
// made here.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "tests/tools/command_line_fixture.h"
#include "tools/driver/tune_model.h"

namespace gannet::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

// Writes a generator of pictures of `channels` x 4 x 4 in -1..1 that are bright where `label` says, in one of
// `classes` places, and noise elsewhere; without classes it is bright in place `only`.
void write_generator(const std::string& path, int64_t channels, int64_t classes, int64_t only = 0) {
  OnnxWriter model("generator", 17, 1);
  const int64_t pixels = channels * 16, rows = std::max<int64_t>(classes, 3);
  const std::string z = model.input("z", DType::kF32, {"batch", int64_t{4}});
  const std::string noise = model.node("MatMul", {z, model.weight("w", {4, pixels}, Fill::normal(0, 0.2))});
  // Row r of the table is 2 in the pixels of place r, -1 elsewhere.
  std::vector<int64_t> table(static_cast<size_t>(rows * pixels), -1);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < pixels; ++k) {
      if (k % 16 / 4 == row) table[static_cast<size_t>(row * pixels + k)] = 2;
    }
  }
  const std::string numbers =
      model.node("Cast", {model.int_buffer("table", {rows, pixels}, table)}, {{"to", int64_t{1}}});
  const std::string which = classes > 0 ? model.input("label", DType::kI64, {"batch"}) : model.ints({only});
  const std::string both =
      model.node("Tanh", {model.node("Add", {noise, model.node("Gather", {numbers, which})})});
  model.node("Reshape", {both, model.ints({-1, channels, 4, 4})}, {}, "image");
  model.output("image", DType::kF32, {"batch", channels, int64_t{4}, int64_t{4}});
  ASSERT_TRUE(model.save(path).ok());
}

class SyntheticTune : public CommandLine {
 protected:
  // Real pictures: bright in a place by class, as those of the generators; all of them colour, 8 x 8.
  void SetUp() override {
    CommandLine::SetUp();
    run("new cnn --image-size 8 --channels 3 --classes 3 -o cnn.onnx");
    write_pictures("train", 8);
    write_pictures("test", 12);
    write_generator("g.onnx", 1, 3);
  }

  static void write_pictures(const std::string& folder, int count) {
    for (const int label : {0, 1, 2}) {
      const std::string place = fmt::format("{}/{}", folder, "abc"[label]);
      fs::create_directories(place);
      for (int i = 0; i < count; ++i) {
        Image image{8, 8, 3, std::vector<uint8_t>(192)};
        for (int k = 0; k < 192; ++k) {
          const int value = k / 48 == label ? 240 - i * 3 : 20 + (k * 7 + i * 13) % 30;
          image.pixels[static_cast<size_t>(k)] = static_cast<uint8_t>(value);
        }
        ASSERT_TRUE(write_png(fmt::format("{}/{}.png", place, i), image).ok());
      }
    }
  }

  std::string tune(const std::string& flags) { return run(kTune + flags); }
  static constexpr const char* kTune =
      "tune cnn.onnx --task image-classification --train train -o tuned.onnx --batch-size 6 --lr 0.005 ";
};

TEST_F(SyntheticTune, MixesTheClassesOfAConditionalGeneratorIn) {
  EXPECT_THAT(tune("--synthetic g.onnx:0.5 --epochs 6 --eval test --augment flip"),
              AllOf(HasSubstr("synthetic pictures, 50 % of the rows, by g.onnx: latent 'z' f32[batch, 4] "
                              "normal, class 'label' of 3, "
                              "pictures of -1..1 (found); 4 x 4 grey, resized to 8 x 8, made colour\n"),
                    HasSubstr("48 rows, 36 held out"), ContainsRegex("best accuracy (1|0\\.9[0-9]*) after")));
  EXPECT_THAT(tune("--synthetic g.onnx:0.25 --epochs 1 --eval-fraction 0.25"),
              HasSubstr("24 rows, 6 held out"));
}

// Labels of synthetic pictures are those of the generator: it alone teaches what the few real pictures, all
// of them black, do not.
TEST_F(SyntheticTune, TheClassIsTheLabel) {
  fs::remove_all("train");
  for (const char* name : {"a", "b", "c"}) {
    fs::create_directories(fs::path("train") / name);
    ASSERT_TRUE(
        write_png(fmt::format("train/{}/0.png", name), Image{8, 8, 3, std::vector<uint8_t>(192)}).ok());
  }
  EXPECT_THAT(tune("--synthetic g.onnx:0.9 --steps 80 --eval test --eval-every 40"),
              ContainsRegex("best accuracy (1|0\\.9[0-9]*) after"));
  // Names in the metadata say which class is which: now those of the first and the last are exchanged.
  ASSERT_TRUE(add_metadata("g.onnx", {{"id2label", R"({"0": "c", "1": "b", "2": "a"})"}}, {}).ok());
  EXPECT_THAT(tune("--synthetic g.onnx:0.9 --steps 80 --eval test --eval-every 80"),
              ContainsRegex("best accuracy 0\\.3[0-9]* after"));
}

TEST_F(SyntheticTune, OneGeneratorForEachClass) {
  for (const int64_t place : {0, 1, 2}) write_generator(fmt::format("{}.onnx", place), 3, 0, place);
  EXPECT_THAT(tune("--synthetic a=0.onnx:0.2 --synthetic b=1.onnx:0.2 --synthetic c=2.onnx:0.1 --epochs 4 "
                   "--eval test"),
              AllOf(HasSubstr("synthetic pictures, 20 % of the rows, by 0.onnx: latent 'z' f32[batch, 4] "
                              "normal, pictures of -1..1 "
                              "(found); 4 x 4 colour, resized to 8 x 8, of class 'a'\n"),
                    HasSubstr("by 2.onnx"), HasSubstr("49 rows, 36 held out"),
                    ContainsRegex("best accuracy (1|0\\.9[0-9]*) after")));
  EXPECT_THAT(tune("--synthetic b=g.onnx:0.2 --epochs 1"), HasSubstr("of class 'b'"));
}

TEST_F(SyntheticTune, GoesOnAfterACheckpointWithTheSameBitsOnAnyThreads) {
  for (const char* more : {"--augment flip,crop=1,mixup=0.3 --balanced-sampling",
                           "--augment resized-crop --truncation 1 --accumulate 2",
                           "--unlabeled test --method fixmatch --threshold 0.3"}) {
    fs::remove_all("a");
    fs::remove_all("b");
    const std::string flags =
        fmt::format("--synthetic g.onnx:0.3 {} --steps 14 --checkpoint-every 4 --seed 7 ", more);
    tune(flags + "--threads 1 --checkpoint a");
    const std::string whole = contents("tuned.onnx");
    tune(flags + "--threads 2 --generator-batch 5 --image-cache 2K --checkpoint b");
    EXPECT_TRUE(whole == contents("tuned.onnx")) << more;
    EXPECT_EQ(contents("a/step-00000014.safetensors"), contents("b/step-00000014.safetensors")) << more;
    fs::remove_all("c");
    tune(fmt::format(
        "--synthetic g.onnx:0.3 {} --steps 9 --checkpoint-every 4 --seed 7 --threads 2 --checkpoint c",
        more));
    EXPECT_THAT(tune(flags + "--threads 2 --checkpoint c --resume"), HasSubstr("going on after update 9"));
    EXPECT_TRUE(whole == contents("tuned.onnx")) << more;
  }
  const std::string other =
      std::string(kTune) +
      "--unlabeled test --method fixmatch --threshold 0.3 --steps 20 --seed 7 --checkpoint a --resume ";
  EXPECT_THAT(error(other + "--synthetic g.onnx:0.4"),
              HasSubstr("--synthetic labelled, 0.3 of class all by"));
  EXPECT_THAT(error(other), HasSubstr("this run has not given"));
  EXPECT_THAT(error(other + "--synthetic g.onnx:0.3 --truncation 2"),
              HasSubstr("--distribution and --truncation"));
}

TEST_F(SyntheticTune, AsRowsWithoutLabels) {
  EXPECT_THAT(
      tune("--synthetic g.onnx:0.25 --synthetic-as unlabelled --unlabeled test --steps 30 --method fixmatch "
           "--threshold 0.5"),
      AllOf(
          HasSubstr("25 % of the rows without labels, by g.onnx"),
          HasSubstr(
              "48 rows without labels, 12 of them synthetic (36 have one, which only measures): fixmatch")));
  write_generator("any.onnx", 3, 0, 1);
  EXPECT_THAT(
      tune("--synthetic any.onnx --synthetic-as unlabelled --method pseudo-label --steps 20"),
      AllOf(
          HasSubstr("100 % of the rows without labels, by any.onnx"),
          HasSubstr("72 rows without labels, 72 of them synthetic: pseudo-label, 3 for each labelled row")));
  EXPECT_THAT(tune("--synthetic any.onnx --synthetic g.onnx --synthetic-as unlabelled --method mean-teacher "
                   "--ema 0.9 --steps 10"),
              HasSubstr("50 % of the rows without labels, by g.onnx"));
  // A generator may know other classes than the data.
  write_generator("four.onnx", 1, 4);
  EXPECT_THAT(tune("--synthetic four.onnx:0.5 --synthetic-as unlabelled --unlabeled test --steps 10"),
              HasSubstr("class 'label' of 4"));
}

TEST_F(SyntheticTune, GoesWithProbabilitiesAsLabels) {
  std::string table = "path,p:a,p:b,p:c\n";
  for (const char* name : {"a", "b", "c"})
    table += fmt::format("train/{}/0.png,{:d},{:d},{:d}\n", name, *name == 'a', *name == 'b', *name == 'c');
  write("soft.csv", table);
  EXPECT_THAT(run("tune cnn.onnx --task image-classification --train soft.csv --synthetic g.onnx:0.5 "
                  "--epochs 2 --batch-size 32 -o tuned.onnx"),
              HasSubstr("6 rows"));
}

TEST_F(SyntheticTune, MistakesAreNamed) {
  const std::string plain = kTune;
  write_generator("plain.onnx", 1, 0);
  write_generator("four.onnx", 1, 4);
  const std::pair<const char*, const char*> mistakes[] = {
      {"--synthetic plain.onnx:0.3",
       "plain.onnx: takes no class, and the data have 3: give CLASS=plain.onnx:SHARE"},
      {"--synthetic four.onnx:0.3", "four.onnx: knows 4 classes, the data have 3"},
      {"--synthetic a=four.onnx:0.3", "four.onnx: knows 4 classes, the data have 3"},
      {"--synthetic g.onnx:1", "--synthetic g.onnx:1: the share is 1, it must be above 0 and below 1"},
      {"--synthetic g.onnx:0", "the share is 0, it must be above 0"},
      {"--synthetic g.onnx:-0.5", "the share is -0.5"},
      {"--synthetic g.onnx:nan", "the share is nan"},
      {"--synthetic g.onnx:1.5", "the share is 1.5"},
      {"--synthetic g.onnx",
       "--synthetic takes [CLASS=]GENERATOR.onnx:SHARE, such as g.onnx:0.3, got 'g.onnx'"},
      {"--synthetic g.onnx:0.6 --synthetic g.onnx:0.4", "the shares add up to 1, and nothing is left"},
      {"--synthetic d=g.onnx:0.3", "'d' is no class of the data; there are a, b, c"},
      {"--synthetic nowhere.onnx:0.3", "nowhere.onnx"},
      {"--synthetic cnn.onnx:0.3", "cnn.onnx"},
      {"--synthetic-as unlabelled", "--synthetic-as needs --synthetic, a generator"},
      {"--truncation 1", "--truncation needs --synthetic, a generator"},
      {"--synthetic g.onnx:0.3 --class-input nothing", "has no input 'nothing'"},
      {"--synthetic g.onnx:0.3 --synthetic-as unlabelled",
       "the shares add up to 0.3; without --unlabeled all rows without labels are"},
      {"--synthetic g.onnx:1 --synthetic-as unlabelled --unlabeled test", "it must be above 0 and below 1"},
  };
  write("several.csv", "path,labels\ntrain/a/0.png,a|b\ntrain/b/0.png,c\n");
  EXPECT_THAT(error("tune cnn.onnx --task image-classification --train several.csv --multi-label --synthetic "
                    "g.onnx:0.3 -o tuned.onnx"),
              HasSubstr("--synthetic: a picture of a class has one label"));
  write("broken.onnx", "no model");
  EXPECT_THAT(error(plain + "--synthetic broken.onnx:0.3"), HasSubstr("broken.onnx"));
  for (const auto& [flags, text] : mistakes) EXPECT_THAT(error(plain + flags), HasSubstr(text)) << flags;
  run("new mlp --inputs 8 --outputs 3 --sample-data task.npz --samples 30 -o mlp.onnx");
  EXPECT_THAT(error("tune mlp.onnx --train task.npz --synthetic g.onnx:0.3 -o tuned.onnx"),
              HasSubstr("--synthetic is for pictures"));
}

}  // namespace
}  // namespace gannet::test
