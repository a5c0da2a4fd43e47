// A training that is stopped at any moment and goes on ends with the bits of one that was left alone.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
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
  virtual std::vector<std::string> words(const std::string& name) const {
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

  // The record without what depends on the clock.
  static std::vector<std::string> record(const std::string& name) {
    Result<std::vector<std::string>> lines = read_lines(name + "-log/training.jsonl");
    EXPECT_TRUE(lines.ok());
    for (std::string& line : *lines) line = line.substr(0, line.find(",\"rows_per_second\""));
    return *lines;
  }

  void expect_same_end(const std::string& name, const std::string& whole) const {
    EXPECT_EQ(contents(name + ".onnx"), contents(whole + ".onnx"));
    const std::string last = fmt::format("-checkpoints/step-{:08}.safetensors", updates());
    EXPECT_FALSE(contents(name + last).empty());
    EXPECT_EQ(contents(name + last), contents(whole + last));
    EXPECT_EQ(record(name), record(whole));
  }

  virtual int64_t updates() const { return kUpdates; }

  std::vector<std::string> words(const std::string& name, int threads) const {
    std::vector<std::string> all = words(name);
    all.insert(all.end(), {"--threads", std::to_string(threads)});
    return all;
  }

  void run_whole(const std::string& name, int threads = 1) {
    const CommandResult result = gannet(words(name, threads));
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("no checkpoint yet, starting anew"));
  }

  // While a checkpoint or the result is being written there is a file of another name.
  static bool is_writing(const std::string& folder) {
    std::error_code error;
    for (auto file = std::filesystem::directory_iterator(folder, error); !error && file != std::filesystem::end(file);
         file.increment(error)) {
      if (file->path().extension() == ".tmp") return true;
    }
    return false;
  }

  // Kills `child` after `moment`, or, where `writing` is given, then as soon as something is written there. False when
  // it came to its end before.
  static bool killed_after(ChildProcess& child, std::chrono::microseconds moment, const std::string& writing) {
    const auto until = std::chrono::steady_clock::now() + moment;
    while (child.running() && (std::chrono::steady_clock::now() < until || (!writing.empty() && !is_writing(writing)))) {
      if (std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    if (!child.running()) return false;
    child.send(SIGKILL);
    EXPECT_EQ(child.wait(), -SIGKILL);
    return true;
  }

  // Runs that are killed until `kills` are reached, every other time while something is written. Each run goes on with
  // another number of threads than it had before.
  void kill_often(int kills, uint32_t seed, int longest_ms) {
    run_whole("whole", 1);
    run_whole("dual", 2);
    expect_same_end("dual", "whole");
    std::mt19937 random(seed);
    for (int killed = 0, started = 0, run = 0; killed < kills; ++run) {
      const std::string name = "killed" + std::to_string(run);
      for (bool alive = true; alive; ++started) {
        ChildProcess child(words(name, 1 + started % 2), "output.txt");
        const auto moment = std::chrono::microseconds(20'000 + random() % static_cast<uint32_t>(1000 * longest_ms));
        if (killed < kills && killed_after(child, moment, killed % 2 ? name + "-checkpoints" : "")) {
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

TEST_F(TuneResume, KilledAtAFewRandomMoments) { kill_often(4, 1, 400); }

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

// The log is a pipe, so that the run waits until the signal was sent.
TEST_F(TuneResume, ASignalBeforeTheFirstUpdateEndsTheRun) {
  std::filesystem::create_directory("stopped-log");
  ASSERT_EQ(::mkfifo("stopped-log/training.jsonl", 0600), 0);
  std::atomic<bool> over = false;
  int reader = -1;
  std::thread sender([&] {
    struct sigaction now {};
    while (!over && ::sigaction(SIGTERM, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::this_thread::yield();
    if (now.sa_handler != SIG_DFL) ::kill(::getpid(), SIGTERM);
    reader = ::open("stopped-log/training.jsonl", O_RDONLY | O_NONBLOCK);
  });
  const CommandResult result = gannet(words("stopped"));
  over = true;
  sender.join();
  ::close(reader);
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: interrupted before the first update: nothing was written\n");
  EXPECT_FALSE(std::filesystem::exists("stopped.onnx"));
  std::filesystem::remove_all("stopped-log");
  const CommandResult again = gannet(words("stopped"));
  EXPECT_EQ(again.status, 0) << again.err;
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

TEST_F(NightlyTuneResume, KilledAtTwentyRandomMoments) { kill_often(20, 2, 400); }

// Layers that two threads share, statistics of the batch, random elements dropped.
class NightlyTuneResumeOfPictures : public TuneResume {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(gannet_line("new resnet8 --image-size 24 --channels 3 --classes 3 --sample-data task.npz --samples 160 "
                          "-o resnet.onnx")
                  .status,
              0);
  }

  int64_t updates() const override { return 40; }

  std::vector<std::string> words(const std::string& name) const override {
    return {"tune", "resnet.onnx", "--train", "task.npz", "--eval-fraction", "0.2", "--steps", std::to_string(updates()),
            "--batch-size", "32", "--dropout", "/Flatten*=0.2", "--schedule", "cosine", "--clip-norm", "1", "--eval-every", "7",
            "--checkpoint", name + "-checkpoints", "--checkpoint-every", "1", "--log", name + "-log", "--resume", "-o",
            name + ".onnx"};
  }
};

TEST_F(NightlyTuneResumeOfPictures, KilledAtTwentyRandomMoments) { kill_often(20, 3, 1500); }

}  // namespace
}  // namespace gannet::test
