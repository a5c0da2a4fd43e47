// `gannet gan` from two files and a folder of pictures to two trained files: what it checks, what it writes, and that a run
// that is stopped goes on as if it had not been.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "runtime/data/text_lists.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// A generator whose classes are numbers, and a discriminator that takes one share for each: cg.onnx, cd.onnx.
void write_conditional_models() {
  OnnxWriter g("g", 17, 1), d("d", 17, 2);
  const std::string z = g.input("z", DType::kF32, {"batch", int64_t{4}}), label = g.input("label", DType::kI64, {"batch"});
  const std::string h = g.node("Add", {z, g.node("Gather", {g.weight("names", {2, 4}, Fill::normal(0, 1)), label})});
  g.node("Tanh", {g.node("Reshape", {g.node("MatMul", {h, g.weight("w", {4, 784}, Fill::normal(0, 0.3))}), g.ints({-1, 1, 28, 28})})}, {}, "image");
  g.output("image", DType::kF32, {"batch", int64_t{1}, int64_t{28}, int64_t{28}});
  const std::string x = d.input("image", DType::kF32, {"batch", int64_t{1}, int64_t{28}, int64_t{28}});
  const std::string y = d.input("onehot", DType::kF32, {"batch", int64_t{2}});
  const std::string flat = d.node("MatMul", {d.node("Flatten", {x}), d.weight("w", {784, 1}, Fill::normal(0, 0.1))});
  d.node("Add", {flat, d.node("MatMul", {y, d.weight("v", {2, 1}, Fill::normal(0, 0.1))})}, {}, "logit");
  d.output("logit", DType::kF32, {"batch", int64_t{1}});
  ASSERT_TRUE(g.save("cg.onnx").ok() && d.save("cd.onnx").ok());
}

class GanCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    make("generator --latent 8", "g.onnx");
    make("discriminator --sample-data pictures --samples 40", "d.onnx");
  }

  void make(const std::string& words, const std::string& file) {
    const CommandResult made = gannet_line("new dcgan-" + words + " --image-size 28 --channels 1 --features 4 -o " + file);
    ASSERT_EQ(made.status, 0) << made.err;
  }

  CommandResult train(const std::string& more, const std::string& output = "out", const std::string& models = "--generator g.onnx --discriminator d.onnx") {
    return gannet_line(fmt::format("gan {} --images pictures --batch-size 8 --samples 4 --seed 5 -o {} {}", models, output, more));
  }

  // The record without what depends on the clock.
  static std::vector<std::string> record(const std::string& folder) {
    Result<std::vector<std::string>> lines = read_lines(folder + "/log/training.jsonl");
    EXPECT_TRUE(lines.ok());
    for (std::string& line : *lines) line = line.substr(0, line.find(",\"rows_per_second\""));
    return *lines;
  }
};

TEST_F(GanCommand, LeavesModelsSamplesAndARecord) {
  const CommandResult result = train("--steps 6 --sample-every 3 --ema 0.9");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("pixels of 0 to 255 become -1 to 1: the range of the generator's Tanh"));
  EXPECT_THAT(result.out, HasSubstr("40 pictures of [1, 28, 28], non-saturating loss, 1 and 1 updates a round"));
  EXPECT_THAT(result.out, HasSubstr("round 6/6  d_loss"));
  EXPECT_THAT(result.out, HasSubstr("wrote out/generator.onnx and out/discriminator.onnx"));
  for (const char* round : {"000000", "000003", "000006"}) {
    const Result<Image> grid = read_image(fmt::format("out/samples/round-{}.png", round));
    ASSERT_TRUE(grid.ok()) << grid.error().message;
    EXPECT_EQ(grid->height, 2 * 28 + 3 * 2);
  }
  EXPECT_TRUE(contents("out/samples.gif").starts_with("GIF89a"));
  EXPECT_EQ(gannet_line("run out/generator.onnx --output made").status, 0);
  EXPECT_EQ(gannet_line("run out/discriminator.onnx").status, 0);
  const auto lines = record("out");
  EXPECT_THAT(lines.front(), HasSubstr("\"real_accuracy\""));
  EXPECT_THAT(contents("out/log/curves.html"), HasSubstr("The discriminator's accuracy"));
  EXPECT_NE(contents("out/generator.onnx"), contents("g.onnx"));
}

