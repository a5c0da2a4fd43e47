#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "frontend/import.h"
#include "frontend/onnx_writer.h"
#include "frontend/pb_file.h"
#include "ir/evaluate.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tests/tools/child_process.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(CommandLine, UnknownFlagsNameTheNearest) {
  CommandResult result = gannet({"run", "model.onnx", "--sede", "1"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: gannet run: unknown flag '--sede'; did you mean --seed?\n");
  result = gannet({"rnu"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: gannet: unknown argument 'rnu'; did you mean run?\n");
}

TEST_F(CommandLine, MissingFileIsOneMessage) {
  CommandResult result = gannet({"run", "absent.onnx"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: absent.onnx: cannot be opened: No such file or directory\n");
}

TEST_F(CommandLine, RunIsDeterministicForASeedAndWritesItsOutputs) {
  ASSERT_EQ(gannet_line("new mlp --inputs 6 --units 8 --outputs 3 -o mlp.onnx").status, 0);
  CommandResult first = gannet_line("run mlp.onnx --shape input=4x6 --seed 7 --output one");
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, AllOf(HasSubstr("input input  f32[4, 6]  random, seed 7"), HasSubstr("logits  f32[4, 3]  min ")));
  ASSERT_EQ(gannet_line("run mlp.onnx --shape input=4x6 --seed 7 --output two").status, 0);
  ASSERT_EQ(gannet_line("run mlp.onnx --shape input=4x6 --seed 8 --output three").status, 0);
  EXPECT_EQ(contents("one/logits.npy"), contents("two/logits.npy"));
  EXPECT_NE(contents("one/logits.npy"), contents("three/logits.npy"));
}

TEST_F(CommandLine, RunTakesArraysArchivesAndRawElements) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx").status, 0);
  Tensor x = Tensor::from<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(write_npy("x.npy", x).ok());
  ASSERT_TRUE(write_npz("x.npz", {{"input", x}}).ok());
  std::ofstream("x.bin", std::ios::binary).write(static_cast<const char*>(x.raw()), x.bytes());
  ASSERT_EQ(gannet_line("run mlp.onnx --input input=x.npy --output a").status, 0);
  ASSERT_EQ(gannet_line("run mlp.onnx --input x.npz --output b").status, 0);
  ASSERT_EQ(gannet_line("run mlp.onnx --input x.bin --shape input=3x2 --output c --format pb").status, 0);
  ASSERT_EQ(gannet_line("run mlp.onnx --input x.npz#input --output d").status, 0);
  EXPECT_EQ(contents("a/logits.npy"), contents("b/logits.npy"));
  EXPECT_EQ(contents("a/logits.npy"), contents("d/logits.npy"));
  EXPECT_GT(contents("c/output_0.pb").size(), 24u);
}

TEST_F(CommandLine, WrongInputsAreNamedWithBothNumbers) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx").status, 0);
  ASSERT_TRUE(write_npy("x.npy", Tensor::from<float>({1, 3}, {1, 2, 3})).ok());
  CommandResult result = gannet_line("run mlp.onnx --input input=x.npy");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("error: input 'input': "), HasSubstr("3"), HasSubstr("2")));
  result = gannet_line("run mlp.onnx --input inptu=x.npy");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("the model has no input 'inptu' (did you mean 'input'?)"));
  result = gannet_line("run mlp.onnx --shape input=4x5");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("5"), HasSubstr("2")));
}

TEST_F(CommandLine, APictureRunsThroughAClassifier) {
  ASSERT_EQ(gannet_line("new cnn --image-size 16 --classes 4 -o cnn.onnx").status, 0);
  Image picture{32, 24, 3, std::vector<uint8_t>(32 * 24 * 3, 90)};
  ASSERT_TRUE(write_png("picture.png", picture).ok());
  std::ofstream("labels.txt") << "ant\nbee\ncat\ndog\n";
  CommandResult result = gannet_line("run cnn.onnx --input picture.png --top 2 --labels labels.txt --mean 0.5 --std 0.5");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::ContainsRegex("class [0-3] (ant|bee|cat|dog)  0\\.[0-9]+\n  class [0-3]"));
}

