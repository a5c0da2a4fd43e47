#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "runtime/data/npy.h"
#include "tests/tools/child_process.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class Tune : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line(
                  "new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 96 -o mlp.onnx")
                  .status,
              0);
  }
  std::string out(const std::string& flags) {
    const CommandResult result = gannet_line("tune mlp.onnx --train task.npz -o tuned.onnx " + flags);
    EXPECT_EQ(result.status, 0) << flags << "\n" << result.err;
    EXPECT_EQ(result.err, "") << flags;
    return result.out;
  }
  std::string err(const std::string& flags) {
    std::filesystem::remove("tuned.onnx");
    const CommandResult result = gannet_line("tune mlp.onnx --train task.npz -o tuned.onnx " + flags);
    EXPECT_EQ(result.status, 1) << flags;
    EXPECT_FALSE(std::filesystem::exists("tuned.onnx")) << flags;
    return result.err;
  }
};

TEST_F(Tune, TheBestHeldOutWeightsAreWritten) {
  const std::string text = out("--eval-fraction 0.25 --epochs 12 --lr 0.02");
  EXPECT_THAT(
      text,
      HasSubstr("training 195 weights of 4 tensors on 72 rows, 24 held out, cross entropy of 'logits'\n"));
  EXPECT_THAT(text, HasSubstr("AdamW, learning rate 0.02, constant over 36 updates\n"));
  EXPECT_THAT(text, ContainsRegex("step 36  held out: loss [0-9.e-]+  accuracy 1  macro_f1 1  mcc 1"));
  EXPECT_THAT(
      text, ContainsRegex("done after 36 updates, best accuracy 1 after update [0-9]+\nwrote tuned.onnx\n$"));
}

TEST_F(Tune, CompiledAndReferenceAgree) {
  const std::string flags =
      "--eval-fraction 0.25 --epochs 2 --optimizer nesterov --lr 0.01 --weight-decay 0.01";
  const std::string compiled = out(flags), reference = out(flags + " --backend reference");
  EXPECT_EQ(compiled.substr(0, compiled.find("macro_f1")), reference.substr(0, reference.find("macro_f1")));
}

TEST_F(Tune, EveryOptimizerAndScheduleLearns) {
  auto loss = [](const std::string& text) {
    const size_t at = text.rfind("  loss ");
    return at == std::string::npos ? 1e9 : std::stod(text.substr(at + 7));
  };
  const double before = loss(out("--epochs 1 --lr 1e-9"));
  for (const char* flags :
       {"--optimizer sgd", "--optimizer nesterov --lr 0.02", "--optimizer adam --lr 0.02",
        "--optimizer adamw --lr 0.02", "--optimizer adagrad --lr 0.05", "--optimizer lamb --lr 0.05",
        "--lr 0.02 --schedule linear --warmup 10%", "--lr 0.02 --schedule cosine --final-lr 0.1",
        "--lr 0.02 --schedule step --step-every 10", "--lr 0.05 --schedule one-cycle",
        "--lr 0.02 --ema 0.5 --accumulate 2 --clip-norm 1 --clip-value 0.5 --label-smoothing 0.05 "
        "--class-weights balanced",
        "--loss cross-entropy --optimizer sgd --lr-for *bias=2 --no-decay-vectors --weight-decay 1e-4"}) {
    EXPECT_LT(loss(out(std::string("--epochs 8 ") + flags)), 0.5 * before) << flags;
  }
}

// 36 updates with a decay of 0.999 would leave 96 % of the weights that the run began with.
TEST_F(Tune, AnAverageFollowsTheWeightsOfAShortRun) {
  EXPECT_THAT(out("--eval-fraction 0.25 --epochs 12 --lr 0.02 --ema 0.999"), ContainsRegex("step 36  held out: loss [0-9.e-]+  accuracy 1  "));
}

TEST_F(Tune, PatienceEndsARunThatGetsNowhere) {
  EXPECT_THAT(out("--eval-fraction 0.25 --epochs 50 --lr 1e-9 --patience 3"),
              AllOf(HasSubstr("stopped after 12 updates: no progress in 3 evaluations, best accuracy"),
                    HasSubstr("after update 3\n")));
}

TEST_F(Tune, DivergenceKeepsTheBest) {
  const CommandResult result = gannet_line(
      "tune mlp.onnx --train task.npz -o tuned.onnx --eval-fraction 0.25 --epochs 9 --lr 1e20 --warmup 5 "
      "--eval-every 1");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err,
              ContainsRegex("error: the loss is (NaN|infinite) at update [0-9]+: the training diverges, try "
                            "a smaller --lr than 1e\\+20 or "
                            "--clip-norm 1; tuned.onnx holds the best weights so far, of update [0-9]+"));
  EXPECT_TRUE(std::filesystem::exists("tuned.onnx"));
}

TEST_F(Tune, TheLogHasLinesEventsAndCurves) {
  out("--eval-fraction 0.25 --epochs 3 --log runs/a");
  EXPECT_THAT(contents("runs/a/training.jsonl"), HasSubstr("{\"kind\":\"eval\",\"step\":3,"));
  EXPECT_THAT(contents("runs/a/curves.html"), AllOf(HasSubstr("<h2>Held out</h2>"), HasSubstr("mlp.onnx")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator("runs/a"), {}), 3);
}

