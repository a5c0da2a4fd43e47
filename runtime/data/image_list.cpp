#include "runtime/data/image_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>

#include "runtime/data/image.h"
#include "runtime/data/table.h"

namespace gannet {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSharePrefix = "p:";
constexpr int64_t kMostTableBytes = int64_t{1} << 32;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

std::string system_text(const std::error_code& error) { return error.message(); }

// Names of the folders in a folder, sorted.
Result<std::vector<std::string>> folders_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error, ignored;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(ignored) && !is_hidden(it->path())) names.push_back(it->path().filename().string());
  }
  if (error) return io_error(fmt::format("{}: {}", path, system_text(error)));
  std::ranges::sort(names);
  return names;
}

// Whether a link leads to a folder that it is in.
bool leads_back(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::canonical(link, error), here = fs::canonical(link.parent_path(), error);
  return std::mismatch(target.begin(), target.end(), here.begin(), here.end()).first == target.end();
}

// Pictures in a folder and below, sorted.
Result<std::vector<std::string>> pictures_in(const std::string& path) {
  std::vector<std::string> files;
  std::error_code error, ignored;
  using Walk = fs::recursive_directory_iterator;
  for (Walk it(path, fs::directory_options::follow_directory_symlink, error), end; !error && it != end;
       it.increment(error)) {
    if (is_hidden(it->path())) {
      it.disable_recursion_pending();
      continue;
    }
    if (it->is_symlink(ignored) && it->is_directory(ignored) && leads_back(it->path())) it.disable_recursion_pending();
    if (is_image_name(it->path().string()) && it->is_regular_file(ignored)) files.push_back(it->path().string());
  }
  if (error) return io_error(fmt::format("{}: {}", path, system_text(error)));
  std::ranges::sort(files);
  return files;
}

std::string short_list(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  const auto shown = std::span(names).first(std::min(names.size(), kShown));
  return fmt::format("{}{}", fmt::join(shown, ", "), names.size() > kShown ? ", ..." : "");
}

// Numbers of classes by their names; the first of equal ones counts.
class ClassNumbers {
 public:
  explicit ClassNumbers(const std::vector<std::string>& classes) : classes_(classes) {
    for (size_t i = 0; i < classes.size(); ++i) numbers_.emplace(classes[i], i);
  }
  std::optional<size_t> find(const std::string& name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? std::nullopt : std::optional(found->second);
  }
  Result<size_t> of(const std::string& name, const std::string& place) const {
    if (const std::optional<size_t> number = find(name)) return *number;
    return invalid_input(place + unknown_text({name}));
  }
  std::string unknown_text(const std::vector<std::string>& names) const {
    const std::string text = names.size() == 1
                                 ? fmt::format("class '{}' is not one of", names[0])
                                 : fmt::format("{} classes ({}) are not among", names.size(), short_list(names));
    return fmt::format("{} the {} that are known: {}", text, classes_.size(), short_list(classes_));
  }

 private:
  const std::vector<std::string>& classes_;
  std::unordered_map<std::string, size_t> numbers_;
};

std::vector<std::string> split_labels(const std::string& cell) {
  std::vector<std::string> labels;
  std::string label;
  for (const char c : cell + "|") {
    if (c != '|' && c != ';' && c != ' ' && c != kItemSeparator) {
      label += c;
    } else if (!label.empty()) {
      labels.push_back(std::move(label));
      label.clear();
    }
  }
  return labels;
}

int64_t place_among(const std::string& name, const std::vector<std::string>& classes) {
  const auto found = std::ranges::find(classes, name);
  return found == classes.end() ? -1 : found - classes.begin();
}

Result<ImageList> list_unlabelled_folder(const std::string& path, const std::vector<std::string>& classes) {
  ImageList list{path, {}, classes, ImageLabels::kOne, {}};
  list.files = TRY(pictures_in(path));
  std::vector<int64_t> labels;
  for (const std::string& file : list.files)
    labels.push_back(place_among(fs::path(file).lexically_relative(path).begin()->string(), classes));
  list.target = Tensor::of_ints(labels);
  return list;
}

// Reads one table.
class TableReader {
 public:
  TableReader(Table table, const ImageListOptions& options) : table_(std::move(table)), options_(options) {}