// Names that training put into the file are printed by whatever runs it, unless --labels has others.
TEST_F(CommandLine, ClassesHaveTheNamesOfTheModelsMetadata) {
  ASSERT_EQ(gannet_line("new cnn --image-size 8 --channels 1 --classes 2 --sample-data pictures --samples 8 -o cnn.onnx").status, 0);
  std::filesystem::rename(std::filesystem::directory_iterator("pictures")->path(), "pictures/\"oak\"");
  ASSERT_EQ(gannet_line("tune cnn.onnx --train pictures --epochs 1 -o tuned.onnx").status, 0);
  ASSERT_EQ(gannet_line("compile tuned.onnx -o tuned.gannet").status, 0);
  const CommandResult result = gannet_line("run tuned.onnx --top 2");
  EXPECT_THAT(result.out, HasSubstr(" \"oak\"  0."));
  EXPECT_EQ(gannet_line("run tuned.gannet --top 2").out, result.out);
  std::ofstream("labels.txt") << "ant\nbee\n";
  EXPECT_THAT(gannet_line("run tuned.onnx --top 2 --labels labels.txt").out, testing::ContainsRegex("class [01] ant  0"));
}

// What is read stays, whatever the result is called.
TEST_F(CommandLine, ResultsAreNotWrittenOverWhatIsRead) {
  run("new mlp --inputs 4 --outputs 2 --sample-data d.npz --samples 16 -o m.onnx");
  run("compile m.onnx -o m.gannet");
  run("new cnn --image-size 8 --channels 1 --classes 2 --sample-data pictures --samples 8 -o cnn.onnx");
  const std::string picture = std::filesystem::directory_iterator(std::filesystem::directory_iterator("pictures")->path())->path().string();
  write("votes.csv", "a,b\nx,y\ny,y\n");
  run("tune m.onnx --train d.npz --epochs 1 --checkpoint c -o t.onnx");
  const std::string weights = std::filesystem::directory_iterator("c")->path().string();
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"tune m.onnx --train d.npz -o d.npz", "d.npz"},
      {"tune m.onnx --train d.npz --eval t.onnx -o t.onnx", "t.onnx"},
      {"compile m.onnx -o m.onnx", "m.onnx"},
      {"refit m.gannet t.onnx -o t.onnx", "t.onnx"},
      {"explain m.onnx --html m.onnx", "m.onnx"},
      {"label votes.csv -o votes.csv", "votes.csv"},
      {"augment " + picture + " --augment flip --preview " + picture, picture},
      {"apply-weights m.onnx " + weights + " -o " + weights, weights}};
  for (const auto& [line, file] : lines) {
    const std::string before = contents(file);
    EXPECT_THAT(error(line), HasSubstr(file + ": is read as well, it would be written over")) << line;
    EXPECT_EQ(contents(file), before) << line;
  }
  EXPECT_THAT(error("tune cnn.onnx --train pictures -o " + picture), HasSubstr("is one of the pictures of pictures, it would be written over"));
  EXPECT_THAT(error("new mlp --sample-data x.npz -o x.npz"), HasSubstr("x.npz: two results would be written there"));
  run("tune m.onnx --train d.npz --epochs 1 -o m.onnx");  // which is asked for
}

TEST_F(CommandLine, AFullDiskBehindStandardOutputIsAnError) {
  run("new mlp -o m.onnx");
  test::ChildProcess child({"inspect", "m.onnx"}, "/dev/full");
  EXPECT_EQ(child.wait(), 1);
}

TEST_F(CommandLine, InspectCountsWhatIsThere) {
  ASSERT_EQ(gannet_line("new mlp --inputs 10 --units 20 --outputs 5 -o mlp.onnx").status, 0);
  CommandResult result = gannet_line("inspect mlp.onnx --json --shape input=8x10");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"elements\": 325"));  // 10*20 + 20 + 20*5 + 5
  // Two Gemms, 2*8*10*20 + 8*20 and 2*8*20*5 + 8*5, and 8*20 for the activation between them.
  EXPECT_THAT(result.out, HasSubstr("\"flops\": 5160.0"));
  EXPECT_THAT(gannet_line("inspect mlp.onnx --ir").out, StartsWith("graph \"mlp\"(%input: f32[batch, 10])"));
}