TEST_F(Tune, ATwiceAsLongRunUnderAConstantRateGoesOn) {
  out("--epochs 4 --checkpoint short");
  EXPECT_THAT(out("--epochs 8 --checkpoint short --resume"), HasSubstr("going on after update 12\n"));
  const std::string longer = contents("tuned.onnx");
  out("--epochs 8");
  EXPECT_EQ(contents("tuned.onnx"), longer);
}

TEST_F(Tune, FlagsThatDoNotFitAreNamed) {
  EXPECT_EQ(err("--patience 3"), "error: --patience needs --eval or --eval-fraction\n");
  EXPECT_EQ(err("--warmup 30"), "error: --warmup 30: the run has 30 updates in all\n");
  EXPECT_EQ(err("--warmup x"), "error: --warmup x: 'x' is not a number of at least 0\n");
  EXPECT_EQ(err("--momentum 0.9"), "error: --momentum: adamw has none\n");
  EXPECT_EQ(err("--lr-for weight"), "error: --lr-for takes PATTERN=FACTOR, got 'weight'\n");
  EXPECT_THAT(err("--lr-for head*=2"), HasSubstr("--lr-for 'head*' matches no weight; there are "));
  EXPECT_EQ(err("--class-weights 1,x"), "error: --class-weights: 'x' is not a number of at least 0\n");
  EXPECT_THAT(err("--class-weights 1,2"), HasSubstr("3"));
  EXPECT_EQ(err("--eval-fraction 0.2 --best-by f2"),
            "error: there is no measure 'f2'; there are loss, accuracy, macro_f1, mcc\n");
  EXPECT_EQ(err("--max-memory much"), "error: --max-memory takes a size such as 512M or 4G, got 'much'\n");
  EXPECT_THAT(err("--resume"), HasSubstr("--resume requires --checkpoint"));
  EXPECT_THAT(err("--schedul cosine"), HasSubstr("unknown flag '--schedul'; did you mean --schedule?"));
  EXPECT_EQ(gannet_line("tune mlp.onnx --trian task.npz -o t.onnx").err,
            "error: gannet tune: unknown flag '--trian'; did you mean --train?\n");
}

TEST_F(Tune, MemoryThatDoesNotSufficeIsRefusedWithWhatWould) {
  const std::string text = err("--max-memory 10M");
  EXPECT_THAT(text, ContainsRegex("error: --max-memory 10 MiB: the least that is feasible is [0-9]+M: .*\n"));
  EXPECT_THAT(out("--max-memory 4G --epochs 1"), HasSubstr("memory: whole batches, about "));
}

// In processes of their own: what a process keeps of earlier runs counts as memory that it takes.
class TuneDeep : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line("new mlp --inputs 64 --layers 512x60 --outputs 3 --sample-data task.npz --samples 1024 -o deep.onnx").status, 0);
  }
  std::string run(std::vector<std::string> flags, int expected) {
    std::vector<std::string> words = {"tune", "deep.onnx", "--train", "task.npz", "--batch-size", "512", "--epochs", "1", "--threads", "2"};
    words.insert(words.end(), flags.begin(), flags.end());
    test::ChildProcess child(words, "output.txt");
    EXPECT_EQ(child.wait(), expected) << contents("output.txt");
    return contents("output.txt");
  }
  std::string tune(const std::vector<std::string>& flags) { return run(flags, 0); }
  // MiB that the message of a limit that is too low names.
  int least() {
    const std::string refused = run({"--max-memory", "20M", "-o", "tuned.onnx"}, 1);
    const size_t at = refused.find("feasible is ");
    EXPECT_NE(at, std::string::npos) << refused;
    return at == std::string::npos ? 0 : std::stoi(refused.substr(at + 12));
  }
};

TEST_F(TuneDeep, TheLeastThatIsNamedSuffices) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "most of the process's memory is the sanitizer's here, and differs from run to run";
#endif
  const std::string text = tune({"--max-memory", fmt::format("{}M", least()), "-o", "tuned.onnx"});
  EXPECT_THAT(text, ContainsRegex("memory: whole batches, [0-9]+ % of the work twice, about |rows at a time"));
}

TEST_F(TuneDeep, AResumedRunComputesAsBefore) {
  const std::string small = fmt::format("{}M", least() + 8);
  tune({"--max-memory", small, "--steps", "4", "-o", "once.onnx"});
  tune({"--max-memory", small, "--steps", "2", "--checkpoint", "c", "-o", "half.onnx"});
  const std::string resumed = tune({"--max-memory", "4G", "--steps", "4", "--checkpoint", "c", "--resume", "-o", "twice.onnx"});
  EXPECT_THAT(resumed, HasSubstr("going on after update 2"));
  EXPECT_EQ(contents("once.onnx"), contents("twice.onnx"));
}

