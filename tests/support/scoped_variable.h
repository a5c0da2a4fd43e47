// A variable of the environment for the time of a block.
#pragma once

#include <stdlib.h>

#include <optional>
#include <string>

namespace gannet {

class ScopedVariable {
 public:
  // Sets `name`, or without a value takes it away.
  ScopedVariable(const char* name, std::optional<std::string> value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    put(value);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ~ScopedVariable() { put(before_); }

 private:
  void put(const std::optional<std::string>& value) const {
    if (value)
      ::setenv(name_, value->c_str(), 1);
    else
      ::unsetenv(name_);
  }

  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace gannet
