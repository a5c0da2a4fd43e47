#include "ir/lineage.h"

#include <algorithm>
#include <iterator>

namespace gannet {

void Lineage::add(std::span<const int32_t> sources) {
  if (std::ranges::includes(sources_, sources)) return;
  std::vector<int32_t> merged;
  std::ranges::set_union(sources_, sources, std::back_inserter(merged));
  sources_ = std::move(merged);
}

void Lineage::succeed(const std::shared_ptr<Lineage>& lineage, const std::shared_ptr<Lineage>& heir) {
  for (const Lineage* at = heir.get(); at != nullptr; at = at->heir_.get()) {
    if (at == lineage.get()) return;
  }
  lineage->heir_ = heir;
  heir->add(lineage->sources_);
}

bool Lineage::last_heir_is_leaf() const {
  const Lineage* last = this;
  while (last->heir_) last = last->heir_.get();
  return last->is_leaf;
}

void Lineage::leave(std::span<const int32_t> sources) {
  Lineage* last = this;
  while (last->heir_) last = last->heir_.get();
  last->add(sources);
}

}  // namespace gannet
