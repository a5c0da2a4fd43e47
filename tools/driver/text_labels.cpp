#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>

#include "tools/driver/text_table.h"

namespace gannet {

namespace {

constexpr int64_t kMostClasses = int64_t{1} << 20;

std::optional<int64_t> class_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// "a, b, c and 7 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 10;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kShown ? fmt::format("{} and {} more", text, names.size() - kShown) : text;
}

// Numbers in their order, then names in that of their bytes.
struct LabelOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    const auto x = class_number(a), y = class_number(b);
    if (x && y) return *x < *y;
    if (x || y) return x.has_value();
    return a < b;
  }
};
using LabelNameSet = std::set<std::string, LabelOrder>;

std::string separator_of(const TextTable& table, const TextArguments& arguments) {
  if (!arguments.label_separator.empty()) return arguments.label_separator;
  const std::vector<std::string>& cells = table.table.cells[table.labels[0]];
  for (const char separator : {kItemSeparator, ';', '|', ','}) {
    const bool occurs = std::ranges::any_of(
        cells, [&](const std::string& cell) { return cell.find(separator) != std::string::npos; });
    if (occurs) return {separator};
  }
  return ",";
}

// The labels of one cell.
std::vector<std::string> split(const std::string& cell, const std::string& separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= cell.size();) {
    size_t end = cell.find(separator, at);
    if (end == std::string::npos) end = cell.size();
    const std::string_view part = trimmed(std::string_view(cell).substr(at, end - at));
    if (!part.empty()) parts.emplace_back(part);
    at = end + separator.size();
  }
  return parts;
}

// What each row says, one name or several.
std::vector<std::vector<std::string>> names_by_row(const TextTable& table, const TextArguments& arguments,
                                                   TextTaskKind kind) {
  std::vector<std::vector<std::string>> rows;
  const bool several = kind == TextTaskKind::kMultiLabel;
  const std::string separator = several ? separator_of(table, arguments) : "";
  for (const std::string& cell : table.table.cells[table.labels[0]])
    rows.push_back(several ? split(cell, separator) : std::vector<std::string>{std::string(trimmed(cell))});
  return rows;
}

// The class of a label: its place among the names, or where it is no name but a number below their count,
// that.
std::optional<int64_t> class_of(const std::string& label,
                                const std::unordered_map<std::string, int64_t>& places) {
  if (const auto found = places.find(label); found != places.end()) return found->second;
  const auto number = class_number(label);
  if (number && *number >= 0 && *number < static_cast<int64_t>(places.size())) return number;
  return std::nullopt;
}

std::unordered_map<std::string, int64_t> places_of(const std::vector<std::string>& names) {
  std::unordered_map<std::string, int64_t> places;
  for (const std::string& name : names) places.emplace(name, static_cast<int64_t>(places.size()));
  return places;
}

std::vector<std::string> numbers_below(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(fmt::to_string(i));
  return names;
}

// A JSON object without the member gives an empty cell as well.
Error missing_label(const TextTable& table, size_t column, int64_t row) {
  return invalid_input(
      fmt::format("{}there is no label: '{}' is empty or missing", table.table.place(row), table.column_name(column)));
}

Error unknown_label(const TextTable& table, int64_t row, const std::string& label,
                    const std::vector<std::string>& names) {
  if (label.empty()) return missing_label(table, table.labels[0], row);
  return invalid_input(fmt::format("{}label '{}' of column '{}' is none of the {}: {}",
                                   table.table.place(row), label, table.label_name(), names.size(),
                                   listed(names)));
}

Result<double> number_of(const TextTable& table, size_t column, int64_t row) {
  const std::string& cell = table.table.cells[column][static_cast<size_t>(row)];
  const std::string_view text = trimmed(cell);
  if (text.empty()) return missing_label(table, column, row);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && !text.empty() && std::isfinite(value))
    return value;
  return invalid_input(
      fmt::format("{}'{}' in column '{}' is no number", table.table.place(row), cell, table.column_name(column)));
}

Result<Tensor> number_target(const TextTable& table) {
  if (table.labels.size() != 1)
    return invalid_input(fmt::format("{}: text-regression takes one column of numbers", table.table.path));
  std::vector<float> values;
  for (int64_t row = 0; row < table.table.rows(); ++row)
    values.push_back(static_cast<float>(TRY(number_of(table, table.labels[0], row))));
  return Tensor::from<float>({table.table.rows()}, values);
}

