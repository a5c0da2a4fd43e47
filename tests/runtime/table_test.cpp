#include "runtime/data/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TableTest : public testing::Test {
 protected:
  Result<Table> read(const std::string& text, TableFormat format) {
    return read_table(folder_.write("t", text), format, 1 << 20);
  }
  Table table(const std::string& text, TableFormat format) {
    Result<Table> result = read(text, format);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.ok() ? *std::move(result) : Table();
  }
  std::string error(const std::string& text, TableFormat format) {
    Result<Table> result = read(text, format);
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(TableTest, TsvKeepsEverythingButTabsAndLineEnds) {
  const Table t = table(
      "\xef\xbb\xbf"
      "a\t \"b\r\n\nc\td\"",
      TableFormat::kTsv);
  ASSERT_EQ(t.columns(), 2U);
  EXPECT_THAT(t.cells[0], ElementsAre("a", "c"));
  EXPECT_THAT(t.cells[1], ElementsAre(" \"b", "d\""));
  EXPECT_THAT(t.lines, ElementsAre(1, 3));
}

TEST_F(TableTest, CsvHasQuotesLineEndsAndDoubledQuotes) {
  const Table t = table("text,label\r\n\"a, \"\"b\"\"\r\nc\",1\r\nd,\n", TableFormat::kCsv);
  ASSERT_EQ(t.columns(), 2U);
  EXPECT_THAT(t.cells[0], ElementsAre("text", "a, \"b\"\r\nc", "d"));
  EXPECT_THAT(t.cells[1], ElementsAre("label", "1", ""));
  EXPECT_THAT(t.lines, ElementsAre(1, 2, 4));
}

TEST_F(TableTest, CsvOfSpreadsheetsMayHaveSemicolons) {
  const Table t = table("text;label\n\"a;b\";1,5\n", TableFormat::kCsv);
  EXPECT_THAT(t.cells[0], ElementsAre("text", "a;b"));
  EXPECT_THAT(t.cells[1], ElementsAre("label", "1,5"));
}

TEST_F(TableTest, JsonLinesGiveColumnsByName) {
  const Table t = table(
      "{\"text\": \"a\\tb\", \"label\": 1}\n\n{\"label\": null, \"text\": \"\\u00e9\", \"tags\": [\"x\", "
      "2]}\n",
      TableFormat::kJsonLines);
  EXPECT_THAT(t.names, ElementsAre("text", "label", "tags"));
  EXPECT_THAT(t.cells[0], ElementsAre("a\tb", "\xc3\xa9"));
  EXPECT_THAT(t.cells[1], ElementsAre("1", ""));
  EXPECT_THAT(t.cells[2], ElementsAre("", std::string("x\x1f"
                                                      "2")));
}

TEST_F(TableTest, ErrorsNameTheLine) {
  EXPECT_THAT(error("a\tb\nc\n", TableFormat::kTsv), HasSubstr("t: line 2: 1 cells, the first row has 2"));
  EXPECT_THAT(error("a\n\xff\n", TableFormat::kTsv), HasSubstr("t: line 2: this is not UTF-8"));
  EXPECT_THAT(error("a,b\nc,\"d\ne\n", TableFormat::kCsv),
              HasSubstr("t: line 2: the quote of a cell has no end"));
  EXPECT_THAT(error("\"a\"b\n", TableFormat::kCsv),
              HasSubstr("t: line 1: a quoted cell goes on behind its quote"));
  EXPECT_THAT(error("{\"a\": 1}\n{\"a\": \n", TableFormat::kJsonLines),
              HasSubstr("t: line 2: this is not JSON"));
  const std::string deep = "{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + ", \"b\": 1}\n";
  EXPECT_THAT(error("{\"a\": \"[[{\"}\n" + deep, TableFormat::kJsonLines), HasSubstr("t: line 2: arrays and objects are nested more than 100 deep"));
  EXPECT_THAT(error("[1]\n", TableFormat::kJsonLines), HasSubstr("t: line 1: this is no JSON object"));
  std::string wide;
  for (int i = 0; i < 5000; ++i) wide += "{\"k" + std::to_string(i) + "\": 1}\n";
  EXPECT_THAT(error(wide, TableFormat::kJsonLines),
              HasSubstr("t: line 4097: the objects have more than 4096 different members"));
  EXPECT_THAT(error("{\"a\": {\"b\": 1}}\n", TableFormat::kJsonLines),
              HasSubstr("t: line 1: 'a' is an object"));
  for (const TableFormat format : {TableFormat::kTsv, TableFormat::kCsv, TableFormat::kJsonLines})
    EXPECT_THAT(error("\n\n", format), HasSubstr("t: the table is empty"));
}

TEST_F(TableTest, AHeaderNamesColumns) {
  Table t = table("label\ttext\n1\ta\n", TableFormat::kTsv);
  EXPECT_EQ(t.columns_text(), "2 columns without names");
  t.take_header();
  EXPECT_EQ(t.columns_text(), "label, text");
  EXPECT_EQ(t.find("text"), 1U);
  EXPECT_EQ(t.find("1"), 0U);
  EXPECT_EQ(t.find("3"), std::nullopt);
  EXPECT_THAT(t.place(0), HasSubstr("t: line 2: "));
}

TEST_F(TableTest, ANameOfTwoColumnsNamesNeither) {
  Table t = table("label\ttext\tlabel\n1\ta\t2\n", TableFormat::kTsv);
  t.take_header();
  EXPECT_THAT(t.column("label", "--label-column").error().message, HasSubstr("t: columns 1 and 3 are both named 'label'"));
  EXPECT_EQ(*t.column("text", "--text-column"), 1U);
  EXPECT_EQ(*t.column("3", "--label-column"), 2U);
  EXPECT_FALSE(t.check_unique(2).ok());
}

TEST_F(TableTest, FormatsGoByTheName) {
  EXPECT_EQ(table_format_of("a.TSV"), TableFormat::kTsv);
  EXPECT_EQ(table_format_of("a.csv"), TableFormat::kCsv);
  EXPECT_EQ(table_format_of("a.jsonl"), TableFormat::kJsonLines);
  EXPECT_EQ(table_format_of("a.npz"), std::nullopt);
}

}  // namespace
}  // namespace gannet