TEST_F(GanCommand, AResumedRunIsTheUnbrokenOne) {
  const std::string flags = "--ema 0.9 --diff-augment color,translation,cutout --flip-labels 0.1 --spectral-norm --d-steps 2 --g-steps 2";
  ASSERT_EQ(train("--steps 7 --threads 1 " + flags, "whole").status, 0);
  ASSERT_EQ(train("--steps 3 --threads 2 " + flags, "parts").status, 0);
  const CommandResult refused = train("--steps 7 " + flags, "parts");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("holds checkpoints of an earlier run, up to round 3"));
  const CommandResult other = train("--steps 7 --resume --d-lr 0.1 " + flags, "parts");
  EXPECT_THAT(other.err, HasSubstr("the checkpoint was made with --d-lr 0.0002, this run has 0.1"));
  const CommandResult resumed = train("--steps 7 --resume " + flags, "parts");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("going on after round 3"));
  EXPECT_EQ(contents("parts/generator.onnx"), contents("whole/generator.onnx"));
  EXPECT_EQ(contents("parts/discriminator.onnx"), contents("whole/discriminator.onnx"));
  EXPECT_EQ(contents("parts/samples/round-000007.png"), contents("whole/samples/round-000007.png"));
  EXPECT_EQ(record("parts"), record("whole"));
}

// The first average is halfway between the weights at the beginning and those after the update.
TEST_F(GanCommand, AveragesWarmUp) {
  const auto made = [&](const std::string& model, const std::string& file) {
    EXPECT_EQ(gannet_line(fmt::format("run {} --input z.npy --output {}", model, file)).status, 0);
    return *read_npy(file + "/image.npy");
  };
  OnnxWriter g("g", 17, 1);
  g.node("Reshape",
         {g.node("MatMul", {g.input("z", DType::kF32, {"batch", int64_t{4}}),
                            g.weight("w", {4, 784}, Fill::normal(0, 0.3))}),
          g.ints({-1, 1, 28, 28})},
         {}, "image");
  g.output("image", DType::kF32, {"batch", int64_t{1}, int64_t{28}, int64_t{28}});
  ASSERT_TRUE(g.save("linear.onnx").ok());
  Tensor z = Tensor::zeros(DType::kF32, {2, 4});
  for (size_t i = 0; i < 8; ++i) z.mutable_data<float>()[i] = static_cast<float>(i) - 3;
  ASSERT_TRUE(write_npy("z.npy", z).ok());
  const std::string models = "--generator linear.onnx --discriminator d.onnx";
  ASSERT_EQ(train("--steps 1 --lr 0.1", "plain", models).status, 0);
  ASSERT_EQ(train("--steps 1 --lr 0.1 --ema 0.999", "averaged", models).status, 0);
  const Tensor before = made("linear.onnx", "x"), after = made("plain/generator.onnx", "y"),
               mean = made("averaged/generator.onnx", "w");
  double change = 0;
  for (int64_t i = 0; i < mean.elements(); ++i) {
    EXPECT_NEAR(mean.double_at(i), (before.double_at(i) + after.double_at(i)) / 2, 1e-5);
    change = std::max(change, std::abs(after.double_at(i) - before.double_at(i)));
  }
  EXPECT_GT(change, 0.1);
}

TEST_F(GanCommand, TheTemplatesTakeClasses) {
  make("generator --latent 8 --classes 3", "cg.onnx");
  make("discriminator --classes 3 --sample-data three --samples 24", "cd.onnx");
  const CommandResult result = gannet_line(
      "gan --generator cg.onnx --discriminator cd.onnx --images three --batch-size 8 --steps 3 --samples 6 "
      "--spectral-norm -o out");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(gannet_line("generate out/generator.onnx --class all -n 2 --grid grid.png").out,
              HasSubstr("class 'label' of 3"));
}

