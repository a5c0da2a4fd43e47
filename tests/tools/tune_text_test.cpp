// Texts from a table to a tuned model, its evaluation and its use, on sentences that `gannet new` makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class TuneText : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    const CommandResult made = gannet_line(
        "new bert-classifier --layers 1 --hidden 32 --heads 2 --vocab 160 --max-positions 40 -o bert.onnx "
        "--sample-data train.tsv --sample-vocab vocab.txt --samples 400 --seed 5");
    ASSERT_EQ(made.status, 0) << made.err;
    ASSERT_EQ(
        gannet_line("new bert-encoder --layers 1 --hidden 32 --vocab 160 --max-positions 40 -o encoder.onnx "
                    "--sample-data dev.tsv --sample-vocab vocab.txt --samples 60 --seed 6")
            .status,
        0);
  }
  std::string out(const std::string& line) {
    const CommandResult result = gannet_line(line);
    EXPECT_EQ(result.status, 0) << line << "\n" << result.err;
    EXPECT_EQ(result.err, "") << line;
    return result.out;
  }
  std::string err(const std::string& line) {
    const CommandResult result = gannet_line(line);
    EXPECT_EQ(result.status, 1) << line;
    return result.err;
  }
  // The number behind "name ".
  static double figure(const std::string& text, const std::string& name) {
    const size_t at = text.rfind(name + " ");
    return at == std::string::npos ? std::nan("") : std::stod(text.substr(at + name.size() + 1));
  }
};

constexpr const char* kTune = "tune bert.onnx --train train.tsv --vocab vocab.txt -o tuned.onnx --lr 0.003 ";

TEST_F(TuneText, ATunedClassifierIsTheSameEverywhere) {
  const std::string text = out(std::string(kTune) + "--eval dev.tsv");
  EXPECT_THAT(text,
              AllOf(HasSubstr("on 400 rows, 60 held out, cross entropy of 'logits'"),
                    HasSubstr("AdamW, learning rate 0.003, linear over 39 updates, 4 of them warm-up")));
  const double accuracy = figure(text, "best accuracy");
  EXPECT_GT(accuracy, 0.9);
  out("compile tuned.onnx -o tuned.gannet");
  const std::string flags = " --data dev.tsv --vocab vocab.txt --json";
  const auto onnx = nlohmann::json::parse(out("evaluate tuned.onnx" + flags));
  EXPECT_NEAR(onnx["accuracy"], accuracy, 5e-5);
  EXPECT_EQ(onnx["rows"], 60);
  EXPECT_EQ(onnx["classes"][0]["name"], "negative");
  EXPECT_EQ(onnx["confusion"][0][0].get<int>() + onnx["confusion"][0][1].get<int>(), 30);
  auto same = [&](const std::string& line) {
    auto other = nlohmann::json::parse(out(line + flags));
    EXPECT_EQ(other["confusion"], onnx["confusion"]) << line;
    EXPECT_NEAR(other["loss"], onnx["loss"], 1e-5) << line;
  };
  same("evaluate tuned.gannet");
  same("evaluate tuned.onnx --backend reference");
  same("evaluate tuned.onnx --batch-size 1");
  EXPECT_THAT(out("evaluate tuned.gannet --data dev.tsv --vocab vocab.txt"),
              AllOf(HasSubstr("60 rows of dev.tsv, output 'logits'\naccuracy "), HasSubstr("\nnegative"),
                    HasSubstr("confusion (a row for each label")));
}

