// Generators whose pictures a classifier learns from beside those of files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/training/synthetic_rows.h"
#include "tools/driver/synthetic_arguments.h"

namespace gannet {

// What the pictures are for.
struct SyntheticUse {
  std::vector<std::string> classes;  // names of those of the data
  bool labelled = true;              // the class of a picture is its label
  int64_t channels = 3;              // of the model's input
  int64_t height = 0, width = 0;
  uint64_t seed = 0;
};

class SyntheticGenerators {
 public:
  // Loads them and makes a few pictures of each, which tell the range of values where nothing else does.
  // `model` says how they are run. Errors: a generator without a class where the data have several and its
  // spec names none; one whose number of classes is another than that of labelled data; one that makes no
  // pictures.
  static Result<SyntheticGenerators> load(const std::vector<SyntheticSpec>& specs,
                                          const RunnableOptions& model, const GeneratorArguments& arguments,
                                          const SyntheticUse& use);

  // Rows that have their shares of a pass beside `files` rows of files, each generator at least one; `all` in
  // a pass where there are none of files.
  SyntheticRows rows_beside(int64_t files, int64_t all = 0) const;
  // What was found, a line for each generator.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  class Source;

  std::vector<std::shared_ptr<Source>> sources_;
  std::vector<std::string> notes_;
  int64_t channels_ = 3;
};

}  // namespace gannet
