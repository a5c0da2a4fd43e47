// Flags of a command that mean something for rows of one kind alone: given for others, they are an error.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "ir/base/error.h"

namespace CLI {
class App;
}

namespace gannet {

enum class RowKind { kArrays, kTexts, kPictures };

struct RowFlags {
  std::set<std::string>
      given;  // flags of the command line ("--lr"); the others have defaults that a task may change
  std::set<std::string> for_texts, for_pictures;  // flags that mean nothing for other rows
};

// Puts the names of the flags that `add` adds to the command into `names`.
void collect_flags(CLI::App& command, std::set<std::string>& names, const std::function<void()>& add);
// Puts the names of the flags that the command line has into `given`.
void collect_given(const CLI::App& command, std::set<std::string>& given);
// An error names a given flag that is for rows of another kind than those of `data`.
Status check_row_flags(const RowFlags& flags, const std::string& data, RowKind rows);

}  // namespace gannet
