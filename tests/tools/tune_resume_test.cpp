// A training that is stopped at any moment and goes on ends with the bits of one that was left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "runtime/data/text_lists.h"
#include "tests/tools/child_process.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

class TuneResume : public CommandLine {
 protected:
  static constexpr int64_t kUpdates = 250;

  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line(
                  "new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 90 -o mlp.onnx")
                  .status,
              0);
  }

  // Everything that has state: slots, averages, sums of gradients, a schedule, held-out data, patience.
  static std::vector<std::string> words(const std::string& name) {
    return {"tune",
            "mlp.onnx",
            "--train",
            "task.npz",
            "--eval-fraction",
            "0.2",
            "--steps",
            std::to_string(kUpdates),
            "--batch-size",
            "5",
            "--accumulate",
            "2",
            "--schedule",
            "one-cycle",
            "--lr",
            "0.02",
            "--ema",
            "0.9",
            "--clip-norm",
            "1",
            "--eval-every",
            "3",
            "--patience",
            "200",
            "--best-by",
            "loss",
            "--checkpoint",
            name + "-checkpoints",
            "--checkpoint-every",
            "1",
            "--log",
            name + "-log",
            "--resume",
            "-o",
            name + ".onnx"};
  }

  static std::string contents(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  // The record without what depends on the clock.
  static std::vector<std::string> record(const std::string& name) {
    Result<std::vector<std::string>> lines = read_lines(name + "-log/training.jsonl");
    EXPECT_TRUE(lines.ok());
    for (std::string& line : *lines) line = line.substr(0, line.find(",\"rows_per_second\""));
    return *lines;
  }

  static void expect_same_end(const std::string& name, const std::string& whole) {
    EXPECT_EQ(contents(name + ".onnx"), contents(whole + ".onnx"));
    const std::string last = "-checkpoints/step-00000250.safetensors";
    EXPECT_FALSE(contents(name + last).empty());
    EXPECT_EQ(contents(name + last), contents(whole + last));
    EXPECT_EQ(record(name), record(whole));
  }

  void run_whole(const std::string& name) {
    const CommandResult result = gannet(words(name));
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("no checkpoint yet, starting anew"));
  }

  void kill_often(int kills, uint32_t seed) {
    run_whole("whole");
    std::mt19937 random(seed);
    for (int killed = 0, run = 0; killed < kills; ++run) {
      const std::string name = "killed" + std::to_string(run);
      for (bool alive = true; alive;) {
        ChildProcess child(words(name), "output.txt");
        const auto moment =
            std::chrono::microseconds(killed < kills ? 20'000 + random() % 400'000 : 60'000'000);
        const auto until = std::chrono::steady_clock::now() + moment;
        while (child.running() && std::chrono::steady_clock::now() < until)
          std::this_thread::sleep_for(std::chrono::microseconds(200));
        if (child.running()) {
          child.send(SIGKILL);
          EXPECT_EQ(child.wait(), -SIGKILL);
          ++killed;
        } else {
          ASSERT_EQ(child.wait(), 0) << contents("output.txt");
          alive = false;
        }
      }
      expect_same_end(name, "whole");
    }
  }
};

TEST_F(TuneResume, KilledAtAFewRandomMoments) { kill_often(4, 1); }

TEST_F(TuneResume, AnInterruptKeepsTheBestAndACheckpoint) {
  run_whole("whole");
  ChildProcess child(words("stopped"), "output.txt");
  while (child.running() &&
         contents("stopped-log/training.jsonl").find("\"kind\":\"eval\"") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  child.send(SIGINT);
  EXPECT_EQ(child.wait(), 1);
  EXPECT_THAT(contents("output.txt"),
              testing::ContainsRegex(
                  "error: interrupted after update [0-9]+: stopped.onnx holds the best weights so far, "
                  "of update [0-9]+; --resume goes on from stopped-checkpoints"));
  EXPECT_FALSE(contents("stopped.onnx").empty());
  const CommandResult resumed = gannet(words("stopped"));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("going on after update "));
  expect_same_end("stopped", "whole");
}

TEST_F(TuneResume, ADamagedCheckpointIsPassedOver) {
  run_whole("whole");
  std::filesystem::copy("whole-checkpoints", "hurt-checkpoints");
  std::filesystem::resize_file("hurt-checkpoints/step-00000250.safetensors", 100);
  const CommandResult result = gannet(words("hurt"));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("passed over: hurt-checkpoints/step-00000250.safetensors: is damaged"));
  EXPECT_THAT(result.out, HasSubstr("going on after update 249\n"));
  EXPECT_EQ(contents("hurt.onnx"), contents("whole.onnx"));
}

TEST_F(TuneResume, AnotherRunIsNotContinued) {
  run_whole("whole");
  auto error = [&](const std::string& flag, const std::string& value) {
    std::vector<std::string> changed = words("whole");
    const auto found = std::ranges::find(changed, flag);
    if (found != changed.end() && value.empty())
      changed.erase(found);
    else if (found != changed.end())
      *(found + 1) = value;
    else
      changed.insert(changed.end(), {flag, value});
    const CommandResult result = gannet(changed);
    EXPECT_EQ(result.status, 1) << flag;
    return result.err;
  };
  EXPECT_EQ(error("--lr", "0.03"),
            "error: whole-checkpoints: the checkpoint was made with --lr 0.02, this run has 0.03\n");
  EXPECT_EQ(error("--seed", "7"),
            "error: whole-checkpoints: the checkpoint was made with --seed 0, this run has 7\n");
  EXPECT_EQ(error("--resume", ""),
            "error: whole-checkpoints: holds checkpoints of an earlier run, up to update 250; go on with "
            "--resume, or name another folder\n");
  EXPECT_EQ(error("--steps", "300"),
            "error: whole-checkpoints: the checkpoint was made with --steps or --epochs 250 updates, this "
            "run has 300 updates\n");
  ASSERT_EQ(gannet_line("new mlp --inputs 8 --units 16 --outputs 3 --seed 5 -o mlp.onnx").status, 0);
  EXPECT_THAT(gannet(words("whole")).err, HasSubstr("the checkpoint is of another model: crc32c "));
}

class NightlyTuneResume : public TuneResume {};

TEST_F(NightlyTuneResume, KilledAtTwentyRandomMoments) { kill_often(20, 2); }

}  // namespace
}  // namespace gannet::test
