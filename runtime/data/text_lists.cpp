#include "runtime/data/text_lists.h"

#include <string_view>

#include "ir/base/file.h"

namespace gannet {

std::vector<std::string> lines_of(std::string_view text) {
  std::string_view rest = text;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  std::vector<std::string> lines;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

Result<std::vector<std::string>> read_lines(const std::string& path, int64_t max_bytes) {
  return lines_of(TRY(read_file(path, max_bytes)));
}

}  // namespace gannet