TEST_F(TuneText, ATextGetsNamesAndProbabilities) {
  out(kTune);
  const CommandResult one =
      gannet({"run", "tuned.onnx", "--vocab", "vocab.txt", "--text", "what a wonderful film !"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, ContainsRegex("^positive  0\\.[0-9]{4}\nnegative  0\\.[0-9]{4}\n$"));
  out("compile tuned.onnx -o tuned.gannet");
  const CommandResult compiled =
      gannet({"run", "tuned.gannet", "--vocab", "vocab.txt", "--text", "what a wonderful film !"});
  EXPECT_EQ(compiled.out, one.out);
  write("texts.txt", "the plot was awful\nthe plot was great\na very dull book , and so on and on and on\n");
  std::istringstream lines(out("run tuned.onnx --vocab vocab.txt --text-file texts.txt"));
  std::vector<std::string> labels;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    labels.push_back(json["label"]);
    EXPECT_NEAR(json["scores"]["positive"].get<double>() + json["scores"]["negative"].get<double>(), 1, 1e-5);
  }
  EXPECT_EQ(labels, (std::vector<std::string>{"negative", "positive", "negative"}));
  std::istringstream table(out("run tuned.onnx --vocab vocab.txt --text-file dev.tsv"));
  int count = 0;
  for (std::string line; std::getline(table, line);) ++count;
  EXPECT_EQ(count, 60);
  EXPECT_THAT(err("run tuned.onnx --vocab vocab.txt --text lovely --top 2"),
              HasSubstr("--top does not go with --text and --text-file"));
  EXPECT_THAT(err("run tuned.onnx --vocab vocab.txt"), HasSubstr("--vocab needs --text or --text-file"));
}

