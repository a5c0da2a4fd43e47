// Which pictures `gannet generate` makes of random numbers: their latents and classes.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/driver/generate_arguments.h"

namespace gannet {

class PicturePlan {
 public:
  // An error where a class is asked for that there is not, or one must be named.
  static Result<PicturePlan> make(const Generator& generator, const GenerateArguments& arguments);

  int64_t count() const { return lines_ * of_line_; }
  // Of the pictures that belong together, in lines; 0 where they do not.
  int64_t columns() const { return columns_; }
  int64_t label(int64_t index) const;
  GeneratorRow row(int64_t index) const;

 private:
  PicturePlan(const Generator& generator, const GenerateArguments& arguments)
      : generator_(&generator), arguments_(&arguments) {}

  const Generator* generator_;
  const GenerateArguments* arguments_;
  std::vector<int64_t> classes_;  // empty: taking turns
  int64_t lines_ = 1, of_line_ = 1, columns_ = 0;
};

}  // namespace gannet