  // With labels where there are some that are known.
  Result<ImageList> read_unlabelled() {
    TRY(start());
    if (options_.label_column.empty()) labels_ = TRY(column({"label", "labels", "class", "tags"}, files_));
    else labels_ = table_.find(options_.label_column).value_or(files_);
    std::vector<int64_t> labels;
    for (int64_t row = 0; row < table_.rows(); ++row) {
      TRY(add_file(row));
      labels.push_back(labels_ == files_ ? -1 : place_among(cell(labels_, row), list_.classes));
    }
    list_.target = Tensor::of_ints(labels);
    return std::move(list_);
  }

  Result<ImageList> read() {
    TRY(start());
    for (size_t i = 0; i < table_.names.size(); ++i) {
      if (!table_.names[i].starts_with(kSharePrefix) || !options_.label_column.empty()) continue;
      TRY(table_.check_unique(i));
      shares_.push_back(i);
    }
    if (!shares_.empty()) {
      TRY(read_shares());
    } else {
      TRY(find_labels());
      TRY(options_.several ? read_several() : read_one());
    }
    if (list_.files.empty())
      return invalid_input(fmt::format("{}: names no pictures with labels", table_.path));
    return std::move(list_);
  }

 private:
  Status start() {
    list_.path = table_.path;
    list_.classes = options_.classes;
    files_ = TRY(column({"path", "file", "filename", "image"}, 0));
    return {};
  }

  Result<size_t> column(std::initializer_list<const char*> names, size_t otherwise) const {
    for (const char* name : names) {
      const auto found = std::ranges::find(table_.names, name);
      if (found == table_.names.end()) continue;
      otherwise = static_cast<size_t>(found - table_.names.begin());
      break;
    }
    TRY(table_.check_unique(otherwise));
    return otherwise;
  }

  Status find_labels() {
    if (!options_.label_column.empty()) {
      labels_ = TRY(table_.column(options_.label_column, "--target"));
      return {};
    }
    if (table_.columns() < 2)
      return invalid_input(fmt::format("{}: one column; pictures and their labels take two", table_.path));
    labels_ = TRY(column({"label", "labels", "class", "tags"}, files_ == 1 ? 0 : 1));
    return {};
  }

  const std::string& cell(size_t column, int64_t row) const {
    return table_.cells[column][static_cast<size_t>(row)];
  }

  Status add_file(int64_t row) {
    const std::string& name = cell(files_, row);
    if (name.empty()) return invalid_input(table_.place(row) + "names no picture");
    list_.files.push_back((fs::path(table_.path).parent_path() / name).string());
    return {};
  }

  Status read_one() {
    if (list_.classes.empty()) {
      const std::set<std::string> names(table_.cells[labels_].begin(), table_.cells[labels_].end());
      list_.classes.assign(names.begin(), names.end());
    }
    const ClassNumbers numbers(list_.classes);
    std::vector<int64_t> labels;
    for (int64_t row = 0; row < table_.rows(); ++row) {
      if (cell(labels_, row).empty()) return invalid_input(table_.place(row) + "has no label");
      TRY(add_file(row));
      labels.push_back(static_cast<int64_t>(TRY(numbers.of(cell(labels_, row), table_.place(row)))));
    }
    list_.target = Tensor::of_ints(labels);
    return {};
  }

  Status read_several() {
    list_.labels = ImageLabels::kSeveral;
    if (list_.classes.empty()) {
      std::set<std::string> names;
      for (const std::string& text : table_.cells[labels_]) {
        for (std::string& name : split_labels(text)) names.insert(std::move(name));
      }
      list_.classes.assign(names.begin(), names.end());
    }
    const ClassNumbers numbers(list_.classes);
    const auto classes = static_cast<int64_t>(list_.classes.size());
    list_.target = TRY(Tensor::allocate(DType::kF32, {table_.rows(), classes}));
    const std::span<float> values = list_.target.mutable_data<float>();
    std::ranges::fill(values, 0.0F);
    for (int64_t row = 0; row < table_.rows(); ++row) {
      TRY(add_file(row));
      for (const std::string& name : split_labels(cell(labels_, row)))
        values[static_cast<size_t>(row * classes) + TRY(numbers.of(name, table_.place(row)))] = 1;
    }
    return {};
  }

