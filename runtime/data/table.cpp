#include "runtime/data/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "ir/base/file.h"
#include "runtime/data/utf8.h"

namespace gannet {

namespace {

constexpr size_t kMostColumns = 4096;

using Row = std::vector<std::string>;

// Appends rows to a table; all have as many cells as the first.
class TableBuilder {
 public:
  explicit TableBuilder(const std::string& path) { table_.path = path; }

  Status add(Row row, int64_t line) {
    if (table_.lines.empty()) table_.cells.resize(row.size());
    if (row.size() != table_.cells.size()) {
      return invalid_input(fmt::format("{}: line {}: {} cells, the first row has {}", table_.path, line,
                                       row.size(), table_.cells.size()));
    }
    for (size_t i = 0; i < row.size(); ++i) table_.cells[i].push_back(std::move(row[i]));
    table_.lines.push_back(line);
    return {};
  }
  Table take() { return std::move(table_); }

 private:
  Table table_;
};

Error at_line(const std::string& path, int64_t line, std::string_view what) {
  return invalid_input(fmt::format("{}: line {}: {}", path, line, what));
}

// The next line without its end.
std::string_view next_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Line by line, so that the message can say where.
Status check_utf8(const std::string& path, std::string_view text) {
  for (int64_t line = 1; !text.empty(); ++line) {
    if (find_invalid_utf8(next_line(text))) return at_line(path, line, "this is not UTF-8");
  }
  return {};
}

Result<Table> parse_tsv(const std::string& path, std::string_view text) {
  TableBuilder table(path);
  for (int64_t line = 1; !text.empty(); ++line) {
    std::string_view rest = next_line(text);
    if (rest.empty()) continue;
    Row row;
    for (;;) {
      const size_t tab = rest.find('\t');
      row.emplace_back(rest.substr(0, tab));
      if (tab == std::string_view::npos) break;
      rest.remove_prefix(tab + 1);
    }
    TRY(table.add(std::move(row), line));
  }
  return table.take();
}

class CsvParser {
 public:
  CsvParser(const std::string& path, std::string_view text)
      : path_(path), text_(text), separator_(separator_of(text)) {}

  Result<Table> parse() {
    TableBuilder table(path_);
    while (at_ < text_.size()) {
      const int64_t line = line_;
      Row row;
      bool quoted = false;
      do {
        quoted |= at_ < text_.size() && text_[at_] == '"';
        row.push_back(TRY(cell()));
      } while (take_separator());
      take_line_end();
      const bool empty = row.size() == 1 && row[0].empty() && !quoted;
      if (!empty) TRY(table.add(std::move(row), line));
    }
    return table.take();
  }

 private:
  static char separator_of(std::string_view text) {
    bool inside = false, semicolon = false;
    for (const char c : text) {
      inside ^= c == '"';
      if (inside) continue;
      if (c == ',') return ',';
      if (c == '\n') break;
      semicolon |= c == ';';
    }
    return semicolon ? ';' : ',';
  }

  bool take_separator() {
    if (at_ >= text_.size() || text_[at_] != separator_) return false;
    ++at_;
    return true;
  }

  void take_line_end() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  bool at_line_end() const {
    if (at_ >= text_.size() || text_[at_] == '\n') return true;
    return text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n');
  }

  Result<std::string> cell() {
    if (at_ < text_.size() && text_[at_] == '"') return quoted_cell();
    const size_t start = at_;
    while (!at_line_end() && text_[at_] != separator_) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  Result<std::string> quoted_cell() {
    const int64_t first_line = line_;
    std::string result;
    for (++at_;;) {
      const size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos)
        return at_line(path_, first_line, "the quote of a cell has no end");
      const std::string_view part = text_.substr(at_, quote - at_);
      line_ += std::ranges::count(part, '\n');
      result += part;
      at_ = quote + 1;
      if (at_ >= text_.size() || text_[at_] != '"') break;
      result += '"';
      ++at_;
    }
    if (!at_line_end() && text_[at_] != separator_)
      return at_line(path_, line_, "a quoted cell goes on behind its quote; a quote inside is doubled");
    return result;
  }

