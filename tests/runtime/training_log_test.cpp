#include "runtime/training/training_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/data/text_lists.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::HasSubstr;
using testing::Not;

StepReport step_report(int64_t step) {
  return {step,
          (step - 1) / 4,
          static_cast<double>(step) / 4,
          8,
          1.0 / static_cast<double>(step),
          0.1,
          static_cast<double>(step) * 0.5};
}

void run(TrainingLog& log, int64_t from, int64_t to) {
  ASSERT_TRUE(log.begin({from, 8, 2, 32}).ok());
  for (int64_t step = from + 1; step <= to; ++step) {
    ASSERT_TRUE(log.step(step_report(step)).ok());
    if (step % 4 != 0) continue;
    ASSERT_TRUE(log.epoch({step, (step - 1) / 4, 0.25}).ok());
    ASSERT_TRUE(
        log.evaluation({step, (step - 1) / 4, {{"loss", 0.5}, {"accuracy", 0.75}}, "accuracy", step == 4})
            .ok());
  }
}

std::unique_ptr<TrainingLog> open(const std::string& folder) {
  auto log = TrainingLog::open(folder);
  EXPECT_TRUE(log.ok()) << log.error().message;
  return *std::move(log);
}

// The lines without what depends on the clock.
std::vector<std::string> timeless(const TemporaryFolder& folder) {
  std::vector<std::string> lines = *read_lines(folder.path("training.jsonl"));
  for (std::string& line : lines) line = line.substr(0, line.find(",\"rows_per_second\""));
  return lines;
}

TEST(TrainingLog, OneObjectALine) {
  TemporaryFolder folder;
  const auto log = open(folder.path(""));
  run(*log, 0, 8);
  const std::vector<std::string> lines = *read_lines(folder.path("training.jsonl"));
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(
      lines[0],
      R"({"kind":"step","step":1,"epoch":0.25,"loss":1.0,"learning_rate":0.1,"rows_per_second":16.0,"seconds":0.5})");
  EXPECT_EQ(lines[4], R"({"kind":"epoch","step":4,"epoch":1,"loss":0.25})");
  EXPECT_EQ(lines[5], R"({"kind":"eval","step":4,"epoch":1,"loss":0.5,"accuracy":0.75,"best":true})");
}

TEST(TrainingLog, AResumedRunLeavesTheRecordOfAnUnbrokenOne) {
  TemporaryFolder whole, broken;
  run(*open(whole.path("")), 0, 8);
  run(*open(broken.path("")), 0, 7);
  std::ofstream(broken.path("training.jsonl"), std::ios::app) << "{\"kind\":\"ste";  // killed while it wrote
  const auto log = open(broken.path(""));
  run(*log, 5, 8);
  EXPECT_EQ(timeless(broken), timeless(whole));
  ASSERT_TRUE(log->finish("t", {}).ok());
  EXPECT_THAT(broken.read("curves.html"), HasSubstr("accuracy 0.75 at step 4"));  // from before the break
}

TEST(TrainingLog, ANewRunStartsAnew) {
  TemporaryFolder folder;
  run(*open(folder.path("")), 0, 8);
  run(*open(folder.path("")), 0, 2);
  EXPECT_EQ(read_lines(folder.path("training.jsonl"))->size(), 2u);
}

TEST(TrainingLog, CurvesShowLossMeasuresAndRate) {
  TemporaryFolder folder;
  const auto log = open(folder.path(""));
  run(*log, 0, 8);
  ASSERT_TRUE(log->finish("mlp.onnx", {{"rows", "32"}}).ok());
  const std::string html = folder.read("curves.html");
  for (const char* title : {"<h2>Loss</h2>", "<h2>Held out</h2>", "<h2>Learning rate</h2>", "mlp.onnx"}) {
    EXPECT_THAT(html, HasSubstr(title));
  }
}

TEST(TrainingLog, NumbersThatJsonLacksBecomeNull) {
  TemporaryFolder folder;
  const auto log = open(folder.path(""));
  ASSERT_TRUE(log->begin({0, 1, 1, 1}).ok());
  StepReport report = step_report(1);
  report.loss = NAN;
  ASSERT_TRUE(log->step(report).ok());
  EXPECT_THAT(folder.read("training.jsonl"), HasSubstr("\"loss\":null"));
  EXPECT_THAT(folder.read("training.jsonl"), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace gannet