TEST_F(TuneText, ATokenizerOfHuggingFaceGivesTheSame) {
  out(std::string(kTune) + "--epochs 1");
  nlohmann::json vocabulary;
  std::istringstream lines(contents("vocab.txt"));
  for (std::string line; std::getline(lines, line);) vocabulary[line] = vocabulary.size();
  const nlohmann::json tokenizer = {{"version", "1.0"},
                                    {"truncation", nullptr},
                                    {"padding", nullptr},
                                    {"added_tokens", nlohmann::json::array()},
                                    {"normalizer",
                                     {{"type", "BertNormalizer"},
                                      {"clean_text", true},
                                      {"handle_chinese_chars", true},
                                      {"strip_accents", nullptr},
                                      {"lowercase", true}}},
                                    {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                                    {"post_processor",
                                     {{"type", "BertProcessing"},
                                      {"sep", {"[SEP]", vocabulary["[SEP]"]}},
                                      {"cls", {"[CLS]", vocabulary["[CLS]"]}}}},
                                    {"decoder", nullptr},
                                    {"model",
                                     {{"type", "WordPiece"},
                                      {"unk_token", "[UNK]"},
                                      {"continuing_subword_prefix", "##"},
                                      {"max_input_chars_per_word", 100},
                                      {"vocab", vocabulary}}}};
  write("tokenizer.json", tokenizer.dump());
  const auto by_vocabulary =
      nlohmann::json::parse(out("evaluate tuned.onnx --data dev.tsv --vocab vocab.txt --json"));
  const auto by_tokenizer =
      nlohmann::json::parse(out("evaluate tuned.onnx --data dev.tsv --tokenizer tokenizer.json --json"));
  EXPECT_EQ(by_tokenizer["loss"], by_vocabulary["loss"]);
  write("texts.txt", "a superb film\nThis film was awful, and dull!\n");
  const std::string ids = out("tokenize texts.txt --vocab vocab.txt");
  EXPECT_THAT(ids, ContainsRegex("^\\{\"ids\":\\[[0-9]+,[0-9]+,"));
  EXPECT_EQ(out("tokenize texts.txt --tokenizer tokenizer.json"), ids);
  write("words.txt", "superb\nawful\n");
  EXPECT_THAT(err("evaluate tuned.onnx --data dev.tsv --tokenizer words.txt"),
              HasSubstr("words.txt: has no token [UNK] among its 2"));
  write("model.json", "{\"model\": {\"type\": \"Wordy\"}}");
  EXPECT_THAT(err("evaluate tuned.onnx --data dev.tsv --tokenizer model.json"),
              HasSubstr("model.json: model"));
}

TEST_F(TuneText, HeadsFollowTheLabels) {
  write("three.csv",
        "text,label\n\"a great film\",good\n\"an awful, dull film\",bad\nthe film was slow,so-so\n"
        "superb,good\nugly,bad\nquite slow,so-so\n");
  EXPECT_THAT(out("tune bert.onnx --train three.csv --vocab vocab.txt -o three.onnx --epochs 1"),
              HasSubstr("which had 2 classes"));
  EXPECT_THAT(out("tune encoder.onnx --train three.csv --vocab vocab.txt -o added.onnx --epochs 1"),
              AllOf(HasSubstr("new head: logits, reads the mean of tokens\n"), Not(HasSubstr("which had"))));
  EXPECT_THAT(
      out("tune encoder.onnx --train three.csv --vocab vocab.txt -o first.onnx --epochs 1 --pooling first"),
      HasSubstr("new head: logits, reads the first token\n"));
  const std::string flags = " --data three.csv --vocab vocab.txt --json";
  for (const char* model : {"three.onnx", "added.onnx"}) {
    const auto json = nlohmann::json::parse(out("evaluate " + std::string(model) + flags));
    EXPECT_EQ(json["classes"][2]["name"], "so-so");
    EXPECT_EQ(json["rows"], 6);
  }
  // The names are those of the model where the data have no others.
  EXPECT_THAT(out("tune three.onnx --train three.csv --vocab vocab.txt -o again.onnx --epochs 1"),
              Not(HasSubstr("new head")));
}

TEST_F(TuneText, NumbersAndSeveralLabels) {
  std::string numbers, flags = "text\tgood\tbad\n", joined = "text\tlabels\n";
  std::istringstream rows(contents("train.tsv"));
  std::string row;
  std::getline(rows, row);  // names of the columns
  while (std::getline(rows, row)) {
    const bool good = row.starts_with("positive");
    const std::string text = row.substr(row.find('\t') + 1);
    numbers += nlohmann::json({{"score", good ? 4.5 : 1.25}, {"text", text}}).dump() + "\n";
    flags += text + (good ? "\t1\t0\n" : "\t0\t1\n");
    joined += text + (good ? "\tread;good\n" : "\tbad;read\n");
  }
  write("numbers.jsonl", numbers);
  write("flags.tsv", flags);
  write("joined.tsv", joined);
  const std::string tuned = " --vocab vocab.txt -o t.onnx --epochs 5 --lr 0.003";
  EXPECT_THAT(out("tune bert.onnx --train numbers.jsonl --task text-regression" + tuned),
              HasSubstr("mean squared error"));
  EXPECT_LT(
      nlohmann::json::parse(out("evaluate t.onnx --data numbers.jsonl --vocab vocab.txt --json"))["mse"],
      0.5);
  auto learned = [&](const std::string& table) {
    out("tune bert.onnx --task multi-label --train " + table + tuned);
    return nlohmann::json::parse(out("evaluate t.onnx --vocab vocab.txt --json --data " + table));
  };
  const nlohmann::json two = learned("flags.tsv"), three = learned("joined.tsv");
  EXPECT_EQ(two["labels"].size(), 2U);
  EXPECT_GT(two["macro"]["f1"], 0.9);
  EXPECT_EQ(three["labels"].size(), 3U);
  EXPECT_GT(three["macro"]["f1"], 0.9);
}

TEST_F(TuneText, PaddingChangesNothingButTheTime) {
  out(kTune);
  // Batches of all rows hold the same rows however they are padded, and masked positions count for nothing.
  const std::string base =
      "tune tuned.onnx --train train.tsv --eval dev.tsv --vocab vocab.txt -o again.onnx --lr 0.003 --epochs 4 "
      "--batch-size 400 --padding ";
  const double loss = figure(out(base + "bucket"), "held out: loss");
  EXPECT_LT(loss, 0.6);
  for (const char* padding : {"batch", "fixed", "batch --pad-multiple 8"})
    EXPECT_NEAR(figure(out(base + padding), "held out: loss"), loss, 2e-4) << padding;
  const std::string evaluate = "evaluate tuned.onnx --data dev.tsv --vocab vocab.txt --json --batch-size ";
  EXPECT_NEAR(nlohmann::json::parse(out(evaluate + "1"))["loss"],
              nlohmann::json::parse(out(evaluate + "60"))["loss"], 1e-5);
}

TEST_F(TuneText, AResumedRunEndsInTheSameBits) {
  out(std::string(kTune) + "--epochs 2 --eval-fraction 0.2");
  const std::string whole = contents("tuned.onnx");
  const std::string cut =
      std::string(kTune) + "--epochs 2 --eval-fraction 0.2 --checkpoint c --checkpoint-every 7";
  out(cut);
  for (const auto& entry : std::filesystem::directory_iterator("c"))
    if (entry.path().string().find("20.") != std::string::npos) std::filesystem::remove(entry.path());
  std::filesystem::remove("tuned.onnx");
  EXPECT_THAT(out(cut + " --resume"), HasSubstr("going on after update 14"));
  EXPECT_EQ(contents("tuned.onnx"), whole);
  EXPECT_THAT(err(cut + " --resume --max-length 12"), HasSubstr("--max-length"));
}

TEST_F(TuneText, ThinMatricesBecomePartOfTheWeights) {
  out(kTune);
  // The same sentences with the labels exchanged.
  std::string swapped = "label\ttext\n";
  std::istringstream lines(contents("train.tsv"));
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);) {
    const size_t tab = line.find('\t');
    swapped += (line.starts_with("positive") ? "negative" : "positive") + line.substr(tab) + "\n";
  }
  write("swapped.tsv", swapped);
  const std::string text =
      out("tune tuned.onnx --train swapped.tsv --eval-fraction 0.2 --vocab vocab.txt -o swapped.onnx --lr "
          "0.02 --lora r=4");
  // Two thin matrices beside five layers of 32 to 32, one of 32 to 128 and one back, and the last layer:
  // 5 * 64 * 4 + 2 * 160 * 4 + 2 * 32 + 2.
  EXPECT_THAT(text, HasSubstr("training 2626 weights of 16 tensors"));
  EXPECT_GT(figure(text, "best accuracy"), 0.9);
  const auto json =
      nlohmann::json::parse(out("evaluate swapped.onnx --data swapped.tsv --vocab vocab.txt --json"));
  EXPECT_GT(json["accuracy"], 0.8);
  EXPECT_EQ(contents("swapped.onnx").find("lora"), std::string::npos);
  // Nothing learned, nothing changed but the metadata.
  out("tune bert.onnx --train train.tsv --vocab vocab.txt -o whole.onnx --epochs 1 --lr 1e-30");
  out("tune bert.onnx --train train.tsv --vocab vocab.txt -o thin.onnx --epochs 1 --lr 1e-30 --lora "
      "r=2,alpha=4,targets=*dense*");
  const std::string flags = " --data dev.tsv --vocab vocab.txt --json";
  EXPECT_NEAR(nlohmann::json::parse(out("evaluate whole.onnx" + flags))["loss"],
              nlohmann::json::parse(out("evaluate thin.onnx" + flags))["loss"], 1e-6);
  const std::string tune = std::string(kTune) + "--lora ";
  EXPECT_THAT(err(tune + "r=4,targets=nothing"),
              HasSubstr("bert.onnx: --lora: no weight of a linear layer matches 'nothing'"));
  EXPECT_THAT(err(tune + "r=0"), HasSubstr("--lora r=0: the rank is a whole number of 1 to 4096"));
  EXPECT_THAT(err(tune + "rank=4"),
              HasSubstr("--lora takes r=8,alpha=16,targets=PATTERN|PATTERN, got 'rank=4'"));
}

