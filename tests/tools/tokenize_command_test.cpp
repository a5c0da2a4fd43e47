#include <gmock/gmock.h>

#include <fstream>

#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::HasSubstr;

class TokenizeCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nfine\nfilm\n##s\n!\n");
  }
  static void write(const char* path, const char* contents) {
    std::ofstream(path, std::ios::binary) << contents;
  }
};

TEST_F(TokenizeCommand, PrintsAnObjectForEachText) {
  CommandResult result =
      gannet({"tokenize", "--vocab", "vocab.txt", "--text", "A fine film!", "--text", "films", "--tokens"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out,
            "{\"ids\":[2,4,5,6,8,3],\"tokens\":[\"[CLS]\",\"a\",\"fine\",\"film\",\"!\",\"[SEP]\"]}\n"
            "{\"ids\":[2,6,7,3],\"tokens\":[\"[CLS]\",\"film\",\"##s\",\"[SEP]\"]}\n");
}

TEST_F(TokenizeCommand, PairsAreCutAndPadded) {
  CommandResult result = gannet({"tokenize", "--tokenizer", "vocab.txt", "--text", "a fine film", "--pair",
                                 "films", "--text", "a", "--pair", "a", "--max-length", "6", "--pad"});
  EXPECT_EQ(result.out,
            "{\"ids\":[2,4,5,3,6,3],\"type_ids\":[0,0,0,0,1,1],\"attention_mask\":[1,1,1,1,1,1]}\n"
            "{\"ids\":[2,4,3,4,3,0],\"type_ids\":[0,0,0,1,1,0],\"attention_mask\":[1,1,1,1,1,0]}\n");
}

TEST_F(TokenizeCommand, ReadsLinesAndJson) {
  write("texts.txt", "a film\nfine\n");
  EXPECT_EQ(gannet_line("tokenize --vocab vocab.txt texts.txt --plain").out,
            "{\"ids\":[4,6]}\n{\"ids\":[5]}\n");
  write("texts.jsonl", "\"a\\nfilm\"\n{\"text\": \"fine\"}\n");
  EXPECT_EQ(gannet_line("tokenize --vocab vocab.txt texts.jsonl --jsonl --plain").out,
            "{\"ids\":[4,6]}\n{\"ids\":[5]}\n");
  EXPECT_THAT(gannet_line("tokenize --vocab vocab.txt texts.txt --time").out,
              HasSubstr("\"texts\": 2, \"tokens\": 7"));
}

TEST_F(TokenizeCommand, WritesATableAsArraysForAModel) {
  run("new bert-classifier --layers 1 --hidden 16 --heads 2 --vocab 40 -o bert.onnx");
  write("texts.tsv", "text\tlabel\na fine film!\tgood\nfilms\tbad\na\tgood\n");
  EXPECT_EQ(run("tokenize texts.tsv --vocab vocab.txt --model bert.onnx -o d.npz"),
            "3 rows of 6 tokens\nlabel 0: bad\nlabel 1: good\nwrote d.npz\n");
  const Tensor ids = read_npz_array("d.npz", "input_ids").value(), mask = read_npz_array("d.npz", "attention_mask").value();
  EXPECT_EQ(ids.ints(), (std::vector<int64_t>{2, 4, 5, 6, 8, 3, 2, 6, 7, 3, 0, 0, 2, 4, 3, 0, 0, 0}));
  EXPECT_EQ(mask.ints(), (std::vector<int64_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(read_npz_array("d.npz", "labels").value().ints(), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_THAT(error("tokenize texts.tsv --vocab vocab.txt -o d.npz"), HasSubstr("--output needs a table and --model"));
  EXPECT_THAT(error("tokenize texts.tsv --vocab vocab.txt --model bert.onnx"), HasSubstr("--output"));
}

TEST_F(TokenizeCommand, SaysWhatIsWrong) {
  EXPECT_THAT(gannet_line("tokenize --vocab vocab.txt").err, HasSubstr("no text: give --text or a file"));
  EXPECT_THAT(gannet_line("tokenize --vocab none.txt --text a").err, HasSubstr("none.txt"));
  EXPECT_THAT(gannet_line("tokenize --text a").err, HasSubstr("texts need a tokenizer: --vocab"));
  write("texts.jsonl", "\"a\"\n[]\n");
  EXPECT_THAT(gannet_line("tokenize --vocab vocab.txt texts.jsonl --jsonl").err,
              HasSubstr("texts.jsonl: line 2 is neither a JSON string"));
  write("texts.txt", "a\nb\xff\n");
  EXPECT_THAT(gannet_line("tokenize --vocab vocab.txt texts.txt").err,
              HasSubstr("text 1: byte 1 is not UTF-8"));
}

}  // namespace
}  // namespace gannet::test