TEST_F(GanCommand, EveryLossRuns) {
  int runs = 0;
  for (const char* flags : {"--loss minimax", "--loss hinge --spectral-norm", "--loss least-squares --label-smoothing 0.1",
                            "--loss wasserstein", "--loss wasserstein-gp", "--r1 5", "--instance-noise 0.2 --simultaneous",
                            "--g-optimizer adamw --d-optimizer sgd --schedule cosine"}) {
    const CommandResult result = train(std::string("--steps 2 ") + flags, fmt::format("out{}", runs++));
    EXPECT_EQ(result.status, 0) << flags << ": " << result.err;
  }
}

TEST_F(GanCommand, ASigmoidAtTheEndIsKeptAndNotTrained) {
  make("discriminator --sigmoid", "p.onnx");
  const CommandResult result = train("--steps 2", "out", "--generator g.onnx --discriminator p.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("on the logits before the discriminator's Sigmoid"));
  EXPECT_THAT(gannet_line("inspect out/discriminator.onnx").out, HasSubstr("Sigmoid"));
  const CommandResult plain = train("--steps 2", "plain");
  EXPECT_EQ(record("out"), record("plain"));
}

TEST_F(GanCommand, ModelsThatDoNotFitAreRefused) {
  ASSERT_EQ(gannet_line("new dcgan-discriminator --image-size 32 --channels 3 --features 4 -o large.onnx").status, 0);
  const CommandResult large = train("--steps 2", "out", "--generator g.onnx --discriminator large.onnx");
  EXPECT_EQ(large.status, 1);
  EXPECT_THAT(large.err, HasSubstr("g.onnx: output 'image' is f32[batch, 1, 28, 28], which does not fit input 'image' of large.onnx, f32[batch, 3, 32, 32]"));
  ASSERT_EQ(gannet_line("new mlp --inputs 784 --outputs 2 --softmax -o classes.onnx").status, 0);
  EXPECT_THAT(train("--steps 2", "out", "--generator g.onnx --discriminator classes.onnx").err, HasSubstr("ends in Softmax: a discriminator gives one logit"));
  EXPECT_THAT(train("--steps 2", "out", "--generator d.onnx --discriminator d.onnx").err, HasSubstr("does not fit"));
  EXPECT_THAT(train("--label-smoothing 0.1 --loss hinge").err, HasSubstr("--label-smoothing: the hinge loss has no labels"));
  EXPECT_THAT(train("--diff-augment colour").err, HasSubstr("has color, translation and cutout, not 'colour'"));
  EXPECT_THAT(gannet_line("gan --generator g.onnx --discriminator d.onnx --images nowhere -o out").err, HasSubstr("nowhere"));
}

// Dense layers on both sides, fed from arrays of numbers in another range.
TEST_F(GanCommand, FlatModelsTrainOnArrays) {
  ASSERT_EQ(gannet_line("new mlp --inputs 784 --units 8 --outputs 1 -o flat.onnx").status, 0);
  Tensor x = Tensor::zeros(DType::kF32, {20, 28, 28});
  for (size_t i = 0; i < x.mutable_data<float>().size(); ++i) x.mutable_data<float>()[i] = static_cast<float>(i % 17) / 16;
  ASSERT_TRUE(write_npz("x.npz", {{"x", x}}).ok());
  const CommandResult result = gannet_line("gan --generator g.onnx --discriminator flat.onnx --images x.npz --batch-size 6 --steps 3 --samples 2 -o out");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("numbers of 0 to 1 become -1 to 1, the range of the generator's Tanh"));
}

