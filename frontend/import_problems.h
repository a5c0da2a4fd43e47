// Collects everything that is wrong with a model, so that one run reports all of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

class Problems {
 public:
  // Each line of the report begins with `path`.
  explicit Problems(std::string path) : path_(std::move(path)) {}

  void add(Error error);
  // An op that is in no table; one line of the report for all nodes that use it.
  // `hint` is what the op of a domain other than ai.onnx may have meant.
  void add_unknown_op(const std::string& domain, const std::string& op, int64_t opset,
                      const std::string& node, const std::string& hint = "");
  // Something ignored or assumed; said once.
  void note(std::string text);

  bool any() const { return count_ > 0 || !unknown_ops_.empty(); }
  // How many were added, for telling whether something added more.
  int64_t count() const { return count_ + static_cast<int64_t>(unknown_ops_.size()); }
  // All problems as one error, one line each.
  Error report() const;
  std::vector<std::string> take_notes() { return std::move(notes_); }

 private:
  struct UnknownOp {
    int64_t opset = 0;
    int64_t nodes = 0;
    std::string first_node;
    std::string hint;
  };
  std::string line_of(const std::pair<std::string, std::string>& key, const UnknownOp& unknown) const;

  std::string path_;
  std::vector<std::string> messages_;
  int64_t count_ = 0;
  bool all_unsupported_ = true;
  std::map<std::pair<std::string, std::string>, UnknownOp> unknown_ops_;
  std::vector<std::string> notes_;
};

// The name closest to `wanted` among `known`: "; did you mean 'x'?", or nothing when none is close.
std::string nearest_name_hint(std::string_view wanted, const std::vector<std::string>& known);

}  // namespace gannet
