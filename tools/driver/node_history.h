// What passes make of the nodes of a user's file, watched from outside: after each pass, what stands for each node now is
// compared with what stood for it before.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/driver/explanation.h"

namespace gannet {

class NodeHistory {
 public:
  explicit NodeHistory(const ImportedModel& model);
  // Called after each pass.
  void observe(std::string_view pass, const Graph& graph);
  // Events, outcomes other than those that steps decide, and names of equals.
  std::vector<ExplainedNode> take() { return std::move(nodes_); }

 private:
  // What stands for a node: its name and op.
  using Hosts = std::vector<std::pair<std::string, std::string>>;
  struct Snapshot {
    std::vector<Hosts> hosts;  // of each source
    std::map<std::pair<std::string, std::string>, size_t> positions;
  };
  // Where `host` stood in the order of nodes before the last pass; nothing for a node that is new.
  std::optional<size_t> position_before(const std::pair<std::string, std::string>& host) const;
  Snapshot look_at(const Graph& graph) const;
  void compare(std::string_view pass, int32_t source, const Snapshot& now);

  std::vector<ExplainedNode> nodes_;
  std::vector<std::string> labels_;
  Snapshot last_;
};

}  // namespace gannet