TEST_F(TuneText, ASearchKeepsTheBest) {
  const std::string text =
      out("tune bert.onnx --train train.tsv --eval dev.tsv --vocab vocab.txt -o tuned.onnx "
          "--search lr=1e-9,0.003 --search batch-size=32,400");
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("run 4 of 4: lr 0.003, batch-size 400"),
            ContainsRegex("\nlr     batch-size  best accuracy\n1e-9   32          0\\.[0-9]+\n1e-9   400 .*\n"
                          "0\\.003  32          [01][.0-9]+  <\n")));
  const auto json = nlohmann::json::parse(out("evaluate tuned.onnx --data dev.tsv --vocab vocab.txt --json"));
  EXPECT_GT(json["accuracy"], 0.8);
  const std::string tune = "tune bert.onnx --train train.tsv --vocab vocab.txt -o x.onnx ";
  EXPECT_THAT(err(tune + "--search lr=1"), HasSubstr("--search needs --eval or --eval-fraction"));
  EXPECT_THAT(err(tune + "--eval dev.tsv --search lr=x"),
              HasSubstr("--search lr: 'x' is not a number above 0"));
  EXPECT_THAT(err(tune + "--eval dev.tsv --search lr=0"), HasSubstr("--search lr: '0' is not a number above 0"));
  EXPECT_THAT(err(tune + "--eval dev.tsv --search warmup=0,soon"), HasSubstr("--warmup"));
  EXPECT_THAT(err(tune + "--eval dev.tsv --search colour=1"), HasSubstr("--search: 'colour' is none of lr,"));
}

