// Types of one name in two files are one type to the linker, which then joins code that disagrees about it. This reads
// every source below a root and reports each struct, class or enum of namespace gannet that two files define:
//
//   lint_type_names ROOT
//
// Types in anonymous namespaces and inside other types are each file's own. Exits with 1 when there is any report.
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>

namespace {

namespace fs = std::filesystem;

constexpr std::array kFolders = {"ir", "frontend", "passes", "backend", "runtime", "tools"};

using Definitions = std::map<std::string, std::string>;  // name, with its namespace below gannet -> "file:line"

// Adds the types of one file; the number of those that are there already.
int read_file(const fs::path& root, const fs::path& path, Definitions& definitions) {
  static const std::regex definition(R"(^(?:struct|class|enum class|enum) ([A-Z]\w*)(?: final)?(?: ?:[^:].*)? ?\{.*)");
  static const std::regex inner_namespace(R"(^namespace gannet::(\w+) \{)");
  std::ifstream stream(path);
  const std::string file = fs::relative(path, root).string();
  std::string scope;
  bool anonymous = false;
  int number = 0, found = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::smatch match;
    if (line == "namespace {") anonymous = true;
    if (line == "}  // namespace") anonymous = false;
    if (std::regex_match(line, match, inner_namespace)) scope = match[1].str() + "::";
    if (anonymous || !std::regex_match(line, match, definition)) continue;
    const std::string place = file + ":" + std::to_string(number);
    const auto [entry, is_new] = definitions.emplace(scope + match[1].str(), place);
    if (is_new) continue;
    std::printf("%s: %s is also defined in %s\n", place.c_str(), entry->first.c_str(), entry->second.c_str());
    ++found;
  }
  return found;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: lint_type_names ROOT\n"), 2;
  const fs::path root = arguments[1];
  Definitions definitions;
  int found = 0;
  for (const char* folder : kFolders) {
    if (!fs::exists(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".h" || extension == ".cpp") found += read_file(root, entry.path(), definitions);
    }
  }
  std::printf("%zu types, %d of them twice\n", definitions.size(), found);
  return found == 0 && !definitions.empty() ? 0 : 1;
}
