#include "frontend/import_problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ir/base/nearest.h"
#include "ir/op.h"

namespace gannet {
namespace {

constexpr int64_t kListedProblems = 50;
constexpr size_t kListedNotes = 200;

// Names may hold line ends; a problem takes one line.
std::string one_line(std::string text) {
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.replace(at, 1, "\\x0a");
  return text;
}

}  // namespace

std::string nearest_name_hint(std::string_view wanted, const std::vector<std::string>& known) {
  std::vector<std::string_view> candidates(known.begin(), known.end());
  std::string found = nearest(wanted, candidates);
  return found.empty() ? "" : fmt::format("; did you mean '{}'?", found);
}

void Problems::add(Error error) {
  ++count_;
  all_unsupported_ = all_unsupported_ && error.kind == ErrorKind::kUnsupported;
  if (count_ <= kListedProblems) messages_.push_back(std::move(error.message));
}

void Problems::add_unknown_op(const std::string& domain, const std::string& op, int64_t opset,
                              const std::string& node, const std::string& hint) {
  UnknownOp& unknown = unknown_ops_[{domain, op}];
  if (unknown.nodes++ == 0) {
    unknown.opset = opset;
    unknown.first_node = node;
    unknown.hint = hint;
  }
}

void Problems::note(std::string text) {
  if (notes_.size() < kListedNotes && std::find(notes_.begin(), notes_.end(), text) == notes_.end()) {
    notes_.push_back(std::move(text));
  }
}

std::string Problems::line_of(const std::pair<std::string, std::string>& key,
                              const UnknownOp& unknown) const {
  const auto& [domain, op] = key;
  std::string nearest = domain.empty() ? nearest_op(op) : unknown.hint;
  return fmt::format("node '{}' ({}): the op {} of domain {}, opset {}, is not known{}{}", unknown.first_node,
                     op, op, domain.empty() ? "ai.onnx" : domain, unknown.opset,
                     unknown.nodes > 1 ? fmt::format(" ({} nodes use it)", unknown.nodes) : "",
                     nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
}

Error Problems::report() const {
  std::vector<std::string> lines;
  for (const auto& [key, unknown] : unknown_ops_) {
    if (static_cast<int64_t>(lines.size()) == kListedProblems) break;
    lines.push_back(line_of(key, unknown));
  }
  lines.insert(lines.end(), messages_.begin(), messages_.end());
  int64_t total = static_cast<int64_t>(unknown_ops_.size()) + count_;
  std::string text;
  for (size_t i = 0; i < lines.size() && i < kListedProblems; ++i) {
    text += fmt::format("{}{}: {}", i == 0 ? "" : "\n", path_, one_line(lines[i]));
  }
  if (total > kListedProblems) text += fmt::format("\n{}: and {} more", path_, total - kListedProblems);
  bool unsupported_only = count_ == 0 || all_unsupported_;
  return {unsupported_only ? ErrorKind::kUnsupported : ErrorKind::kInvalidModel, std::move(text)};
}

}  // namespace gannet
