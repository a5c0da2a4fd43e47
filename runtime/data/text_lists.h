// Text files with one entry a line, such as the labels of a classifier.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

// The lines of a text without their ends (LF or CR LF), without a byte order mark, and without empty lines at
// the end: line i is the label of class i, so empty lines between others stay.
std::vector<std::string> lines_of(std::string_view text);
// The same of a file.
Result<std::vector<std::string>> read_lines(const std::string& path, int64_t max_bytes = int64_t{1} << 28);

}  // namespace gannet