TEST_F(TuneText, ARunThatFailsDoesNotLoseTheOneBefore) {
  EXPECT_THAT(err("tune bert.onnx --train train.tsv --eval dev.tsv --vocab vocab.txt -o tuned.onnx --epochs 1 --search "
                  "warmup=0,1000"),
              HasSubstr("run 2: --warmup 1000: the run has 13 updates in all"));
  out("evaluate tuned.onnx --data dev.tsv --vocab vocab.txt");
}

// A slip must not leave its column out, or make numbers the names of labels.
TEST_F(TuneText, FlagsOfLabelsAreZeroOrOne) {
  const std::string tune = "tune bert.onnx -o x.onnx --vocab vocab.txt --task multi-label --train ";
  write("flags.tsv", "text\tgood\tbad\nlovely\t1\t0\nawful\t0\t2\nsuperb\t1\t0\ndull\t0\t1\n");
  const std::string text = "flags.tsv: line 3: '2' in column 'bad' is neither 0 nor 1\n";
  EXPECT_THAT(err(tune + "flags.tsv"), HasSubstr(text));
  EXPECT_THAT(err(tune + "flags.tsv --label-column good,bad"), HasSubstr(text));
  EXPECT_THAT(err(tune + "flags.tsv --label-column bad"), HasSubstr(text));
  write("one.tsv", "text\tlabel\nlovely\t1\nawful\t0\nsuperb\t2\ndull\t0\n");
  EXPECT_THAT(err(tune + "one.tsv"), HasSubstr("one.tsv: line 4: '2' in column 'label' is neither 0 nor 1\n"));
  write("numbers.tsv", "text\tlabel\nlovely\t0;1\nawful\t0\nsuperb\t2\ndull\t2\n");
  out(tune + "numbers.tsv --epochs 1");  // three labels that are called by numbers
  write("empty.tsv", "text\tgood\tbad\nlovely\t1\t0\nawful\t0\t\nsuperb\t1\t0\ndull\t0\t1\n");
  EXPECT_THAT(err(tune + "empty.tsv --label-column good,bad"),
              HasSubstr("empty.tsv: line 3: there is no label: 'bad' is empty or missing"));
}