TEST_F(CommandLine, CheckReportsEachCaseAndItsExitStatus) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx").status, 0);
  Tensor x = Tensor::from<float>({1, 2}, {1, 2});
  ASSERT_TRUE(write_npy("x.npy", x).ok());
  for (std::string name : {"broken", "good", "without", "wrong"}) {
    std::filesystem::create_directories("cases/" + name + "/test_data_set_0");
    std::filesystem::copy_file("mlp.onnx", "cases/" + name + "/model.onnx");
    ASSERT_TRUE(write_pb("cases/" + name + "/test_data_set_0/input_0.pb", x, "input").ok());
    ASSERT_EQ(gannet({"run", "mlp.onnx", "--input", "x.npy", "--output", "cases/" + name + "/test_data_set_0", "--format", "pb"}).status, 0);
  }
  std::filesystem::remove_all("cases/without/test_data_set_0");
  std::ofstream("cases/broken/model.onnx", std::ios::trunc) << "not a model";
  ASSERT_TRUE(write_pb("cases/wrong/test_data_set_0/output_0.pb", Tensor::from<float>({1, 2}, {1e6f, 1e6f}), "logits").ok());
  CommandResult result = gannet_line("check cases --json result.json");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, StartsWith("failed cases/broken: cases/broken/model.onnx: "));
  EXPECT_THAT(result.out, HasSubstr("skipped cases/without: no reference data\n"));
  EXPECT_THAT(result.out, HasSubstr("failed cases/wrong: test_data_set_0: output 0 ('logits'): 2 of 2 elements"));
  EXPECT_THAT(result.out, testing::EndsWith("\n1 passed, 2 failed, 1 skipped\n"));
  EXPECT_THAT(contents("result.json"), HasSubstr("\"outcome\": \"skipped\""));
  result = gannet_line("check cases/good");
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, "1 passed, 0 failed, 0 skipped\n");
}

TEST_F(CommandLine, TuneChangesWeightsOnly) {
  ASSERT_EQ(gannet_line("new mlp --inputs 8 --units 16 --outputs 3 --sample-data task.npz --samples 96 -o mlp.onnx").status, 0);
  CommandResult result = gannet_line("tune mlp.onnx --data task.npz --epochs 20 --optimizer sgd --lr 0.1 -o tuned.onnx");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::ContainsRegex("accuracy on the training data (0\\.9[5-9]|1\\.0)"));
  std::string before = contents("mlp.onnx"), after = contents("tuned.onnx");
  EXPECT_EQ(before.size(), after.size());
  EXPECT_NE(before, after);
  Result<ImportedModel> original = import_model("mlp.onnx"), tuned = import_model("tuned.onnx");
  ASSERT_TRUE(original.ok() && tuned.ok());
  EXPECT_EQ(original->graph->node_count(), tuned->graph->node_count());
  // The same run gives the same file.
  ASSERT_EQ(gannet_line("tune mlp.onnx --data task.npz --epochs 20 --optimizer sgd --lr 0.1 -o again.onnx").status, 0);
  EXPECT_EQ(after, contents("again.onnx"));
}

TEST_F(CommandLine, TuneTakesTheUsualFormsOfLabelsAndData) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx").status, 0);
  Tensor x = Tensor::from<double>({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(write_npz("bool.npz", {{"input", x}, {"labels", Tensor::from<bool>({2}, {true, false})}}).ok());
  ASSERT_TRUE(write_npz("column.npz", {{"input", x}, {"labels", Tensor::from<uint8_t>({2, 1}, {1, 0})}}).ok());
  ASSERT_TRUE(write_npz("double.npz", {{"input", x}, {"targets", x}}).ok());
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 1 -o one.onnx").status, 0);
  ASSERT_TRUE(write_npz("list.npz", {{"input", x}, {"y", Tensor::from<double>({2}, {1, 2})}}).ok());
  EXPECT_EQ(gannet_line("tune one.onnx --data list.npz -o tuned.onnx").err, "");
  for (const char* file : {"bool", "column", "double"}) {
    CommandResult result = gannet_line(std::string("tune mlp.onnx --data ") + file + ".npz -o tuned.onnx");
    EXPECT_EQ(result.status, 0) << result.err;
  }
}

TEST_F(CommandLine, TuneRefusesDataThatCannotTrain) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 3 -o mlp.onnx").status, 0);
  auto error = [&](Tensor x, Tensor labels, const std::string& flags = "") {
    EXPECT_TRUE(write_npz("d.npz", {{"input", std::move(x)}, {"labels", std::move(labels)}}).ok());
    CommandResult result = gannet_line("tune mlp.onnx --data d.npz -o tuned.onnx" + flags);
    EXPECT_EQ(result.status, 1);
    EXPECT_FALSE(std::filesystem::exists("tuned.onnx"));
    return result.err;
  };
  Tensor x = Tensor::from<float>({2, 2}, {1, 2, 3, 4}), labels = Tensor::from<int64_t>({2}, {0, 1});
  EXPECT_EQ(error(Tensor::from<float>({2, 2}, {1, 2, 3, NAN}), labels), "error: d.npz: array 'input' holds NaN in row 1\n");
  EXPECT_EQ(error(Tensor::from<int32_t>({2, 2}, {1, 2, 3, 4}), labels),
            "error: d.npz: array 'input' is i32[2, 2], input 'input' takes f32[batch, 2]\n");
  EXPECT_EQ(error(x, Tensor::from<int64_t>({2}, {0, -1})),
            "error: d.npz: label -1 in row 1 of 'labels' is not one of the 3 classes of output 'logits'\n");
  EXPECT_THAT(error(x, labels, " --freeze bias*"), HasSubstr("--freeze 'bias*' matches no weight; there are "));
  EXPECT_EQ(error(x, labels, " --freeze *"), "error: mlp.onnx: all 4 weights are frozen, none is left to train\n");
  EXPECT_THAT(error(x, labels, " --lr nan"), HasSubstr("--lr: 'nan' is not a finite number above 0"));
  EXPECT_THAT(error(x, labels, " --lr 1e30"), HasSubstr("try a smaller --lr than 1e+30"));
  EXPECT_EQ(gannet_line("tune mlp.onnx --data d.npz -o absent/tuned.onnx").err,
            "error: absent/tuned.onnx: cannot be written: there is no folder 'absent'\n");
  EXPECT_EQ(gannet_line("tune mlp.onnx --data mlp.onnx -o tuned.onnx").err, "error: mlp.onnx: not a zip archive (.npz)\n");
  EXPECT_EQ(gannet_line("run mlp.onnx --shape input=-1x2").err,
            "error: --shape input=-1x2: '-1' is neither an extent nor a symbol\n");
  EXPECT_THAT(error(x, labels, " --seed -1"), HasSubstr("--seed: '-1' is not an integer from 0 to 18446744073709551615"));
}

