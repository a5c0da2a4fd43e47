// Reads every #include line below a root and reports those that point where the directions of CONTRIBUTING.md
// forbid:
//
//   lint_includes ROOT
//
// Prints one line `file:line: reason` for each and exits with 1 when there is any.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

// A layer and the folders it may include from, itself among them. Folders not named here may include anything
// of ours.
struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;
};

// A header or pragma of others, by its beginning, and the folders that may use it.
struct ThirdParty {
  std::string_view beginning;
  std::vector<std::string_view> homes;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> rows = {
      {"ir/", {"ir/"}},
      {"frontend/", {"frontend/", "ir/"}},
      {"passes/", {"passes/", "ir/"}},
      {"backend/", {"backend/", "runtime/", "ir/"}},
      {"runtime/", {"runtime/", "ir/"}},
  };
  return rows;
}

const std::vector<ThirdParty>& third_parties() {
  static const std::vector<ThirdParty> rows = {
      {"onnx/", {"frontend/", "tests/frontend/", "tests/fuzz/"}},
      {"google/protobuf/", {"frontend/", "tests/frontend/", "tests/fuzz/"}},
      {"llvm/", {"backend/llvm/"}},
      {"llvm-c/", {"backend/llvm/"}},
      {"dnnl", {"backend/onednn/", "runtime/kernels/"}},
      {"oneapi/dnnl/", {"backend/onednn/", "runtime/kernels/"}},
      {"omp.h", {"runtime/threads"}},
      {"CLI/", {"tools/"}},
      {"unicode/", {"runtime/data/tokenizer/"}},
      {"Eigen/", {"runtime/distribution/"}},
      {"gif_lib.h", {"runtime/data/", "tests/runtime/"}},
  };
  return rows;
}

constexpr std::array<std::string_view, 9> kOurFolders = {
    "ir/", "frontend/", "passes/", "backend/", "runtime/", "tools/", "tests/", "bench/", "examples/"};

bool starts_with_any(std::string_view text, const auto& beginnings) {
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view beginning) { return text.starts_with(beginning); });
}

std::string_view skip_spaces(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

// What follows `#word`, or nothing when the line is not that directive.
std::string_view after_directive(std::string_view line, std::string_view word) {
  line = skip_spaces(line);
  if (!line.starts_with('#')) return {};
  line = skip_spaces(line.substr(1));
  if (!line.starts_with(word)) return {};
  return skip_spaces(line.substr(word.size()));
}

// The path of an #include line, or nothing.
std::string_view included_path(std::string_view line) {
  const std::string_view rest = after_directive(line, "include");
  if (rest.empty() || (rest.front() != '"' && rest.front() != '<')) return {};
  const size_t end = rest.find(rest.front() == '<' ? '>' : '"', 1);
  return end == std::string_view::npos ? std::string_view() : rest.substr(1, end - 1);
}

// Why `file` must not include `path`; empty when it may.
std::string objection_to_include(std::string_view file, std::string_view path) {
  if (path.find("..") != std::string_view::npos)
    return "includes start at the root of the repository, not with '..'";
  for (const ThirdParty& party : third_parties()) {
    if (path.starts_with(party.beginning) && !starts_with_any(file, party.homes)) {
      return std::string(path) + " belongs to " + std::string(party.homes.front());
    }
  }
  if (!starts_with_any(path, kOurFolders)) return {};
  if (path.starts_with("tests/") && !file.starts_with("tests/")) return "tests are included by tests only";
  for (const Layer& layer : layers()) {
    if (file.starts_with(layer.folder) && !starts_with_any(path, layer.may_include)) {
      return std::string(layer.folder) + " must not include " + std::string(path);
    }
  }
  return {};
}

std::string objection(std::string_view file, std::string_view line) {
  const std::string_view path = included_path(line);
  if (!path.empty()) return objection_to_include(file, path);
  const std::string_view pragma = after_directive(line, "pragma");
  const bool is_parallel = pragma.starts_with("omp") && !pragma.starts_with("omp simd");
  if (is_parallel && !file.starts_with("runtime/threads"))
    return "only runtime/threads may use OpenMP's threads";
  return {};
}

// Reports a file's objections; the number of them, or -1 when the file cannot be read.
int check_file(const fs::path& root, const std::string& file) {
  std::ifstream stream(root / file);
  if (!stream) return -1;
  int found = 0, number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    const std::string reason = objection(file, line);
    if (reason.empty()) continue;
    std::printf("%s:%d: %s\n", file.c_str(), number, reason.c_str());
    ++found;
  }
  return found;
}

bool is_source(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cpp" || extension == ".def" || extension == ".cc" ||
         extension == ".inc";
}

// Sources below the folders that are ours, sorted; the trees that test this program are not among them.
std::vector<std::string> sources_below(const fs::path& root) {
  std::vector<std::string> files;
  for (std::string_view folder : kOurFolders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string file = fs::relative(entry.path(), root).generic_string();
      if (entry.is_regular_file() && is_source(entry.path()) && !file.starts_with("tests/lint/"))
        files.push_back(file);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: lint_includes ROOT\n");
    return 2;
  }
  const std::vector<std::string> files = sources_below(arguments[1]);
  int found = 0;
  for (const std::string& file : files) {
    const int in_file = check_file(arguments[1], file);
    if (in_file < 0) {
      std::fprintf(stderr, "cannot read %s\n", file.c_str());
      return 2;
    }
    found += in_file;
  }
  std::printf("%zu files, %d includes out of place\n", files.size(), found);
  return files.empty() || found > 0;
}