TEST_F(GanCommand, ConditionalModelsTakeTheFoldersAsClasses) {
  write_conditional_models();
  const CommandResult result = train("--steps 3", "out", "--generator cg.onnx --discriminator cd.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  // Which class is which stands in the file.
  EXPECT_THAT(gannet_line("inspect out/generator.onnx").out, HasSubstr("id2label"));
  EXPECT_THAT(gannet_line("generate out/generator.onnx --class all -n 2 --grid grid.png").out,
              HasSubstr("class 'label' of 2"));
  const CommandResult half = train("--steps 1", "half", "--generator cg.onnx --discriminator d.onnx");
  ASSERT_EQ(half.status, 0) << half.err;
  EXPECT_THAT(half.out, HasSubstr("d.onnx sees no class, so that nothing makes the generator heed its own"));
  std::filesystem::create_directory("pictures/third");
  std::filesystem::copy("pictures/0", "pictures/third", std::filesystem::copy_options::recursive);
  EXPECT_THAT(train("--steps 1", "third", "--generator cg.onnx --discriminator cd.onnx").err, HasSubstr("pictures: holds 3 classes, cd.onnx knows 2"));
}

TEST_F(GanCommand, TheModelsThatAreGivenStay) {
  std::filesystem::create_directory("out");
  std::filesystem::copy("g.onnx", "out/generator.onnx");
  const CommandResult result = train("--steps 1", "out", "--generator out/generator.onnx --discriminator d.onnx");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("the trained model would take the place of out/generator.onnx; name another folder"));
  EXPECT_EQ(contents("out/generator.onnx"), contents("g.onnx"));
}

TEST_F(GanCommand, ATableOfPathsNeedsNoLabels) {
  std::string table = "path\n";
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("pictures")) {
    if (entry.is_regular_file() && ++files <= 10) table += entry.path().string() + "\n";
  }
  write("paths.csv", table);
  const CommandResult result = gannet_line("gan --generator g.onnx --discriminator d.onnx --images paths.csv --batch-size 4 --steps 1 --samples 2 -o out");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("10 pictures of [1, 28, 28]"));
}

// Losses of the last round of the record in `folder`.
double last_discriminator_loss(const std::vector<std::string>& record) {
  constexpr std::string_view kKey = "\"d_loss\":";
  for (auto line = record.rbegin(); line != record.rend(); ++line) {
    const size_t at = line->find(kKey);
    if (at != std::string::npos) return std::stod(line->substr(at + kKey.size()));
  }
  ADD_FAILURE() << "no loss in the record";
  return 0;
}

// One layer over all pixels: of one channel, where the layout makes no difference to it.
void write_layer(const std::string& file, bool channels_last) {
  OnnxWriter d("d", 17, 2);
  const std::string x = channels_last ? d.input("image", DType::kF32, {"batch", int64_t{28}, int64_t{28}, int64_t{1}})
                                      : d.input("image", DType::kF32, {"batch", int64_t{1}, int64_t{28}, int64_t{28}});
  d.node("MatMul", {d.node("Flatten", {x}), d.weight("w", {784, 1}, Fill::normal(0, 0.1))}, {}, "logit");
  d.output("logit", DType::kF32, {"batch", int64_t{1}});
  ASSERT_TRUE(d.save(file).ok());
}

TEST_F(GanCommand, ChannelsLastIsAugmentedAsChannelsFirstIs) {
  write_layer("first.onnx", false);
  write_layer("last.onnx", true);
  const std::string flags = "--steps 3 --diff-augment color,translation,cutout";
  for (const std::string name : {"first", "last"}) {
    const CommandResult result = train(flags, name, "--generator g.onnx --discriminator " + name + ".onnx");
    ASSERT_EQ(result.status, 0) << result.err;
  }
  const double first = last_discriminator_loss(record("first"));
  EXPECT_NEAR(last_discriminator_loss(record("last")), first, 1e-4 * std::fabs(first));
}

