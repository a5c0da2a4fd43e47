// A table as texts and labels: which columns are which, what the labels are called, and the target they make.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/data/table.h"
#include "tools/driver/text_arguments.h"

namespace gannet {

struct TextTable {
  Table table;
  size_t text = 0;
  std::optional<size_t> pair = {};
  std::vector<size_t> labels = {};  // several of 0 and 1, or one; none where the table has no labels

  std::span<const std::string> texts() const { return table.cells[text]; }
  std::span<const std::string> pairs() const;  // empty without a second column
  // Its name, or where columns have none its number from 1, for messages.
  std::string column_name(size_t column) const;
  // Of the columns of labels, for messages.
  std::string label_name() const;
};

// The row of a cell that is neither 0 nor 1 where all others are, but for `more` of them.
std::optional<int64_t> stray_flag(std::span<const std::string> cells, int64_t more = 0);
// What to say of that cell.
Error stray_flag_error(const TextTable& table, size_t column, int64_t row);

// Reads `path` and finds its columns: by the flags, by the usual names (the first row is a header where one
// of these stands in it), or by position: of two columns the one with the longer cells is the text. With
// `labelled`, a table without labels is an error. Errors name the columns that there are.
Result<TextTable> read_text_table(const std::string& path, const TextArguments& arguments, TextTaskKind kind,
                                  bool labelled, int64_t max_bytes);

// What is known of the labels before the data are read.
struct KnownLabels {
  std::vector<std::string> names;       // from the model's metadata
  std::optional<int64_t> classes = {};  // of its head
};

// Names of the classes, or of the labels that a text may have; the index is the class number. Those of the
// model where the data have no others; numbers from 0 on stand for themselves; else what occurs, numbers in
// their order and names in that of their bytes. Empty for regression.
Result<std::vector<std::string>> find_label_names(const TextTable& table, const TextArguments& arguments,
                                                  TextTaskKind kind, const KnownLabels& known);
// The target: i64 [rows], f32 [rows] of regression, f32 [rows, names] of 0 and 1 with several labels. A cell
// that is none of `names` or no number is an error with its line.
Result<Tensor> label_target(const TextTable& table, const TextArguments& arguments, TextTaskKind kind,
                            const std::vector<std::string>& names);

// The class of each row among `names` where the table has a column of labels and it says one of them, else
// -1.
std::vector<int64_t> known_labels(const TextTable& table, const std::vector<std::string>& names);

}  // namespace gannet
