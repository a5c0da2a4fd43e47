// Rows of cells from a text file: tab-separated, comma-separated, or JSON lines. What a column means is the
// caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

enum class TableFormat { kTsv, kCsv, kJsonLines };

// Joins the items of a JSON array in one cell.
inline constexpr char kItemSeparator = '\x1f';

struct Table {
  std::string path;
  std::vector<std::string> names;  // of the columns; empty until somebody says that there is a header
  std::vector<std::vector<std::string>> cells;  // of each column: one for each row
  std::vector<int64_t> lines;                   // where each row begins, from 1

  size_t columns() const { return cells.size(); }
  int64_t rows() const { return static_cast<int64_t>(lines.size()); }
  // "reviews.csv: line 12: "
  std::string place(int64_t row) const;
  // The first row (there is one) becomes the names of the columns.
  void take_header();
  // The column of this name, or where none has it of this number, from 1.
  std::optional<size_t> find(const std::string& name_or_number) const;
  // The same; where there is none, or the name is that of two, an error that says `flag` asked for it.
  Result<size_t> column(const std::string& name_or_number, std::string_view flag) const;
  // An error where another column has the name of this one.
  Status check_unique(size_t column) const;
  // "sentence, label"; without names "2 columns without names".
  std::string columns_text() const;
};

// Without spaces, tabs and line ends around it.
std::string_view trimmed(std::string_view text);

// By the end of the name: .tsv .tab .txt, .csv, .jsonl .ndjson.
std::optional<TableFormat> table_format_of(const std::string& path);

// Reads a table. In all formats a byte order mark is passed over, lines end in LF or CR LF, and empty lines
// count for nothing. The text must be UTF-8.
//
// TSV: cells hold any characters but tabs and line ends; quotes mean nothing. CSV is RFC 4180: a cell in
// quotes may hold commas, line ends and doubled quotes; when the first row has no comma but a semicolon,
// semicolons separate. JSON lines: an object a line, whose members are the columns in the order of their
// first appearance; a number or a truth value becomes its text, null and a member that is missing an empty
// cell, an array its items between kItemSeparator.
//
// An error names the file and the line: bytes that are no UTF-8, rows of different lengths, a quote without
// its end, malformed JSON, a file without rows.
Result<Table> read_table(const std::string& path, TableFormat format, int64_t max_bytes);

}  // namespace gannet