TEST_F(CommandLine, NamesFromAFileCannotSteerTheTerminal) {
  EXPECT_THAT(gannet({"run", "absent\x1b[31m.onnx"}).err, AllOf(HasSubstr("absent\\x1b[31m.onnx"), testing::Not(HasSubstr("\x1b"))));
}

TEST_F(CommandLine, OutputsOfSimilarNamesGetTheirOwnFiles) {
  OnnxWriter model("names", 17, 0);
  model.input("x", DType::kF32, {2});
  const std::string names[] = {"a_b_output_2", "a_b", "a/b", std::string(400, 'q')};
  for (const std::string& name : names) {
    model.node("Abs", {"x"}, {}, name);
    model.output(name, DType::kF32, {2});
  }
  ASSERT_TRUE(model.save("names.onnx").ok());
  CommandResult result = gannet_line("run names.onnx --output out");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator("out"), {}), 4);
}

TEST_F(CommandLine, HelpIsReachedFromEveryCommand) {
  EXPECT_THAT(gannet({"--version"}).out, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(gannet_line("new mlp --units 4 --layers 4 -o m.onnx").err, HasSubstr("see gannet new mlp --help"));
  EXPECT_EQ(gannet_line("check . --rtol -1").err, "error: gannet check: --rtol: '-1' is not a finite number of at least 0; see gannet check --help\n");
}

TEST_F(CommandLine, TuneNamesWhatDoesNotFit) {
  ASSERT_EQ(gannet_line("new mlp --inputs 2 --units 4 --outputs 3 -o mlp.onnx").status, 0);
  Tensor x = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(write_npz("range.npz", {{"input", x}, {"labels", Tensor::from<int64_t>({2}, {0, 3})}}).ok());
  CommandResult result = gannet_line("tune mlp.onnx --data range.npz -o tuned.onnx");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("3"), HasSubstr("class")));
  EXPECT_FALSE(std::filesystem::exists("tuned.onnx"));
  ASSERT_TRUE(write_npz("rows.npz", {{"input", x}, {"labels", Tensor::from<int64_t>({1}, {0})}}).ok());
  EXPECT_EQ(gannet_line("tune mlp.onnx --data rows.npz -o tuned.onnx").err,
            "error: rows.npz: 'labels' has 1 rows, 'input' has 2\n");
  ASSERT_TRUE(write_npz("none.npz", {{"labels", Tensor::from<int64_t>({1}, {0})}}).ok());
  EXPECT_EQ(gannet_line("tune mlp.onnx --data none.npz -o tuned.onnx").err,
            "error: none.npz: there is no array 'input'; it holds labels\n");
}

}  // namespace
}  // namespace gannet::test