  const std::string& path_;
  std::string_view text_;
  char separator_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

std::string text_of(const nlohmann::ordered_json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<std::string> cell_of(const std::string& name, const nlohmann::ordered_json& value) {
  if (value.is_object()) return invalid_input(fmt::format("'{}' is an object", name));
  if (!value.is_array()) return text_of(value);
  std::string joined;
  for (const nlohmann::ordered_json& item : value) {
    if (item.is_structured())
      return invalid_input(fmt::format("'{}' is an array of more than texts and numbers", name));
    if (!joined.empty() || &item != &value.front()) joined += kItemSeparator;
    joined += text_of(item);
  }
  return joined;
}

// How deep arrays and objects stand in each other, as far as the text is JSON. The parser's own values are copied and freed
// recursively.
int64_t json_depth(std::string_view text) {
  int64_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      else if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

Result<Table> parse_json_lines(const std::string& path, std::string_view text) {
  Table table;
  table.path = path;
  std::unordered_map<std::string, size_t> places;
  for (int64_t line = 1; !text.empty(); ++line) {
    const std::string_view rest = next_line(text);
    if (rest.find_first_not_of(" \t") == std::string_view::npos) continue;
    constexpr int64_t kDeepest = 100;
    if (json_depth(rest) > kDeepest) return at_line(path, line, fmt::format("arrays and objects are nested more than {} deep", kDeepest));
    const auto object =
        nlohmann::ordered_json::parse(rest.begin(), rest.end(), nullptr, /*allow_exceptions=*/false);
    if (!object.is_object())
      return at_line(path, line, object.is_discarded() ? "this is not JSON" : "this is no JSON object");
    table.lines.push_back(line);
    for (const auto& [name, value] : object.items()) {
      const auto [at, added] = places.emplace(name, table.cells.size());
      if (added) {
        if (table.cells.size() == kMostColumns)
          return at_line(path, line, fmt::format("the objects have more than {} different members", kMostColumns));
        table.names.push_back(name);
        table.cells.emplace_back();
      }
      Result<std::string> cell = cell_of(name, value);
      if (!cell.ok()) return with_prefix(table.place(table.rows() - 1), cell.error());
      table.cells[at->second].resize(table.lines.size() - 1);
      table.cells[at->second].push_back(*std::move(cell));
    }
  }
  for (auto& column : table.cells) column.resize(table.lines.size());
  return table;
}

}  // namespace

std::string Table::place(int64_t row) const {
  return fmt::format("{}: line {}: ", path, lines[static_cast<size_t>(row)]);
}

void Table::take_header() {
  for (auto& column : cells) {
    names.push_back(std::move(column.front()));
    column.erase(column.begin());
  }
  lines.erase(lines.begin());
}

std::optional<size_t> Table::find(const std::string& name_or_number) const {
  const auto named = std::ranges::find(names, name_or_number);
  if (named != names.end()) return static_cast<size_t>(named - names.begin());
  for (size_t i = 0; i < columns(); ++i) {
    if (name_or_number == fmt::to_string(i + 1)) return i;
  }
  return std::nullopt;
}

Result<size_t> Table::column(const std::string& name_or_number, std::string_view flag) const {
  const std::optional<size_t> found = find(name_or_number);
  if (!found)
    return invalid_input(fmt::format("{}: {}: there is no column '{}'; there are {}", path, flag,
                                     name_or_number, columns_text()));
  const bool by_name = *found < names.size() && names[*found] == name_or_number;
  if (by_name) TRY(check_unique(*found));
  return *found;
}

Status Table::check_unique(size_t column) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (i == column || column >= names.size() || names[i] != names[column]) continue;
    return invalid_input(fmt::format("{}: columns {} and {} are both named '{}'", path, std::min(i, column) + 1,
                                     std::max(i, column) + 1, names[column]));
  }
  return {};
}

std::string Table::columns_text() const {
  if (names.empty()) return fmt::format("{} columns without names", columns());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

std::optional<TableFormat> table_format_of(const std::string& path) {
  std::string lower = path;
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* end : {".tsv", ".tab", ".txt"})
    if (lower.ends_with(end)) return TableFormat::kTsv;
  for (const char* end : {".jsonl", ".ndjson"})
    if (lower.ends_with(end)) return TableFormat::kJsonLines;
  if (lower.ends_with(".csv")) return TableFormat::kCsv;
  return std::nullopt;
}

Result<Table> read_table(const std::string& path, TableFormat format, int64_t max_bytes) {
  const std::string contents = TRY(read_file(path, max_bytes));
  std::string_view text = contents;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  TRY(check_utf8(path, text));
  Table table = TRY(format == TableFormat::kTsv   ? parse_tsv(path, text)
                    : format == TableFormat::kCsv ? CsvParser(path, text).parse()
                                                  : parse_json_lines(path, text));
  if (table.rows() == 0) return invalid_input(path + ": the table is empty");
  return table;
}

}  // namespace gannet