// A generator whose numbers lie in -0.5 to 0.5.
void write_narrow_generator() {
  OnnxWriter g("g", 17, 1);
  const std::string z = g.input("z", DType::kF32, {"batch", int64_t{4}});
  const std::string flat = g.node("MatMul", {z, g.weight("w", {4, 784}, Fill::normal(0, 0.3))});
  const std::string ends = g.node("Mul", {g.node("Tanh", {flat}), g.weight("half", {1}, Fill::constant(0.5))});
  g.node("Reshape", {ends, g.ints({-1, 1, 28, 28})}, {}, "image");
  g.output("image", DType::kF32, {"batch", int64_t{1}, int64_t{28}, int64_t{28}});
  ASSERT_TRUE(g.save("narrow.onnx").ok());
}

TEST_F(GanCommand, NumbersOfTheGeneratorsOwnRangeStay) {
  write_narrow_generator();
  Tensor x = Tensor::zeros(DType::kF32, {12, 1, 28, 28});
  for (size_t i = 0; i < x.mutable_data<float>().size(); ++i) x.mutable_data<float>()[i] = static_cast<float>(i % 17) / 16 - 0.5F;
  ASSERT_TRUE(write_npz("x.npz", {{"x", x}}).ok());
  const std::string line = "gan --discriminator d.onnx --images x.npz --batch-size 4 --steps 1 --samples 2 -o out --generator ";
  const CommandResult own = gannet_line(line + "narrow.onnx");
  ASSERT_EQ(own.status, 0) << own.err;
  EXPECT_THAT(own.out, Not(HasSubstr("become")));
  EXPECT_THAT(gannet_line(line + "g.onnx --augment flip").err, HasSubstr("--augment: x.npz holds numbers, which are taken as they are"));
  EXPECT_THAT(gannet_line("gan --generator g.onnx --discriminator d.onnx --images pictures --mean 0.5,0.5 -o out").err,
              HasSubstr("--mean takes one number for all channels, or one for each of 3; it has 2"));
}

TEST_F(GanCommand, ClassesAreNumbersFromZeroOn) {
  write_conditional_models();
  const Tensor x = Tensor::zeros(DType::kF32, {2, 1, 28, 28});
  const std::string line = "gan --generator cg.onnx --discriminator cd.onnx --images x.npz --target y --batch-size 2 --steps 1 -o out";
  const auto error = [&](const Tensor& classes) {
    EXPECT_TRUE(write_npz("x.npz", {{"x", x}, {"y", classes}}).ok());
    const CommandResult result = gannet_line(line);
    EXPECT_EQ(result.status, 1);
    return result.err;
  };
  EXPECT_THAT(error(Tensor::from<int64_t>({2}, {0, -1})), HasSubstr("class -1: classes are numbers from 0 on"));
  EXPECT_THAT(error(Tensor::from<int64_t>({2}, {0, std::numeric_limits<int64_t>::max()})), HasSubstr("classes are numbers from 0 on"));
  EXPECT_THAT(error(Tensor::zeros(DType::kF32, {2})), HasSubstr("classes are integers, one for each picture"));
}

TEST_F(GanCommand, ARunThatDivergesLeavesItsNewestCheckpoint) {
  const std::string flags = "--loss least-squares --optimizer sgd --steps 40 --lr ";
  const CommandResult at_once = train(flags + "1e30", "none");
  EXPECT_EQ(at_once.status, 1);
  EXPECT_THAT(at_once.err, HasSubstr("there is no checkpoint before it, no model was written"));
  EXPECT_FALSE(std::filesystem::exists("none/generator.onnx"));
  const CommandResult later = train(flags + "3 --checkpoint-every 1");
  EXPECT_EQ(later.status, 1);
  EXPECT_THAT(later.err, HasSubstr("out/generator.onnx and out/discriminator.onnx hold the weights after round "));
  EXPECT_EQ(gannet_line("run out/generator.onnx --output made").status, 0);
  EXPECT_THAT(gannet_line("inspect out/generator.onnx").out, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace gannet::test