Result<Tensor> column_target(const TextTable& table) {
  std::vector<float> values;
  for (int64_t row = 0; row < table.table.rows(); ++row) {
    for (const size_t column : table.labels) {
      const double value = TRY(number_of(table, column, row));
      if (value != 0 && value != 1) return stray_flag_error(table, column, row);
      values.push_back(static_cast<float>(value));
    }
  }
  return Tensor::from<float>({table.table.rows(), static_cast<int64_t>(table.labels.size())}, values);
}

// Numbers 0 and 1 with one other among them are a slip, and no names of labels.
Status check_flags(const TextTable& table) {
  const size_t column = table.labels[0];
  const std::vector<std::string>& cells = table.table.cells[column];
  const std::optional<int64_t> stray = stray_flag(cells);
  if (!stray || !class_number(trimmed(cells[static_cast<size_t>(*stray)]))) return {};
  return stray_flag_error(table, column, *stray);
}

}  // namespace

Result<std::vector<std::string>> find_label_names(const TextTable& table, const TextArguments& arguments,
                                                  TextTaskKind kind, const KnownLabels& known) {
  if (kind == TextTaskKind::kRegression) return std::vector<std::string>();
  if (kind == TextTaskKind::kMultiLabel && table.labels.size() > 1) {
    std::vector<std::string> names;
    for (const size_t column : table.labels)
      names.push_back(table.table.names.empty() ? fmt::to_string(column) : table.table.names[column]);
    return names;
  }
  if (table.labels.size() != 1) {
    return invalid_input(
        fmt::format("{}: text-classification takes one column of labels, --label-column names {}",
                    table.table.path, table.labels.size()));
  }
  LabelNameSet found;
  for (const auto& row : names_by_row(table, arguments, kind)) found.insert(row.begin(), row.end());
  found.erase("");  // label_target says where one is missing
  const auto places = places_of(known.names);
  const bool all_known = !known.names.empty() && std::ranges::all_of(found, [&](const std::string& name) {
    return class_of(name, places).has_value();
  });
  if (all_known) return known.names;
  if (kind == TextTaskKind::kMultiLabel) TRY(check_flags(table));
  std::vector<std::string> names(found.begin(), found.end());
  if (known.classes && kind == TextTaskKind::kClassification) {
    const auto numbers = numbers_below(*known.classes);
    const auto numbered = places_of(numbers);
    if (std::ranges::all_of(found,
                            [&](const std::string& name) { return class_of(name, numbered).has_value(); }))
      return numbers;
  }
  const auto count = static_cast<int64_t>(names.size());
  const bool one_for_each_row = count > 100 && count > table.table.rows() / 2;
  if (count > kMostClasses || one_for_each_row) {
    return invalid_input(
        fmt::format("{}: column '{}' holds {} different labels in {} rows; --label-column names another, or "
                    "--task text-regression",
                    table.table.path, table.label_name(), count, table.table.rows()));
  }
  if (count < 2 && kind == TextTaskKind::kClassification) {
    return invalid_input(fmt::format("{}: all {} rows have the label '{}'; a classifier needs two",
                                     table.table.path, table.table.rows(), names.empty() ? "" : names[0]));
  }
  return names;
}

Result<Tensor> label_target(const TextTable& table, const TextArguments& arguments, TextTaskKind kind,
                            const std::vector<std::string>& names) {
  if (kind == TextTaskKind::kRegression) return number_target(table);
  const bool several = kind == TextTaskKind::kMultiLabel;
  if (several && table.labels.size() > 1) return column_target(table);
  const auto places = places_of(names);
  const auto width = static_cast<int64_t>(names.size());
  std::vector<int64_t> classes;
  std::vector<float> flags;
  if (several) flags.resize(static_cast<size_t>(table.table.rows() * width));
  const auto rows = names_by_row(table, arguments, kind);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (const std::string& label : rows[row]) {
      const auto place = class_of(label, places);
      if (!place) return unknown_label(table, static_cast<int64_t>(row), label, names);
      if (several)
        flags[row * names.size() + static_cast<size_t>(*place)] = 1;
      else
        classes.push_back(*place);
    }
  }
  if (several) return Tensor::from<float>({table.table.rows(), width}, flags);
  return Tensor::from<int64_t>({table.table.rows()}, classes);
}

std::vector<int64_t> known_labels(const TextTable& table, const std::vector<std::string>& names) {
  std::vector<int64_t> labels(static_cast<size_t>(table.table.rows()), -1);
  if (table.labels.size() != 1) return labels;
  const auto places = places_of(names);
  const std::vector<std::string>& cells = table.table.cells[table.labels[0]];
  for (size_t row = 0; row < labels.size(); ++row)
    labels[row] = class_of(std::string(trimmed(cells[row])), places).value_or(-1);
  return labels;
}

}  // namespace gannet