  Status read_shares() {
    list_.labels = ImageLabels::kShares;
    std::vector<std::string> names;
    for (const size_t i : shares_) names.push_back(table_.names[i].substr(kSharePrefix.size()));
    if (list_.classes.empty()) list_.classes = names;
    const ClassNumbers known(list_.classes);
    const size_t classes = list_.classes.size();
    std::vector<size_t> numbers;
    for (const std::string& name : names) numbers.push_back(TRY(known.of(name, table_.path + ": ")));
    std::vector<float> values;
    for (int64_t row = 0; row < table_.rows(); ++row) {
      if (cell(shares_[0], row).empty()) continue;
      TRY(add_file(row));
      values.resize(values.size() + classes);
      double sum = 0;
      for (size_t i = 0; i < shares_.size(); ++i) {
        const float value = TRY(share(shares_[i], row));
        values[values.size() - classes + numbers[i]] = value;
        sum += static_cast<double>(value);
      }
      // Decimals are rounded.
      if (constexpr double kTolerance = 0.01; std::abs(sum - 1) > kTolerance)
        return invalid_input(fmt::format("{}the probabilities add up to {:.6g}, not 1", table_.place(row), sum));
    }
    list_.target =
        Tensor::from<float>({static_cast<int64_t>(list_.files.size()), static_cast<int64_t>(classes)},
                            std::span<const float>(values));
    return {};
  }

  Result<float> share(size_t column, int64_t row) const {
    const std::string& text = cell(column, row);
    float value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 0 && value <= 1) return value;
    return invalid_input(
        fmt::format("{}'{}' of {} is not a probability", table_.place(row), text, table_.names[column]));
  }

  Table table_;
  const ImageListOptions& options_;
  ImageList list_;
  size_t files_ = 0, labels_ = 1;
  std::vector<size_t> shares_;
};

}  // namespace

namespace {

Result<Table> read_image_table(const std::string& path, std::string_view otherwise) {
  std::error_code unknown;
  if (!fs::exists(path, unknown)) return io_error(fmt::format("{}: there is no such file or folder", path));
  const std::optional<TableFormat> format = table_format_of(path);
  if (!format)
    return invalid_input(fmt::format(
        "{}: pictures come from {}, or from a table (.csv, .tsv or .jsonl) of paths", path, otherwise));
  Table table = TRY(read_table(path, *format, kMostTableBytes));
  if (table.names.empty() && table.rows() > 0) table.take_header();
  return table;
}

}  // namespace

Result<ImageList> list_image_folder(const std::string& path, const ImageListOptions& options) {
  ImageList list{path, {}, options.classes, ImageLabels::kOne, {}};
  const std::vector<std::string> names = TRY(folders_in(path));
  if (names.empty())
    return invalid_input(fmt::format("{}: holds no folders; each class has a folder of its own", path));
  const bool open = list.classes.empty();
  if (open) list.classes = names;
  const ClassNumbers numbers(list.classes);
  std::vector<std::string> unknown;
  std::vector<int64_t> labels;
  for (const std::string& name : names) {
    const std::vector<std::string> files = TRY(pictures_in(path + "/" + name));
    if (files.empty() && open) return invalid_input(fmt::format("{}/{}: holds no pictures", path, name));
    if (files.empty()) continue;
    const std::optional<size_t> label = numbers.find(name);
    if (!label) unknown.push_back(name);
    list.files.insert(list.files.end(), files.begin(), files.end());
    labels.resize(list.files.size(), static_cast<int64_t>(label.value_or(0)));
  }
  if (!unknown.empty()) return invalid_input(path + ": " + numbers.unknown_text(unknown));
  if (list.files.empty()) return invalid_input(fmt::format("{}: holds no pictures", path));
  list.target = Tensor::of_ints(labels);
  return list;
}

Result<ImageList> list_images(const std::string& path, const ImageListOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) return list_image_folder(path, options);
  return TableReader(TRY(read_image_table(path, "a folder with a folder for each class")), options).read();
}

Result<ImageList> list_unlabelled_images(const std::string& path, const std::vector<std::string>& classes,
                                         const std::string& label_column) {
  std::error_code error;
  ImageListOptions options;
  options.classes = classes;
  options.label_column = label_column;
  ImageList list;
  if (fs::is_directory(path, error))
    list = TRY(list_unlabelled_folder(path, classes));
  else
    list = TRY(TableReader(TRY(read_image_table(path, "a folder")), options).read_unlabelled());
  if (list.files.empty()) return invalid_input(fmt::format("{}: holds no pictures", path));
  return list;
}

}  // namespace gannet
