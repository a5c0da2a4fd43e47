#include "tools/driver/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <utility>

namespace gannet {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kTextNames[] = {
    "text",      "sentence", "review",    "content",      "comment",   "message", "tweet",
    "document",  "body",     "headline",  "comment_text", "utterance", "query",   "question",
    "sentence1", "premise",  "question1", "text_a",       "text1",     "title",   "description"};
constexpr std::string_view kLabelNames[] = {
    "label", "labels", "class", "category", "sentiment", "target",   "intent",     "emotion",      "rating",
    "stars", "score",  "topic", "tag",      "tags",      "polarity", "gold_label", "is_duplicate", "y"};
constexpr std::pair<std::string_view, std::string_view> kPairNames[] = {
    {"sentence1", "sentence2"}, {"premise", "hypothesis"}, {"question1", "question2"}, {"text_a", "text_b"},
    {"text1", "text2"},         {"question", "sentence"},  {"query", "passage"}};

std::string plain(std::string_view name) {
  std::string result(trimmed(name));
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::optional<size_t> usual(const Table& table, Names names) {
  for (const std::string_view wanted : names) {
    for (size_t i = 0; i < table.names.size(); ++i) {
      if (plain(table.names[i]) == wanted) return i;
    }
  }
  return std::nullopt;
}

bool has_header(const Table& table, const TextArguments& arguments) {
  for (const auto& column : table.cells) {
    const std::string& cell = column.front();
    const bool asked = cell == arguments.text_column || cell == arguments.pair_column ||
                       std::ranges::find(arguments.label_columns, cell) != arguments.label_columns.end();
    auto is_usual = [&](Names names) { return std::ranges::find(names, plain(cell)) != names.end(); };
    const bool numeric = !cell.empty() && cell.find_first_not_of("0123456789") == std::string::npos;
    if ((asked && !numeric) || is_usual(kTextNames) || is_usual(kLabelNames)) return true;
  }
  return false;
}

double mean_length(const std::vector<std::string>& cells) {
  double total = 0;
  for (const std::string& cell : cells) total += static_cast<double>(cell.size());
  return total / static_cast<double>(cells.size());
}

bool is_flag(const std::string& cell) {
  const std::string_view text = trimmed(cell);
  return text == "0" || text == "1";
}

class ColumnFinder {
 public:
  ColumnFinder(TextTable& table, const TextArguments& arguments, TextTaskKind kind, bool labelled)
      : result_(table), table_(table.table), arguments_(arguments), kind_(kind), labelled_(labelled) {}

  Status find() {
    TRY(find_labels());
    TRY(find_text());
    TRY(find_pair());
    std::erase(result_.labels, result_.text);
    if (labelled_ && result_.labels.empty()) {
      return invalid_input(
          fmt::format("{}: which column has the labels? --label-column names it; there are {}", table_.path,
                      table_.columns_text()));
    }
    return {};
  }

 private:
  Status find_labels() {
    for (const std::string& name : arguments_.label_columns) {
      if (!labelled_ && !table_.find(name)) continue;
      result_.labels.push_back(TRY(table_.column(name, "--label-column")));
    }
    if (!result_.labels.empty() || !labelled_) return {};
    if (const auto label = usual(table_, kLabelNames)) {
      TRY(table_.check_unique(*label));
      result_.labels = {*label};
    } else if (kind_ == TextTaskKind::kMultiLabel && table_.columns() > 2) {
      TRY(find_flags());
    }
    return {};
  }

  // A column with a slip among its numbers is not left out, unless that is a header that nobody has told.
  Status find_flags() {
    constexpr int64_t kRowsOfASlip = 100;
    for (size_t i = 0; i < table_.columns(); ++i) {
      const std::vector<std::string>& cells = table_.cells[i];
      const std::optional<int64_t> stray = stray_flag(cells, table_.rows() / kRowsOfASlip);
      if (stray && (*stray > 0 || !table_.names.empty())) return stray_flag_error(result_, i, *stray);
      if (!std::ranges::all_of(cells, is_flag)) continue;
      TRY(table_.check_unique(i));
      result_.labels.push_back(i);
    }
    return {};
  }

  bool is_label(size_t column) const {
    return std::ranges::find(result_.labels, column) != result_.labels.end();
  }

  Status find_text() {
    if (!arguments_.text_column.empty()) {
      result_.text = TRY(table_.column(arguments_.text_column, "--text-column"));
      return {};
    }
    if (const auto text = usual(table_, kTextNames)) {
      result_.text = *text;
      return table_.check_unique(*text);
    }
    std::vector<size_t> left;
    for (size_t i = 0; i < table_.columns(); ++i)
      if (!is_label(i)) left.push_back(i);
    const bool by_position =
        left.size() == 1 || (table_.names.empty() && left.size() == 2 && result_.labels.empty());
    if (!by_position) {
      return invalid_input(fmt::format("{}: which column has the texts? --text-column names it; there are {}",
                                       table_.path, table_.columns_text()));
    }
    std::ranges::stable_sort(left, std::greater(), [this](size_t i) { return mean_length(table_.cells[i]); });
    result_.text = left[0];
    if (left.size() == 2 && labelled_) result_.labels = {left[1]};
    return table_.check_unique(left[0]);
  }

  Status find_pair() {
    if (!arguments_.pair_column.empty()) {
      result_.pair = TRY(table_.column(arguments_.pair_column, "--pair-column"));
      return {};
    }
    if (!arguments_.text_column.empty()) return {};
    for (const auto& [first, second] : kPairNames) {
      const auto a = usual(table_, {&first, 1}), b = usual(table_, {&second, 1});
      if (!a || !b || is_label(*a) || is_label(*b)) continue;
      TRY(table_.check_unique(*a));
      TRY(table_.check_unique(*b));
      result_.text = *a;
      result_.pair = b;
      return {};
    }
    return {};
  }

  TextTable& result_;
  const Table& table_;
  const TextArguments& arguments_;
  TextTaskKind kind_;
  bool labelled_;
};

}  // namespace

std::span<const std::string> TextTable::pairs() const {
  if (!pair) return {};
  return table.cells[*pair];
}

std::string TextTable::column_name(size_t column) const {
  return table.names.empty() ? fmt::to_string(column + 1) : table.names[column];
}

std::string TextTable::label_name() const {
  std::string joined;
  for (const size_t column : labels) joined += (joined.empty() ? "" : ", ") + column_name(column);
  return joined;
}

std::optional<int64_t> stray_flag(std::span<const std::string> cells, int64_t more) {
  const auto strays = static_cast<int64_t>(cells.size()) - std::ranges::count_if(cells, is_flag);
  // Of two cells nobody can say which one is the slip.
  constexpr size_t kLeast = 3;
  if (strays == 0 || strays > 1 + more || cells.size() < kLeast) return std::nullopt;
  return std::ranges::find_if_not(cells, is_flag) - cells.begin();
}

Error stray_flag_error(const TextTable& table, size_t column, int64_t row) {
  return invalid_input(fmt::format("{}'{}' in column '{}' is neither 0 nor 1", table.table.place(row),
                                   table.table.cells[column][static_cast<size_t>(row)], table.column_name(column)));
}

Result<TextTable> read_text_table(const std::string& path, const TextArguments& arguments, TextTaskKind kind,
                                  bool labelled, int64_t max_bytes) {
  const auto format = table_format_of(path);
  if (!format) {
    return invalid_input(
        fmt::format("{}: what kind of table is this? its name should end in .tsv, .csv or .jsonl", path));
  }
  TextTable result;
  result.table = TRY(read_table(path, *format, max_bytes));
  Table& table = result.table;
  if (table.names.empty() && has_header(table, arguments)) table.take_header();
  if (table.rows() == 0) return invalid_input(path + ": the table has a header but no rows");
  TRY(ColumnFinder(result, arguments, kind, labelled).find());
  return result;
}

}  // namespace gannet
