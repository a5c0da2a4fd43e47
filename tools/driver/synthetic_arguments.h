// The flags of `gannet tune` for pictures that generators make.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/driver/generator.h"

namespace CLI {
class App;
}

namespace gannet {

struct SyntheticArguments {
  std::vector<std::string> generators;  // [CLASS=]FILE[:SHARE]
  GeneratorArguments generator;         // of all of them
  std::string use = "labelled";         // or "unlabelled"

  bool used() const { return !generators.empty(); }
  bool labelled() const { return used() && use == "labelled"; }
  bool unlabelled() const { return used() && use == "unlabelled"; }
};

// Adds --synthetic, --synthetic-as and the flags of generators.
void add_synthetic_arguments(CLI::App& command, SyntheticArguments& arguments);
// Of the names of flags that were given, `own` being those above: an error for one that means nothing without
// --synthetic.
Status check_synthetic_flags(const SyntheticArguments& arguments, const std::set<std::string>& own,
                             const std::set<std::string>& given);

// One value of --synthetic.
struct SyntheticSpec {
  std::string path;
  std::optional<int64_t> only;  // the class that all its pictures are of
  double share = 0;             // of the rows that it is mixed into
};

// All values of --synthetic for data with these classes. Of labelled rows each has a share, and a part is
// left for those of files; without `files` all rows are synthetic, and where no shares are given they are
// equal. What stands before '=' is a class where there is one of that name.
Result<std::vector<SyntheticSpec>> synthetic_specs(const SyntheticArguments& arguments,
                                                   const std::vector<std::string>& classes, bool files);

// Flags that decide the result, with their values and the identities of the files.
Result<std::map<std::string, std::string>> deciding_synthetic_flags(const SyntheticArguments& arguments,
                                                                    const std::vector<SyntheticSpec>& specs);

}  // namespace gannet
