// Which nodes of the user's file a node does the work of, by their number there, for `gannet explain`. Rewrites keep it
// without asking: a node that is made before another inherits its numbers, one that takes another's place takes them, and
// with them the numbers of what only the replaced one needed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gannet {

class Lineage {
 public:
  // In ascending order, each once.
  const std::vector<int32_t>& sources() const { return sources_; }
  void add(std::span<const int32_t> sources);
  void clear() { sources_.clear(); }

  // From now on `heir` stands in for `lineage`: it gets its sources, and those that are still to be left to it. Nothing
  // happens where that would make a circle.
  static void succeed(const std::shared_ptr<Lineage>& lineage, const std::shared_ptr<Lineage>& heir);
  bool has_heir() const { return heir_ != nullptr; }
  // Whether a node is a leaf, known before anything runs: such nodes leave what they stand for to each other only.
  bool is_leaf = false;
  bool last_heir_is_leaf() const;
  // Adds to the last of the heirs.
  void leave(std::span<const int32_t> sources);

 private:
  std::vector<int32_t> sources_;
  std::shared_ptr<Lineage> heir_;
};

}  // namespace gannet
