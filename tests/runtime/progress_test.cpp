#include "runtime/training/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace gannet {
namespace {

using testing::HasSubstr;
using testing::Not;

ProgressText middle() { return {30, 100, 2, 7, 0.4213, "accuracy 0.91", 1234.5, 42}; }

TEST(Progress, ALineShowsAllThatFits) {
  EXPECT_EQ(progress_line(middle(), {true, false, 120}),
            "[=========>                    ]  epoch 3/7  loss 0.4213  0:42 left  accuracy 0.91  1234 rows/s "
            " 30/100");
  EXPECT_EQ(progress_line(middle(), {true, false, 60}), "epoch 3/7  loss 0.4213  0:42 left  accuracy 0.91");
  EXPECT_EQ(progress_line(middle(), {true, false, 20}), "loss 0.4213");
  EXPECT_THAT(progress_line(middle(), {true, true, 120}), HasSubstr("\x1b[32m["));
}

TEST(Progress, ALineNeverWraps) {
  for (int width = 1; width < 200; ++width) {
    EXPECT_LT(progress_line(middle(), {true, false, width}).size(), static_cast<size_t>(std::max(width, 1)))
        << width;
  }
}

TEST(Progress, Durations) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(6.2), "0:07");
  EXPECT_EQ(duration_text(754), "12:34");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(3 * 86400 + 4 * 3600 + 60), "3 d 4 h");
  EXPECT_EQ(duration_text(1e300), duration_text(1e12));
}

// What two epochs of three steps, with one evaluation, print on `stream`.
void train(std::FILE* stream) {
  Progress progress(stream);
  ASSERT_TRUE(progress.begin({0, 6, 2, 12}).ok());
  for (int64_t step = 1; step <= 6; ++step) {
    const int64_t epoch = (step - 1) / 3;
    ASSERT_TRUE(
        progress.step({step, epoch, static_cast<double>(step) / 3, 4, 0.5, 0.1, static_cast<double>(step)})
            .ok());
    if (step % 3 == 0) {
      ASSERT_TRUE(progress.epoch({step, epoch, 0.5}).ok());
    }
  }
  ASSERT_TRUE(progress.evaluation({6, 1, {{"loss", 0.7}, {"accuracy", 0.75}}, "accuracy", true}).ok());
}

TEST(Progress, PlainLinesWhereOutputIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  train(file);
  std::rewind(file);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_EQ(
      text,
      "epoch 1/2  loss 0.5\nepoch 2/2  loss 0.5\nstep 6  held out: loss 0.7  accuracy 0.75  best so far\n");
}

class PseudoTerminal : public testing::Test {
 protected:
  std::string shown(int width) {
    int main_end = -1, other_end = -1;
    winsize size{};
    size.ws_col = static_cast<unsigned short>(width);
    if (::openpty(&main_end, &other_end, nullptr, nullptr, &size) != 0) return "no pty";
    std::FILE* stream = ::fdopen(other_end, "w");
    terminal_ = terminal_of(stream);
    train(stream);
    // Reading after the other end is closed may miss what it wrote last.
    constexpr std::string_view kEnd = "<end>";
    std::fputs(kEnd.data(), stream);
    std::fflush(stream);
    std::string text;
    char piece[4096];
    while (!text.ends_with(kEnd)) {
      ssize_t count = ::read(main_end, piece, sizeof piece);
      if (count <= 0) break;
      text.append(piece, static_cast<size_t>(count));
    }
    if (text.ends_with(kEnd)) text.resize(text.size() - kEnd.size());
    std::fclose(stream);
    ::close(main_end);
    return text;
  }
  void SetUp() override {
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
  }
  void TearDown() override { ::unsetenv("NO_COLOR"); }

  Terminal terminal_;
};

TEST_F(PseudoTerminal, ABarIsRedrawnOnOneLine) {
  const std::string text = shown(100);
  EXPECT_TRUE(terminal_.interactive && terminal_.color);
  EXPECT_EQ(terminal_.width, 100);
  EXPECT_THAT(text, HasSubstr("\r\x1b[32m["));
  EXPECT_THAT(text, HasSubstr("4 rows/s"));
  EXPECT_THAT(text, HasSubstr("\r\x1b[Kepoch 1/2  loss 0.5"));
  EXPECT_THAT(text, testing::EndsWith("best so far\r\n"));
}

TEST_F(PseudoTerminal, NoColorIsObeyed) {
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_THAT(shown(100), Not(HasSubstr("\x1b[32m")));
}

TEST_F(PseudoTerminal, ADumbTerminalGetsPlainLines) {
  ::setenv("TERM", "dumb", 1);
  EXPECT_THAT(shown(100), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace gannet