TEST_F(TuneText, MistakesAreNamed) {
  const std::string tune = "tune bert.onnx -o x.onnx --vocab vocab.txt --train ";
  write("columns.tsv", "words\tmark\nlovely\t1\nawful\t0\n");
  EXPECT_THAT(err(tune + "columns.tsv --text-column sentence"),
              HasSubstr("columns.tsv: --text-column: there is no column 'sentence'; there are "));
  write("header.tsv", "label\ttext\n");
  EXPECT_THAT(err(tune + "header.tsv"), HasSubstr("header.tsv: the table has a header but no rows"));
  write("empty.tsv", "");
  EXPECT_THAT(err(tune + "empty.tsv"), HasSubstr("empty.tsv: the table is empty"));
  write("nolabel.tsv", "id\ttext\nx\tlovely\ny\tawful\n");
  EXPECT_THAT(
      err(tune + "nolabel.tsv"),
      HasSubstr("nolabel.tsv: which column has the labels? --label-column names it; there are id, text"));
  write("bytes.tsv", "label\ttext\n1\tlovely\n0\t\xff\n");
  EXPECT_THAT(err(tune + "bytes.tsv"), HasSubstr("bytes.tsv: line 3: this is not UTF-8"));
  write("one.tsv", "label\ttext\n1\tlovely\n1\tsuperb\n");
  EXPECT_THAT(err(tune + "one.tsv"), HasSubstr("one.tsv: all 2 rows have the label '1'"));
  write("other.tsv", "label\ttext\nneutral\tlovely\n");
  EXPECT_THAT(
      err(tune + "train.tsv --eval other.tsv"),
      HasSubstr("other.tsv: line 2: label 'neutral' of column 'label' is none of the 2: negative, positive"));
  write("words.tsv", "score\ttext\nhigh\tlovely\n");
  EXPECT_THAT(err(tune + "words.tsv --task text-regression"),
              HasSubstr("words.tsv: line 2: 'high' in column 'score' is no number"));
  write("rows.jsonl",
        "{\"text\": \"lovely\", \"label\": \"positive\"}\n{\"text\": \"awful\"}\n{\"text\": \"dull\", \"label\": \"negative\"}\n");
  EXPECT_THAT(err(tune + "rows.jsonl"), HasSubstr("rows.jsonl: line 2: there is no label: 'label' is empty or missing"));
  write("twice.tsv", "label\ttext\tlabel\tstars\n1\tlovely\t0\t1\n0\tawful\t1\t0\n");
  EXPECT_THAT(err(tune + "twice.tsv"), HasSubstr("twice.tsv: columns 1 and 3 are both named 'label'"));
  EXPECT_THAT(err(tune + "twice.tsv --label-column label"), HasSubstr("twice.tsv: columns 1 and 3 are both named 'label'"));
  out(tune + "twice.tsv --label-column stars --epochs 1");
  std::filesystem::remove("x.onnx");
  EXPECT_THAT(err("tune bert.onnx -o x.onnx --train train.tsv"),
              HasSubstr("texts need a tokenizer: --vocab"));
  out("new bert-classifier --layers 1 --hidden 32 --vocab 20 -o small.onnx");
  EXPECT_THAT(err("tune small.onnx -o x.onnx --vocab vocab.txt --train train.tsv"),
              ContainsRegex("vocab.txt: it has 1[0-9][0-9] tokens, the model's table of tokens has 20 rows"));
  EXPECT_THAT(err(tune + "train.tsv --max-length 41"),
              HasSubstr("--max-length 41: the model takes at most 40 tokens"));
  EXPECT_THAT(err(tune + "train.tsv --freeze *"), HasSubstr("bert.onnx: all 25 weights are frozen, none is left to train"));
  EXPECT_THAT(err(tune + "train.tsv --lora r=2 --lr-for *embeddings*=2"), HasSubstr("--lr-for '*embeddings*' matches no weight"));
  EXPECT_THAT(err(tune + "train.tsv --augment flip"),
              HasSubstr("--augment is for pictures, and train.tsv is read as texts; --task says what to read"));
  EXPECT_THAT(err(tune + "train.tsv --head-dropout 0.2"),
              HasSubstr("--head-dropout: the model gets no new head"));
  EXPECT_THAT(err(tune + "train.tsv --ids words"), HasSubstr("--ids: the model has no input 'words'"));
  EXPECT_FALSE(std::filesystem::exists("x.onnx"));
}

}  // namespace
}  // namespace gannet::test
