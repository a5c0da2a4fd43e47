// Labels some of which are wrong, from the command line: robust losses, and two models that choose each other's rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <regex>

#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// An MLP with samples of three classes, two fifths of whose training labels are another class.
class TuneNoisy : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new mlp --inputs 8 --units 32 --outputs 3 --sample-data all.npz --samples 600 -o first.onnx");
    run("new mlp --inputs 8 --units 32 --outputs 3 --seed 9 -o second.onnx");
    const NamedTensors all = *read_npz("all.npz");
    const Tensor& x = all[0].second;
    const Tensor& y = all[1].second;
    ASSERT_EQ(x.rank(), 2);
    Tensor noisy = rows(y, 0, 300);
    uint64_t state = 1;
    for (int64_t& label : noisy.mutable_data<int64_t>()) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      if ((state >> 33) % 5 < 2) label = (label + 1 + static_cast<int64_t>((state >> 40) % 2)) % 3;
    }
    ASSERT_TRUE(write_npz("noisy.npz", {{all[0].first, rows(x, 0, 300)}, {"labels", noisy}}).ok());
    ASSERT_TRUE(write_npz("clean.npz", {{all[0].first, rows(x, 300, 600)}, {"labels", rows(y, 300, 600)}}).ok());
  }
  static Tensor rows(const Tensor& tensor, int64_t begin, int64_t end) {
    std::vector<int64_t> extents = tensor.extents();
    extents[0] = end - begin;
    Tensor part = Tensor::zeros(tensor.dtype(), extents);
    const auto row = static_cast<size_t>(tensor.bytes() / tensor.extent(0));
    std::memcpy(part.mutable_raw(), static_cast<const std::byte*>(tensor.raw()) + static_cast<size_t>(begin) * row,
                static_cast<size_t>(part.bytes()));
    return part;
  }
  std::string run(const std::string& line) {
    const CommandResult result = gannet_line(line);
    EXPECT_EQ(result.status, 0) << line << "\n" << result.err << result.out;
    return result.out;
  }
  std::string error(const std::string& flags) {
    const CommandResult result = gannet_line("tune first.onnx --train noisy.npz -o tuned.onnx " + flags);
    EXPECT_EQ(result.status, 1) << flags;
    return result.err;
  }
  // On clean labels, after the last of 60 epochs on noisy ones.
  double accuracy(const std::string& flags) {
    run("tune first.onnx --train noisy.npz --epochs 60 --lr 0.01 -o tuned.onnx " + flags);
    const std::string text = run("evaluate tuned.onnx --data clean.npz --json");
    std::smatch found;
    EXPECT_TRUE(std::regex_search(text, found, std::regex("\"accuracy\":([0-9.e-]+)"))) << text;
    return std::stod(found[1]);
  }
};

TEST_F(TuneNoisy, RobustLossesKeepWhatIsRight) {
  const double plain = accuracy("");
  EXPECT_GT(accuracy("--loss generalized-cross-entropy"), plain);
  EXPECT_GT(accuracy("--loss bootstrap-hard --bootstrap-beta 0.6"), plain);
  run("tune first.onnx --train noisy.npz --epochs 1 --loss bootstrap-soft --class-weights balanced -o tuned.onnx");
  EXPECT_THAT(error("--loss generalized-cross-entropy --q 0"), HasSubstr("the power must be above 0"));
  EXPECT_THAT(error("--q 0.5"), HasSubstr("a power (q) is no option of cross entropy"));
  EXPECT_THAT(error("--loss bootstrap-softly"), HasSubstr("bootstrap-soft"));
}

TEST_F(TuneNoisy, TwoModelsChooseEachOthersRows) {
  const double plain = accuracy("");
  EXPECT_GT(accuracy("--co-teaching 0.4 --forget-epochs 5 --second-model second.onnx"), plain);
  const std::string text = run(
      "tune first.onnx --train noisy.npz --eval clean.npz --epochs 8 --lr 0.01 --co-teaching 0.4 --forget-epochs 2 "
      "--second-model second.onnx -o tuned.onnx");
  EXPECT_THAT(text, HasSubstr("co-teaching: two models choose each other's rows, in the end all but 40 % of a batch"));
  std::smatch best;
  ASSERT_TRUE(std::regex_search(text, best, std::regex("best accuracy ([0-9.]+)"))) << text;
  EXPECT_THAT(run("evaluate tuned.onnx --data clean.npz"), HasSubstr("accuracy " + best[1].str().substr(0, 5)));
}

TEST_F(TuneNoisy, TwoModelsGoOnWithTheSameBits) {
  const std::string flags =
      "tune first.onnx --train noisy.npz --eval-fraction 0.2 --accumulate 2 --ema 0.9 --co-teaching 0.4 "
      "--forget-epochs 3 --second-model second.onnx -o tuned.onnx --checkpoint ";
  run(flags + "a --epochs 4");
  const std::string whole = contents("tuned.onnx");
  run(flags + "b --epochs 2");
  run(flags + "b --epochs 4 --resume");
  EXPECT_TRUE(whole == contents("tuned.onnx"));
}

TEST_F(TuneNoisy, TwoModelsHaveToDiffer) {
  EXPECT_THAT(error("--co-teaching 0.4"), HasSubstr("both models would begin alike"));
  EXPECT_THAT(error("--forget-epochs 3"), HasSubstr("--forget-epochs is for --co-teaching"));
  EXPECT_THAT(error("--co-teaching 0.4 --second-model second.onnx --max-memory 1G"), HasSubstr("--max-memory"));
  EXPECT_THAT(error("--co-teaching 0.4 --second-model second.onnx --class-weights balanced"),
              HasSubstr("co-teaching has no weights for classes"));
  run("new mlp --inputs 8 --units 16 --outputs 3 -o other.onnx");
  EXPECT_THAT(error("--co-teaching 0.4 --second-model other.onnx"), HasSubstr("in the first model and"));
  // A new head is drawn for each.
  run("new mlp --inputs 8 --units 32 --outputs 5 -o five.onnx");
  run("tune five.onnx --train noisy.npz --new-head 3 --epochs 1 --co-teaching 0.4 -o tuned.onnx");
}

}  // namespace
}  // namespace gannet::test