TEST_F(Tune, HelpIsShortAndTheRestIsUnderHelpAll) {
  const std::string help = gannet_line("tune --help").out, all = gannet_line("tune --help-all").out;
  EXPECT_THAT(help, AllOf(HasSubstr("--optimizer"), HasSubstr("more flags: --help-all"),
                          HasSubstr("Example:"), Not(HasSubstr("--beta1"))));
  EXPECT_THAT(all, AllOf(HasSubstr("--optimizer"), HasSubstr("--beta1"), Not(HasSubstr("more flags"))));
}

TEST_F(Tune, TargetsOfEveryLoss) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx").status, 0);
  const Tensor x = Tensor::from<float>({4, 2}, {1, 2, 3, 4, -1, 2, -3, 1}),
               soft = Tensor::from<float>({4, 2}, {0.5, 0.5, 1, 0, 0, 1, 0.25, 0.75});
  ASSERT_TRUE(write_npz("task.npz", {{"input", x}, {"targets", soft}}).ok());
  for (const char* loss : {"cross-entropy", "mse", "binary-cross-entropy", "l1", "huber", "kl"}) {
    const std::string text = out(std::string("--epochs 2 --eval-fraction 0.5 --loss ") + loss);
    EXPECT_THAT(text, ContainsRegex("held out: loss [0-9.]+  (accuracy|mae) ")) << loss;
  }
  ASSERT_TRUE(write_npz("task.npz",
                        {{"input", x}, {"labels", Tensor::from<int64_t>({4, 2}, {0, 1, 1, 1, 0, 0, 1, 0})}})
                  .ok());
  EXPECT_THAT(out("--loss binary-cross-entropy --epochs 2 --eval-fraction 0.5"), HasSubstr("micro_f1"));
}

TEST_F(Tune, SoftLabelsAreProbabilities) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 3 -o mlp.onnx").status, 0);
  const Tensor x = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
  auto with = [&](std::initializer_list<float> shares) {
    ASSERT_TRUE(write_npz("task.npz", {{"input", x}, {"targets", Tensor::from<float>({2, 3}, shares)}}).ok());
  };
  const std::string flags = "--loss cross-entropy --epochs 1";
  with({0.2F, 0.3F, 0.5F, 0.2F, 0.3F, 0.4F});
  EXPECT_EQ(err(flags), "error: task.npz: the probabilities in row 1 of 'targets' add up to 0.9, not 1\n");
  with({0.2F, 0.3F, 0.5F, 0.5F, -0.5F, 1});
  EXPECT_EQ(err(flags), "error: task.npz: -0.5 for class 1 in row 1 of 'targets' is no probability\n");
  with({0, 0, 0, 0, 0, 1});
  EXPECT_EQ(err(flags), "error: task.npz: the probabilities in row 0 of 'targets' add up to 0, not 1\n");
  with({0.33F, 0.33F, 0.33F, 0, 0, 1});
  out(flags);
}

TEST_F(Tune, BatchNormalizationsFollowTheBatchesOrStay) {
  ASSERT_EQ(gannet_line("new resnet8 --image-size 8 --channels 1 --classes 3 --sample-data task.npz "
                        "--samples 33 -o mlp.onnx")
                .status,
            0);
  EXPECT_THAT(out("--steps 2"), HasSubstr("batch normalization: by the batch; "));
  EXPECT_THAT(out("--steps 2 --batch-norm frozen"),
              AllOf(HasSubstr("frozen: "), Not(HasSubstr("by the batch"))));
  EXPECT_THAT(out("--steps 2 --epochs 1"), HasSubstr("over 2 updates"));
  // 33 rows in batches of 32: the lone one joins, statistics of one row are none.
  EXPECT_THAT(out("--epochs 1"), HasSubstr("over 1 updates"));
}

TEST_F(Tune, DropoutActsInTrainingOnlyAndFollowsTheSeed) {
  auto loss = [](const std::string& text) { return text.substr(text.find("loss"), 14); };
  const std::string plain = out("--epochs 1"), dropped = out("--epochs 1 --dropout *=0.5");
  EXPECT_NE(loss(plain), loss(dropped));
  EXPECT_EQ(dropped, out("--epochs 1 --dropout *=0.5"));
  EXPECT_NE(loss(dropped), loss(out("--epochs 1 --dropout *=0.5 --seed 1")));
  EXPECT_THAT(err("--dropout nothing=0.1"), HasSubstr("'nothing'"));
  EXPECT_EQ(err("--dropout *=1"), "error: --dropout *=1: the ratio must be below 1\n");
}

TEST_F(Tune, AHeadGetsTheClassesOfTheTask) {
  ASSERT_EQ(gannet_line("new mlp --inputs 8 --units 16 --outputs 7 -o mlp.onnx").status, 0);
  EXPECT_THAT(out("--new-head 3 --epochs 12 --lr 0.02 --eval-fraction 0.2"),
              AllOf(HasSubstr("new head: "), HasSubstr("best accuracy 1 ")));
  EXPECT_THAT(gannet_line("inspect tuned.onnx").out, HasSubstr("[batch, 3]"));
}

}  // namespace
}  // namespace gannet::test
